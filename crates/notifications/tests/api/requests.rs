//! What is asked over HTTP, and what is refused.

use common::auth::{Claims, Role, Scope, ScopeSet, Service as Name, Subject};
use common::ids::{ApiKeyId, CampaignId, MessageId, WorkspaceId};
use common::token::{MailToken, Purpose};
use serde_json::{Value, json};
use testkit::{Client, Issuer, eventually};

use crate::support::{World, person, snapshot};

fn new_message() -> Value {
    json!({
        "to": "ada@example.com",
        "subject": "Receipt {{ data.number }}",
        "content": { "format": "text", "body": "Dear {{ data.name }}, see https://x.example/ and {{ view_url }}" },
        "data": { "number": 7, "name": "Ada" },
    })
}

#[actix_web::test]
async fn content_that_does_not_compile_is_refused_with_its_place() {
    let world = World::start().await;
    let mut bad = snapshot(world.app.workspace);
    bad["subject"] = json!("Hi {{ lead.name");
    bad["content"]["body"] = json!("<p>one</p>\n<p>{% if %}</p>");
    bad["from"]["name"] = json!("Ada\r\nBcc: eve@example.com");
    let id = CampaignId::new();

    let refused = world
        .campaigns()
        .put(format!("/internal/campaigns/{id}"))
        .json(&bad)
        .send()
        .await;

    let problem = refused.assert_error(422, "invalid_input");
    let pointers: Vec<_> = problem
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    for pointer in ["/from/name", "/subject", "/content/body"] {
        assert!(pointers.contains(&pointer), "{pointer} in {pointers:?}");
    }
    let body = problem
        .errors
        .iter()
        .find(|error| error.pointer == "/content/body")
        .expect("found");
    assert_eq!(body.line, Some(2));
    let recipients = json!({ "workspace_id": world.app.workspace, "recipients": [] });
    let path = format!("/internal/campaigns/{id}/recipients");
    world
        .campaigns()
        .post(path)
        .json(&recipients)
        .send()
        .await
        .assert_error(404, "campaign_not_found");
}

#[actix_web::test]
async fn a_snapshot_is_fixed_once_somebody_was_handed_over() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let put = |change: &'static str| {
        let mut snapshot = snapshot(world.app.workspace);
        snapshot["subject"] = json!(change);
        world
            .campaigns()
            .put(format!("/internal/campaigns/{}", campaign.id))
            .json(&snapshot)
    };
    put("Another").send().await.assert_status(204);
    put("Another").send().await.assert_status(204);
    campaign.hand_over(&[person("a@example.com")]).await;
    put("Another").send().await.assert_status(204);
    put("A third")
        .send()
        .await
        .assert_error(409, "campaign_content_differs");
    let mail = world.post.mail_to("a@example.com").await;
    assert_eq!(mail.summary.subject.as_deref(), Some("Another"));
}

#[actix_web::test]
async fn a_transactional_message_is_sent_once_per_key() {
    let world = World::start().await;
    let marketer = world.app.as_role(Role::Marketer);
    let send = |body: Value| {
        marketer
            .post("/api/v1/messages")
            .header("Idempotency-Key", "k1")
            .json(&body)
            .send()
    };
    let first: Value = send(new_message()).await.assert_status(202).json();
    let again: Value = send(new_message()).await.assert_status(202).json();
    assert_eq!(first, again);
    let mut other = new_message();
    other["data"]["number"] = json!(8);
    send(other)
        .await
        .assert_error(422, "idempotency_key_reused");

    let mail = world.post.mail_to("ada@example.com").await;
    assert_eq!(mail.summary.subject.as_deref(), Some("Receipt 7"));
    let text = mail.text.expect("a text");
    assert!(
        text.contains("see https://x.example/ and"),
        "nothing is tracked: {text}"
    );
    assert!(
        mail.headers
            .iter()
            .any(|(name, value)| name == "Auto-Submitted" && value.contains("auto-generated"))
    );
    assert!(
        !mail
            .headers
            .iter()
            .any(|(name, _)| name == "List-Unsubscribe")
    );
    let path = format!("/api/v1/messages/{}", first["id"].as_str().expect("an id"));
    eventually("it is settled", || async {
        let message: Value = marketer.get(&path).send().await.assert_status(200).json();
        message["outcome"] == "accepted" && message["kind"] == "transactional"
    })
    .await;
    assert_eq!(world.post.count(), 1);
}

