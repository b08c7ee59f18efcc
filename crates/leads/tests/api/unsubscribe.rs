use common::auth::Role;
use common::token::{MailToken, Purpose};
use common::{CampaignId, LeadId, MessageId};
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, fields, get, given_lead, given_list, id, join, marketer, start};

fn token(app: &App, lead: Option<LeadId>, purpose: Purpose) -> String {
    let token = MailToken {
        workspace_id: app.workspace,
        campaign_id: Some(CampaignId::new()),
        lead_id: lead,
        message_id: MessageId::new(),
        issued_at: app.clock.now(),
        link: 0,
        url: String::new(),
    };
    app.links().seal(purpose, &token)
}

fn of(app: &App, lead: &Value) -> String {
    token(
        app,
        Some(id(lead).parse().expect("an id")),
        Purpose::Unsubscribe,
    )
}

async fn statuses(app: &App, list: &str) -> Vec<String> {
    fields(
        &get(app, &format!("/api/v1/lists/{list}/members")).await,
        "status",
    )
}

fn assert_safe_page(page: &Response) {
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(!page.text().contains("<script"));
}

#[actix_web::test]
async fn looking_changes_nothing_and_the_button_unsubscribes_once() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let (news, offers) = (
        given_list(&app, "News").await,
        given_list(&app, "Offers").await,
    );
    join(&app, &news, &lead, "confirmed").await;
    join(&app, &offers, &lead, "unconfirmed").await;
    let (path, anybody) = (format!("/u/{}", of(&app, &lead)), app.anonymous());

    let before = app.events();
    let page = anybody.get(&path).send().await.assert_status(200);
    assert_safe_page(&page);
    assert!(page.text().contains("<form method=\"post\">"));
    assert!(
        !page.text().contains("ada@example.com"),
        "a forwarded mail tells no address"
    );
    anybody.head(&path).send().await.assert_status(200);
    assert_eq!(statuses(&app, &news).await, ["confirmed"]);
    assert_eq!(app.events(), before);

    for _ in 0..2 {
        let done = anybody
            .post(&path)
            .form(&[("confirm", "yes")])
            .send()
            .await
            .assert_status(200);
        assert_safe_page(&done);
    }
    assert_eq!(statuses(&app, &news).await, ["unsubscribed"]);
    assert_eq!(statuses(&app, &offers).await, ["unsubscribed"]);
    let suppressed = get(&app, "/api/v1/suppressions").await;
    assert_eq!(fields(&suppressed, "reason"), ["unsubscribe"]);
    assert_eq!(
        app.events()[before.len()..],
        ["suppression.added", "lead.unsubscribed"]
    );
    let timeline = get(&app, &format!("/api/v1/leads/{}/timeline", id(&lead))).await;
    let entry = timeline["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|item| item["kind"] == "unsubscribed");
    let entry = entry.expect("an entry");
    assert_eq!(entry["detail"]["wording"], "Stop sending me mails.");
    assert_eq!(entry["detail"]["method"], "link");
}

#[actix_web::test]
async fn one_click_acts_and_names_the_mail() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let sealed = of(&app, &lead);
    let request = app.anonymous().post(format!("/u/{sealed}"));
    let body = [("List-Unsubscribe", "One-Click")];
    request.form(&body).send().await.assert_status(200);

    let feed = app.as_service(common::auth::Service::Notifications);
    let feed = feed
        .get("/internal/events?after=0&consumer=notifications")
        .send()
        .await;
    let feed: Value = feed.assert_status(200).json();
    let events = feed["items"].as_array().expect("events");
    let event = events
        .iter()
        .find(|event| event["event"]["type"] == "lead.unsubscribed");
    let data = &event.expect("an event")["event"]["data"];
    let opened = app
        .links()
        .open(Purpose::Unsubscribe, &sealed)
        .expect("our token");
    assert_eq!(data["campaign_id"], json!(opened.campaign_id));
    assert_eq!(data["message_id"], json!(opened.message_id));
    let timeline = get(&app, &format!("/api/v1/leads/{}/timeline", id(&lead))).await;
    let methods: Vec<_> = timeline["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["detail"]["method"].as_str())
        .collect();
    assert_eq!(methods, ["one_click"]);
}

#[actix_web::test]
async fn a_foreign_link_or_nobody_behind_it_changes_nothing() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let click = token(
        &app,
        Some(id(&lead).parse().expect("an id")),
        Purpose::Click,
    );
    let anybody = app.anonymous();
    for bad in [
        "nonsense".to_owned(),
        click,
        format!("{}A", of(&app, &lead)),
    ] {
        for path in [format!("/u/{bad}"), format!("/p/{bad}")] {
            assert_safe_page(&anybody.get(&path).send().await.assert_status(404));
            anybody.post(&path).send().await.assert_status(404);
        }
    }
    for nobody in [None, Some(LeadId::new())] {
        let sealed = token(&app, nobody, Purpose::Unsubscribe);
        for path in [format!("/u/{sealed}"), format!("/p/{sealed}")] {
            assert!(
                anybody
                    .get(&path)
                    .send()
                    .await
                    .assert_status(200)
                    .text()
                    .contains("Nothing to do")
            );
            assert!(
                anybody
                    .post(&path)
                    .send()
                    .await
                    .assert_status(200)
                    .text()
                    .contains("Nothing to do")
            );
        }
    }
    assert_eq!(app.events(), ["lead.created"]);
}