#[actix_web::test]
async fn the_trail_says_which_key_sent_a_message() {
    let world = World::start().await;
    let (key, now) = (ApiKeyId::new(), world.app.clock.now().timestamp());
    let claims = Claims::new(
        Subject::ApiKey(key),
        Some(world.app.workspace),
        None,
        ScopeSet::of(&[Scope::MessagesSend]),
        now,
        600,
    );
    let program = Client::new(world.app.url(), Some(Issuer::shared().sign(&claims)));
    let send = || {
        let request = program.post("/api/v1/messages").json(&new_message());
        request
            .header("Idempotency-Key", "k1")
            .header("x-forwarded-for", "192.0.2.7")
            .send()
    };
    let message: Value = send().await.assert_status(202).json();
    // A repetition sends nothing and is not noted.
    send().await.assert_status(202);
    let trail = world.app.as_service(Name::Identity);
    let entries: Value = trail
        .get("/internal/audit")
        .send()
        .await
        .assert_status(200)
        .json();
    let entries = entries.as_array().expect("entries");
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    assert_eq!(entry["resource"], "messages");
    assert_eq!(entry["resource_id"], message["id"]);
    assert_eq!(entry["request"]["actor"], format!("key:{key}"));
    assert_eq!(entry["request"]["address"], "192.0.2.7");
    assert_eq!(entry["action"], "insert");
    assert!(!entry.to_string().contains("ada@example.com"), "{entry}");
}

#[actix_web::test]
async fn a_transactional_message_that_says_too_little_names_all_of_it() {
    let world = World::start().await;
    let marketer = world.app.as_role(Role::Marketer);
    let post = |body: Value| marketer.post("/api/v1/messages").json(&body).send();
    let problem = post(json!({ "to": "ada@example.com" }))
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(problem.errors.len(), 2, "{problem:?}");
    post(json!({ "to": "nobody" }))
        .await
        .assert_error(422, "invalid_input");
    post(json!({ "to": "ada@example.com", "bcc": "eve@example.com" }))
        .await
        .assert_error(422, "invalid_input");
    let mut split = new_message();
    split["subject"] = json!("Hi\r\nBcc: eve@example.com");
    let problem = post(split).await.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/subject");
    assert_eq!(world.post.count(), 0);
}

#[actix_web::test]
async fn a_test_mail_is_in_no_campaign() {
    let world = World::start().await;
    let body = json!({
        "snapshot": snapshot(world.app.workspace),
        "to": ["one@example.com", "two@example.com"],
        "lead": { "first_name": "Test" },
    });
    let sent: Value = world
        .campaigns()
        .post("/internal/test-sends")
        .json(&body)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(sent["message_ids"].as_array().map(Vec::len), Some(2));
    for address in ["one@example.com", "two@example.com"] {
        let mail = world.post.mail_to(address).await;
        assert_eq!(mail.summary.subject.as_deref(), Some("Hello Test"));
    }
}

#[actix_web::test]
async fn messages_are_listed_page_by_page_and_only_ones_own() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let people: Vec<_> = (0..7)
        .map(|n| person(&format!("p{n}@example.com")))
        .collect();
    campaign.hand_over(&people).await;
    campaign.until("sent", |s| s.accepted == 7).await;
    let analyst = world.app.as_role(Role::Analyst);
    for filter in [
        format!("campaign_id={}", campaign.id),
        "outcome=accepted".into(),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/messages?{filter}&limit=3{cursor}");
            let page: Value = analyst.get(path).send().await.assert_status(200).json();
            seen.extend(
                page["items"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .map(|m| m["id"].to_string()),
            );
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7, "{filter}");
    }
    let path = format!("/api/v1/messages?lead_id={}", people[3].lead_id);
    let page: Value = analyst.get(path).send().await.json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    let id = page["items"][0]["id"].as_str().expect("an id").to_owned();

    let stranger = world.app.as_role_in(WorkspaceId::new(), Role::Owner);
    stranger
        .get(format!("/api/v1/messages/{id}"))
        .send()
        .await
        .assert_error(404, "message_not_found");
    let page: Value = stranger.get("/api/v1/messages").send().await.json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(0));
    let retry = json!({ "campaign_id": campaign.id, "outcome": "rejected" });
    stranger
        .post("/api/v1/messages/retry")
        .json(&retry)
        .send()
        .await
        .assert_error(404, "campaign_not_found");
}