#[actix_web::test]
async fn preferences_are_what_is_ticked() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let (news, offers) = (
        given_list(&app, "News <b>").await,
        given_list(&app, "Offers").await,
    );
    let foreign = given_list(&app, "Foreign").await;
    join(&app, &news, &lead, "confirmed").await;
    join(&app, &offers, &lead, "confirmed").await;
    let (path, anybody) = (format!("/p/{}", of(&app, &lead)), app.anonymous());

    let page = anybody.get(&path).send().await.assert_status(200);
    assert_safe_page(&page);
    assert!(page.text().contains("News &lt;b&gt;"));
    assert!(!page.text().contains("Foreign"));

    let choose = async |lists: &[&String]| {
        let form: Vec<_> = lists.iter().map(|list| ("list", list.as_str())).collect();
        anybody
            .post(&path)
            .form(&form)
            .send()
            .await
            .assert_status(200);
    };
    choose(&[&news, &foreign]).await;
    assert_eq!(statuses(&app, &news).await, ["confirmed"]);
    assert_eq!(statuses(&app, &offers).await, ["unsubscribed"]);
    assert_eq!(statuses(&app, &foreign).await, [""; 0]);
    assert!(get(&app, "/api/v1/suppressions").await["items"] == json!([]));

    choose(&[]).await;
    assert_eq!(statuses(&app, &news).await, ["unsubscribed"]);
    assert_eq!(
        fields(&get(&app, "/api/v1/suppressions").await, "reason"),
        ["unsubscribe"]
    );

    choose(&[&offers]).await;
    assert_eq!(statuses(&app, &offers).await, ["confirmed"]);
    assert!(get(&app, "/api/v1/suppressions").await["items"] == json!([]));
    let ends = [
        "lead.unsubscribed",
        "suppression.added",
        "lead.unsubscribed",
        "suppression.removed",
    ];
    assert_eq!(app.events()[1..], ends);
}

#[actix_web::test]
async fn an_unsubscription_does_not_lift_a_complaint() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let list = given_list(&app, "News").await;
    join(&app, &list, &lead, "confirmed").await;
    let body = json!({ "address": "ada@example.com", "reason": "complaint" });
    marketer(&app)
        .post("/api/v1/suppressions")
        .json(&body)
        .send()
        .await
        .assert_status(201);
    let path = format!("/p/{}", of(&app, &lead));
    app.anonymous()
        .post(path)
        .form(&[("list", &list)])
        .send()
        .await
        .assert_status(200);
    let held = app
        .as_role(Role::Owner)
        .get("/api/v1/suppressions")
        .send()
        .await;
    assert_eq!(fields(&held.json(), "reason"), ["complaint"]);
}

#[actix_web::test]
async fn the_pages_speak_the_language_of_the_browser_and_the_ledger_keeps_what_was_read() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let news = given_list(&app, "News").await;
    join(&app, &news, &lead, "confirmed").await;
    let sealed = of(&app, &lead);
    let german = |path: String| app.anonymous().get(path).header("accept-language", "de");
    for (path, status, said) in [
        (format!("/u/{sealed}"), 200, "Schickt mir keine Mails mehr."),
        (format!("/p/{sealed}"), 200, "was ich angekreuzt habe"),
        ("/u/x".into(), 404, "nicht gültig"),
    ] {
        let page = german(path).send().await.assert_status(status);
        assert_safe_page(&page);
        assert!(page.text().contains("<html lang=\"de\">"));
        assert!(page.text().contains(said), "{}", page.text());
    }
    let post = |path: String, field: (&'static str, String)| {
        let request = app.anonymous().post(path).form(&[field]);
        request.header("accept-language", "de").send()
    };
    let chosen = post(format!("/p/{sealed}"), ("list", news.clone())).await;
    let chosen = chosen.assert_status(200);
    assert!(chosen.text().contains("gespeichert"), "{}", chosen.text());
    let left = post(format!("/u/{sealed}"), ("confirm", "yes".into())).await;
    let left = left.assert_status(200);
    assert!(left.text().contains("Abmeldung"), "{}", left.text());
    let timeline = get(&app, &format!("/api/v1/leads/{}/timeline", id(&lead))).await;
    assert!(
        timeline
            .to_string()
            .contains("Schickt mir keine Mails mehr."),
        "{timeline}"
    );
}