#[actix_web::test]
async fn bad_questions_are_named() {
    let world = World::start().await;
    let marketer = world.app.as_role(Role::Marketer);
    for (path, pointer) in [
        ("/api/v1/messages?limit=0", "query/limit"),
        ("/api/v1/messages?cursor=%25", "query/cursor"),
        ("/api/v1/messages?outcome=sent", "query"),
        ("/api/v1/messages?state=pending", "query"),
    ] {
        let problem = marketer
            .get(path)
            .send()
            .await
            .assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, pointer, "{path}");
    }
    let retry = json!({ "campaign_id": CampaignId::new(), "outcome": "accepted" });
    marketer
        .post("/api/v1/messages/retry")
        .json(&retry)
        .send()
        .await
        .assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn nobody_gets_in_without_the_right_token() {
    let world = World::start().await;
    let (analyst, anonymous) = (world.app.as_role(Role::Analyst), world.app.anonymous());
    anonymous
        .get("/api/v1/messages")
        .send()
        .await
        .assert_error(401, "token_missing");
    anonymous
        .get("/api/v1/senders")
        .send()
        .await
        .assert_error(401, "token_missing");
    analyst
        .post("/api/v1/messages")
        .json(&new_message())
        .send()
        .await
        .assert_error(403, "scope_missing");
    world
        .app
        .as_role(Role::Customer)
        .get("/api/v1/messages")
        .send()
        .await
        .assert_error(403, "scope_missing");
    let path = format!("/internal/campaigns/{}", CampaignId::new());
    let put = world
        .app
        .as_role(Role::Owner)
        .put(path)
        .json(&snapshot(world.app.workspace));
    put.send().await.assert_error(403, "services_only");
    let settlement = format!(
        "/internal/campaigns/{}/settlement?workspace_id={}",
        CampaignId::new(),
        world.app.workspace
    );
    world
        .app
        .as_service(Name::Campaigns)
        .get(settlement)
        .send()
        .await
        .assert_error(404, "campaign_not_found");
}

#[actix_web::test]
async fn a_mail_can_be_read_in_a_browser_by_its_own_link_only() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("a@example.com")]).await;
    campaign.until("sent", |s| s.accepted == 1).await;
    let mail = world.post.mail_to("a@example.com").await;
    let html = mail.html.expect("an HTML part");
    let link = html
        .split('"')
        .find(|part| part.contains("/v/"))
        .expect("a view link");
    let path = link
        .strip_prefix("http://clarion.test")
        .expect("a public link");

    let shown = world
        .app
        .anonymous()
        .get(path)
        .send()
        .await
        .assert_status(200);

    assert!(shown.text().contains("Dear Grace"));
    assert!(
        shown.text().contains("https://shop.example/"),
        "nothing is counted twice"
    );
    let policy = shown.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let click = html
        .split('"')
        .find(|part| part.contains("/c/"))
        .expect("a click link");
    let foreign = path.replace(
        path.rsplit('/').next().unwrap_or_default(),
        click.rsplit('/').next().unwrap_or_default(),
    );
    world
        .app
        .anonymous()
        .get(foreign)
        .send()
        .await
        .assert_status(404);
    let unknown = MailToken {
        message_id: MessageId::new(),
        ..world.token(link, "/v/", Purpose::View)
    };
    let path = format!("/v/{}", world.app.links().seal(Purpose::View, &unknown));
    world
        .app
        .anonymous()
        .get(path)
        .send()
        .await
        .assert_status(404);
}
