//! Forms: made by marketers, sent by anybody, confirmed by whoever has the address.

use common::auth::{Role, Service};
use common::dto::dispatch::HouseMail;
use common::{FormId, LeadId, WorkspaceId};
use serde_json::{Value, json};
use testkit::{Response, eventually};
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use crate::support::{App, fields, get, given_lead, given_list, id, join, marketer, start};

const WORDING: &str = "Write to me once a month.";
const ADA: &str = "ada@example.com";

/// Has notifications take mails.
pub(crate) async fn take_mails(app: &App) {
    let taken = ResponseTemplate::new(202).set_body_json(json!({ "id": uuid::Uuid::now_v7() }));
    Mock::given(path("/internal/messages"))
        .respond_with(taken)
        .mount(&app.peer(Service::Notifications).server)
        .await;
}

/// All mails that were asked for, oldest first.
pub(crate) async fn mails(app: &App) -> Vec<HouseMail> {
    let server = &app.peer(Service::Notifications).server;
    let requests = server.received_requests().await.expect("it records");
    let mails = requests
        .iter()
        .filter(|request| request.url.path() == "/internal/messages");
    mails
        .map(|request| request.body_json::<HouseMail>().expect("a mail"))
        .collect()
}

/// Waits for the `count`th mail, and answers the path of its link.
pub(crate) async fn link(app: &App, count: usize) -> String {
    eventually("the mail", || async { mails(app).await.len() >= count }).await;
    let mail = mails(app).await.swap_remove(count - 1);
    let url = mail.data["url"].as_str().expect("a link").to_owned();
    let path = url.strip_prefix("http://clarion.test").expect("our own");
    assert!(path.starts_with("/f/confirm/"), "{path}");
    path.to_owned()
}

async fn made(app: &App, body: Value) -> Value {
    let sent = marketer(app).post("/api/v1/forms").json(&body).send().await;
    sent.assert_status(201).json()
}

/// A form that leads to this list, with `more` on top.
pub(crate) async fn given_form(app: &App, list: &str, more: Value) -> Value {
    let mut body = json!({
        "name": "Footer", "list_ids": [list], "title": "Our news", "wording": WORDING,
    });
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    made(app, body).await
}

pub(crate) fn page(form: &Value) -> String {
    format!("/f/{}", id(form))
}

/// Sends a form as a browser does.
async fn fill_in(app: &App, form: &Value, more: &[(&str, &str)]) -> Response {
    let mut pairs = vec![("email", ADA), ("consent", WORDING), ("website", "")];
    pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    pairs.extend(more);
    let request = app.anonymous().post(page(form));
    request.form(&pairs).send().await
}

async fn statuses(app: &App, list: &str) -> Vec<String> {
    let members = get(app, &format!("/api/v1/lists/{list}/members")).await;
    fields(&members, "status")
}

/// The one lead there is.
async fn only_lead(app: &App) -> Value {
    let leads = get(app, "/api/v1/leads").await;
    let items = leads["items"].as_array().expect("a page");
    assert_eq!(items.len(), 1, "{leads}");
    items[0].clone()
}

async fn timeline(app: &App, lead: &Value) -> Vec<Value> {
    let page = get(app, &format!("/api/v1/leads/{}/timeline", id(lead))).await;
    page["items"].as_array().expect("a page").clone()
}

#[actix_web::test]
async fn a_form_lives_its_life() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let asked = json!([
        { "field": "first_name", "label": "First name", "required": true },
        { "field": "attributes.plan", "label": "Plan", "required": false },
    ]);
    let form = given_form(&app, &list, json!({ "fields": asked })).await;
    assert_eq!(form["url"], format!("http://clarion.test{}", page(&form)));
    assert_eq!(form["fields"], asked);
    assert_eq!(form["double_opt_in"], true);
    assert_eq!(form["active"], true);
    assert_eq!(form["language"], "en");
    assert_eq!([&form["submissions"], &form["confirmations"]], [0, 0]);

    let (path, client) = (format!("/api/v1/forms/{}", id(&form)), marketer(&app));
    let patch = json!({
        "name": "Landing page", "language": "de", "text": "Once\na month", "button": "Go",
        "redirect_url": "https://shop.example/thanks", "origins": ["https://Shop.example/"],
        "double_opt_in": false, "active": false, "success_message": "Thanks",
    });
    let stale = client.patch(&path).header("if-match", "\"9\"").json(&patch);
    stale.send().await.assert_error(412, "version_mismatch");
    let changed = client.patch(&path).header("if-match", "\"1\"").json(&patch);
    let changed = changed.send().await.assert_status(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    let changed: Value = changed.json();
    assert_eq!(changed["origins"], json!(["https://shop.example"]));
    assert_eq!(changed["fields"], asked, "what is absent stays");
    let cleared =
        json!({ "text": null, "button": null, "redirect_url": null, "success_message": " " });
    let cleared = client.patch(&path).json(&cleared).send().await;
    let cleared: Value = cleared.assert_status(200).json();
    for field in ["text", "button", "redirect_url", "success_message"] {
        assert_eq!(cleared[field], Value::Null, "{field}");
    }
    let same = client.patch(&path).json(&json!({})).send().await;
    assert_eq!(same.header("etag"), Some("\"3\""), "nothing changed");

    let other = given_form(&app, &list, json!({ "name": "Second" })).await;
    let names = fields(&get(&app, "/api/v1/forms").await, "name");
    assert_eq!(names, ["Second", "Landing page"]);
    let first = get(&app, "/api/v1/forms?limit=1").await;
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let rest = get(&app, &format!("/api/v1/forms?limit=1&cursor={cursor}")).await;
    assert_eq!(fields(&rest, "name"), ["Landing page"]);
    client
        .get("/api/v1/forms?limit=0")
        .send()
        .await
        .assert_error(422, "invalid_input");

    let held = client.delete(format!("/api/v1/lists/{list}")).send().await;
    let held = held.assert_error(409, "list_in_use");
    assert!(held.detail.contains("form"), "{}", held.detail);
    for form in [&form, &other] {
        let path = format!("/api/v1/forms/{}", id(form));
        client.delete(&path).send().await.assert_status(204);
        for gone in [
            client.get(&path).send().await,
            client.delete(&path).send().await,
            client.patch(&path).json(&json!({})).send().await,
        ] {
            gone.assert_error(404, "form_not_found");
        }
    }
    let free = client.delete(format!("/api/v1/lists/{list}")).send().await;
    free.assert_status(204);
}

#[actix_web::test]
async fn everything_that_is_wrong_with_a_form_is_named() {
    let app = start().await;
    let client = marketer(&app);
    let long = "x".repeat(2_001);
    let field = |name: &str| json!({ "field": name, "label": "A label" });
    let many: Vec<_> = (0..21).map(|n| field(&format!("attributes.{n}"))).collect();
    let origins: Vec<_> = (0..51).map(|n| format!("https://a{n}.example")).collect();
    let cases = [
        (json!({}), vec!["/name", "/list_ids", "/title", "/wording"]),
        (
            json!({ "text": long, "button": long, "wording": long, "success_message": "\u{7}" }),
            vec!["/wording", "/text", "/success_message", "/button"],
        ),
        (json!({ "language": "xx" }), vec!["/language"]),
        (json!({ "wording": "two\nlines" }), vec!["/wording"]),
        (json!({ "fields": many }), vec!["/fields"]),
        (
            json!({ "fields": [field("email"), field("phone"), field("phone"), { "field": "company", "label": " " }] }),
            vec!["/fields/0/field", "/fields/2/field", "/fields/3/label"],
        ),
        (json!({ "origins": origins }), vec!["/origins"]),
        (
            json!({ "origins": ["https://a.example", "a.example", "https://a.example/path"] }),
            vec!["/origins/1", "/origins/2"],
        ),
        (
            json!({ "redirect_url": "javascript:alert(1)" }),
            vec!["/redirect_url"],
        ),
        (
            json!({ "redirect_url": "https://a:b@shop.example/" }),
            vec!["/redirect_url"],
        ),
        (json!({ "redirect_url": "thanks" }), vec!["/redirect_url"]),
        (
            json!({ "redirect_url": format!("https://a.example/{long}") }),
            vec!["/redirect_url"],
        ),
        (json!({ "list_ids": [] }), vec!["/list_ids"]),
        (json!({ "list_ids": [LeadId::new()] }), vec!["/list_ids/0"]),
    ];
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    let path = format!("/api/v1/forms/{}", id(&form));
    for (body, pointers) in cases {
        let refused = match body == json!({}) {
            true => client.post("/api/v1/forms"),
            false => client.patch(&path),
        };
        let refused = refused.json(&body).send().await;
        let problem = refused.assert_error(422, "invalid_input");
        let named: Vec<_> = problem.errors.iter().map(|field| &field.pointer).collect();
        assert_eq!(named, pointers, "{body}");
    }
    let unknown = client.post("/api/v1/forms").json(&json!({ "color": 1 }));
    unknown.send().await.assert_error(422, "invalid_input");
    assert_eq!(get(&app, &path).await["updated_at"], form["updated_at"]);
}

#[actix_web::test]
async fn another_workspace_and_whoever_only_reads_change_nothing() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    let path = format!("/api/v1/forms/{}", id(&form));
    let stranger = app.as_role_in(WorkspaceId::new(), Role::Owner);
    for refused in [
        stranger.get(&path).send().await,
        stranger.delete(&path).send().await,
        stranger.patch(&path).json(&json!({})).send().await,
    ] {
        refused.assert_error(404, "form_not_found");
    }
    // A list of somebody else does not exist.
    let body = json!({ "name": "x", "list_ids": [list], "title": "x", "wording": "x" });
    let taken = stranger.post("/api/v1/forms").json(&body).send().await;
    let problem = taken.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/list_ids/0");
    let reader = app.as_role(Role::Analyst);
    reader.get(&path).send().await.assert_status(200);
    let refused = reader.delete(&path).send().await;
    refused.assert_error(403, "scope_missing");
}

#[actix_web::test]
async fn whoever_has_the_address_confirms_once() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let more = json!({ "fields": [
        { "field": "first_name", "label": "First name", "required": true },
        { "field": "attributes.plan", "label": "Plan", "required": false },
    ] });
    let form = given_form(&app, &list, more).await;
    let anybody = app.anonymous();

    let shown = anybody.get(page(&form)).send().await.assert_status(200);
    let html = shown.text();
    assert!(html.contains("<form method=\"post\">"), "{html}");
    assert!(html.contains(&format!("value=\"{WORDING}\"")), "{html}");
    assert!(!html.contains("<script"));
    let policy = shown.header("content-security-policy").expect("a policy");
    assert!(policy.contains("form-action 'self';"), "{policy}");
    anybody.head(page(&form)).send().await.assert_status(200);

    let answers = [
        ("first_name", "Ada"),
        ("attributes.plan", "pro"),
        ("anonymous_id", "v-1"),
    ];
    let taken = fill_in(&app, &form, &answers).await.assert_status(200);
    assert!(taken.text().contains("Please look into your mailbox"));
    let lead = only_lead(&app).await;
    assert_eq!(lead["first_name"], "Ada");
    assert_eq!(lead["attributes"]["plan"], "pro");
    assert_eq!(lead["source"], "Footer");
    assert_eq!(statuses(&app, &list).await, ["unconfirmed"]);
    assert_eq!(app.events(), ["lead.created"]);

    let path = link(&app, 1).await;
    let mail = mails(&app).await.swap_remove(0);
    assert_eq!(mail.to.as_str(), ADA);
    assert_eq!(mail.data["wording"], WORDING);
    assert_eq!(mail.data["title"], "Our news");
    let asked = anybody.get(&path).send().await.assert_status(200);
    assert!(asked.text().contains(WORDING));
    anybody.head(&path).send().await.assert_status(200);
    assert_eq!(
        statuses(&app, &list).await,
        ["unconfirmed"],
        "looking changes nothing"
    );

    for _ in 0..2 {
        let done = anybody.post(&path).send().await.assert_status(200);
        assert!(done.text().contains("It is confirmed"));
    }
    let again = anybody.get(&path).send().await.assert_status(200);
    assert!(again.text().contains("It is confirmed"));
    assert_eq!(statuses(&app, &list).await, ["confirmed"]);
    assert_eq!(app.events(), ["lead.created", "lead.subscribed"]);
    let counted = get(&app, &format!("/api/v1/forms/{}", id(&form))).await;
    assert_eq!([&counted["submissions"], &counted["confirmations"]], [1, 1]);
    let counted = get(&app, "/api/v1/forms").await;
    assert_eq!(counted["items"][0]["confirmations"], 1);

    let items = timeline(&app, &lead).await;
    let consents: Vec<_> = items
        .iter()
        .filter(|item| item["kind"] == "consent")
        .collect();
    assert_eq!(consents.len(), 2);
    assert_eq!(consents[0]["detail"]["status"], "confirmed");
    assert_eq!(consents[0]["detail"]["method"], "double_opt_in");
    assert_eq!(consents[0]["detail"]["wording"], WORDING);
    let actor = format!("lead, by the form {}", id(&form));
    assert_eq!(consents[0]["detail"]["actor"], actor);
    assert_eq!(consents[1]["detail"]["method"], "form");
    let sent = items.iter().find(|item| item["kind"] == "submitted");
    let sent = &sent.expect("it was sent")["detail"];
    assert_eq!(sent["answers"]["first_name"], "Ada");
    assert_eq!(sent["sent_from"], "127.0.0.1");
    assert_eq!(sent["confirmed_from"], "127.0.0.1");
    let event = subscribed(&app).await;
    assert_eq!(event["email"], ADA);
    assert_eq!(event["list_ids"], json!([list]));
    assert_eq!(event["form"], "Footer");
    assert_eq!(event["anonymous_id"], "v-1");
}

/// What the others are told of a subscription.
async fn subscribed(app: &App) -> Value {
    let feed = app.as_service(Service::Analytics);
    let feed = feed.get("/internal/events?after=0&consumer=analytics");
    let feed: Value = feed.send().await.assert_status(200).json();
    let events = feed["items"].as_array().expect("events");
    let event = events
        .iter()
        .find(|event| event["event"]["type"] == "lead.subscribed");
    event.expect("an event")["event"]["data"].clone()
}

#[actix_web::test]
async fn a_link_works_for_a_week_and_for_whoever_is_there() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    fill_in(&app, &form, &[]).await.assert_status(200);
    let (path, anybody) = (link(&app, 1).await, app.anonymous());
    for bad in ["/f/confirm/nonsense".to_owned(), format!("{path}A")] {
        let shown = anybody.get(&bad).send().await.assert_status(404);
        assert!(shown.text().contains("not valid any more"));
        anybody.post(&bad).send().await.assert_status(404);
    }
    app.clock.advance(chrono::TimeDelta::days(7));
    anybody.get(&path).send().await.assert_status(200);
    app.clock.advance(chrono::TimeDelta::seconds(1));
    anybody.get(&path).send().await.assert_status(404);
    anybody.post(&path).send().await.assert_status(404);
    assert_eq!(statuses(&app, &list).await, ["unconfirmed"]);

    // Somebody asks anew, and is deleted before they confirm.
    fill_in(&app, &form, &[]).await.assert_status(200);
    let path = link(&app, 2).await;
    let lead = only_lead(&app).await;
    let lead = format!("/api/v1/leads/{}", id(&lead));
    marketer(&app).delete(lead).send().await.assert_status(204);
    anybody.get(&path).send().await.assert_status(404);
    anybody.post(&path).send().await.assert_status(404);
    assert_eq!(app.events(), ["lead.created", "lead.deleted"]);
    let counted = get(&app, &format!("/api/v1/forms/{}", id(&form))).await;
    assert_eq!(counted["submissions"], 0, "what they sent is forgotten");
}

#[actix_web::test]
async fn what_was_sent_outlives_its_form_and_not_its_lists() {
    let app = start().await;
    take_mails(&app).await;
    let (news, offers) = (
        given_list(&app, "News").await,
        given_list(&app, "Offers").await,
    );
    let form = given_form(
        &app,
        &news,
        json!({ "list_ids": [news, offers], "language": "de" }),
    )
    .await;
    let taken = fill_in(&app, &form, &[]).await.assert_status(200);
    assert!(taken.text().contains("Bitte sehen Sie in Ihr Postfach"));
    assert!(taken.text().contains("<html lang=\"de\">"));
    let path = link(&app, 1).await;
    assert!(mails(&app).await[0].subject.starts_with("Bitte bestätigen"));
    let client = marketer(&app);
    let of_form = format!("/api/v1/forms/{}", id(&form));
    client.delete(of_form).send().await.assert_status(204);
    let of_list = format!("/api/v1/lists/{offers}");
    client.delete(of_list).send().await.assert_status(204);
    app.anonymous()
        .get(page(&form))
        .send()
        .await
        .assert_status(404);
    app.anonymous().get(&path).send().await.assert_status(200);
    app.anonymous().post(&path).send().await.assert_status(200);
    assert_eq!(statuses(&app, &news).await, ["confirmed"]);
    assert_eq!(subscribed(&app).await["list_ids"], json!([news]));
}

#[actix_web::test]
async fn without_a_confirmation_people_are_on_the_list_at_once() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let more = json!({
        "double_opt_in": false, "redirect_url": "https://shop.example/thanks?a=1",
        "fields": [{ "field": "company", "label": "Company", "required": false }],
    });
    let form = given_form(&app, &list, more).await;
    let shown = app.anonymous().get(page(&form)).send().await;
    let policy = shown.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("form-action 'self' https://shop.example;"),
        "{policy}"
    );
    let taken = fill_in(&app, &form, &[("company", "Engines")]).await;
    let taken = taken.assert_status(303);
    assert_eq!(
        taken.header("location"),
        Some("https://shop.example/thanks?a=1")
    );
    assert_eq!(statuses(&app, &list).await, ["confirmed"]);
    assert_eq!(app.events(), ["lead.created", "lead.subscribed"]);
    let counted = get(&app, &format!("/api/v1/forms/{}", id(&form))).await;
    assert_eq!([&counted["submissions"], &counted["confirmations"]], [1, 1]);
    assert!(mails(&app).await.is_empty());
}

#[actix_web::test]
async fn a_stranger_changes_nothing_of_whoever_is_known() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let known = json!({ "email": ADA, "first_name": "Ada", "attributes": { "plan": "free" } });
    let lead = given_lead(&app, known).await;
    let asked = json!([
        { "field": "first_name", "label": "First name" },
        { "field": "last_name", "label": "Last name" },
        { "field": "phone", "label": "Phone" },
        { "field": "attributes.plan", "label": "Plan" },
        { "field": "attributes.size", "label": "Size" },
    ]);
    let single = json!({ "fields": asked, "double_opt_in": false });
    let single = given_form(&app, &list, single).await;
    let answers = [
        ("first_name", "Eve"),
        ("last_name", "Lovelace"),
        ("attributes.plan", "pro"),
        ("attributes.size", "m"),
    ];
    let taken = fill_in(&app, &single, &answers).await.assert_status(200);
    // What is empty is filled; the rest only its owner changes.
    let now = get(&app, &format!("/api/v1/leads/{}", id(&lead))).await;
    assert_eq!(now["first_name"], "Ada");
    assert_eq!(now["last_name"], "Lovelace");
    assert_eq!(now["phone"], Value::Null);
    assert_eq!(now["attributes"], json!({ "plan": "free", "size": "m" }));
    let fresh = fill_in(&app, &single, &[("email", "new@example.com")]).await;
    assert_eq!(
        fresh.assert_status(200).text().len(),
        taken.text().len(),
        "the answer tells nothing"
    );

    app.clock.advance(chrono::TimeDelta::minutes(2));
    let double = given_form(&app, &list, json!({ "fields": asked })).await;
    fill_in(&app, &double, &answers).await.assert_status(200);
    let path = link(&app, 1).await;
    let before = get(&app, &format!("/api/v1/leads/{}", id(&lead))).await;
    assert_eq!(before["first_name"], "Ada");
    app.anonymous().post(&path).send().await.assert_status(200);
    let after = get(&app, &format!("/api/v1/leads/{}", id(&lead))).await;
    assert_eq!(
        after["first_name"], "Eve",
        "whoever has the address says so"
    );
    assert_eq!(after["attributes"]["plan"], "pro");
    // They were on the list before, and agreed anew.
    let items = timeline(&app, &lead).await;
    let methods: Vec<_> = items
        .iter()
        .filter(|item| item["kind"] == "consent")
        .map(|item| item["detail"]["method"].as_str().expect("a method"))
        .collect();
    assert_eq!(methods, ["double_opt_in", "form"]);
}

#[actix_web::test]
async fn who_left_comes_back_only_by_their_own_confirmation() {
    let app = start().await;
    take_mails(&app).await;
    let (news, offers) = (
        given_list(&app, "News").await,
        given_list(&app, "Offers").await,
    );
    let lead = given_lead(&app, json!({ "email": ADA })).await;
    join(&app, &news, &lead, "unsubscribed").await;
    let body = json!({ "address": ADA, "reason": "unsubscribe" });
    let suppressed = marketer(&app).post("/api/v1/suppressions").json(&body);
    suppressed.send().await.assert_status(201);
    let more = json!({ "list_ids": [news, offers], "double_opt_in": false });
    let form = given_form(&app, &news, more).await;
    fill_in(&app, &form, &[]).await.assert_status(200);
    assert_eq!(statuses(&app, &news).await, ["unsubscribed"]);
    assert_eq!(statuses(&app, &offers).await, ["unconfirmed"]);
    let held = get(&app, "/api/v1/suppressions").await;
    assert_eq!(fields(&held, "reason"), ["unsubscribe"]);

    let path = link(&app, 1).await;
    app.anonymous().post(&path).send().await.assert_status(200);
    assert_eq!(statuses(&app, &news).await, ["confirmed"]);
    assert_eq!(statuses(&app, &offers).await, ["confirmed"]);
    assert_eq!(get(&app, "/api/v1/suppressions").await["items"], json!([]));
    let ledger = timeline(&app, &lead).await;
    assert!(
        ledger
            .iter()
            .any(|item| item["detail"]["status"] == "resubscribed")
    );
    let ends = ["suppression.removed", "lead.subscribed"];
    assert_eq!(app.events().last_chunk(), Some(&ends.map(str::to_owned)));
    // Who leaves after that is not brought back by the old link.
    let member = format!("/api/v1/lists/{news}/members/{}", id(&lead));
    let body = json!({ "status": "unsubscribed" });
    let left = marketer(&app).patch(member).json(&body).send().await;
    left.assert_status(200);
    app.anonymous().post(&path).send().await.assert_status(200);
    assert_eq!(statuses(&app, &news).await, ["unsubscribed"]);
}

#[actix_web::test]
async fn who_complained_or_gets_no_mail_stays_suppressed_without_a_word() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    for (address, reason) in [
        ("a@example.com", "complaint"),
        ("b@example.com", "hard_bounce"),
        ("c@example.com", "manual"),
    ] {
        let body = json!({ "address": address, "reason": reason });
        let request = marketer(&app).post("/api/v1/suppressions").json(&body);
        request.send().await.assert_status(201);
        let taken = fill_in(&app, &form, &[("email", address)]).await;
        let taken = taken.assert_status(200);
        assert!(taken.text().contains("Please look into your mailbox"));
    }
    assert_eq!(get(&app, "/api/v1/leads").await["items"], json!([]));
    assert_eq!(statuses(&app, &list).await, [""; 0]);
    assert_eq!(app.events(), ["suppression.added"; 3]);
}

#[actix_web::test]
async fn nobodys_mailbox_is_filled() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    let submissions = async || {
        let form = get(&app, &format!("/api/v1/forms/{}", id(&form))).await;
        form["submissions"].as_i64().expect("a count")
    };
    for _ in 0..3 {
        fill_in(&app, &form, &[]).await.assert_status(200);
    }
    assert_eq!(submissions().await, 1, "a mail is on its way");
    for _ in 0..15 {
        app.clock.advance(chrono::TimeDelta::minutes(2));
        fill_in(&app, &form, &[]).await.assert_status(200);
    }
    assert_eq!(submissions().await, 10);
    app.clock.advance(chrono::TimeDelta::days(1));
    fill_in(&app, &form, &[]).await.assert_status(200);
    assert_eq!(submissions().await, 11);
}

#[actix_web::test]
async fn a_program_that_fills_in_what_nobody_sees_is_thanked_and_passed_over() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({ "success_message": "Thanks\nfor <b>" })).await;
    let trapped = fill_in(&app, &form, &[("website", "https://spam.example")]).await;
    let trapped = trapped.assert_status(200);
    assert!(trapped.text().contains("Thanks\nfor &lt;b&gt;"));
    assert_eq!(get(&app, "/api/v1/leads").await["items"], json!([]));
    assert!(app.events().is_empty());
    let counted = get(&app, &format!("/api/v1/forms/{}", id(&form))).await;
    assert_eq!(counted["submissions"], 0);
}

#[actix_web::test]
async fn a_person_is_shown_what_is_wrong_beside_what_they_wrote() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let more = json!({
        "language": "de", "text": "Eine Mail\nim Monat <i>", "button": "Los \"jetzt\"",
        "fields": [
            { "field": "last_name", "label": "Name <b>", "required": true },
            { "field": "phone", "label": "Telefon", "required": false },
        ],
    });
    let form = given_form(&app, &list, more).await;
    let long = "1".repeat(51);
    let sent = [
        ("email", "\"><script>alert(1)</script>"),
        ("consent", "on"),
        ("phone", &long),
        ("anonymous_id", "\"><i>"),
    ];
    let page = fill_in(&app, &form, &sent).await.assert_status(422);
    let html = page.text();
    for part in [
        "<html lang=\"de\">",
        "role=\"alert\"",
        "value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\"",
        "Bitte geben Sie eine E-Mail-Adresse",
        "Name &lt;b&gt;<span class=\"wrong\">Bitte füllen Sie das aus.",
        "Telefon (freiwillig)<span class=\"wrong\">Bitte kürzen Sie das; erlaubt sind so viele Zeichen: 50.",
        "Bitte stimmen Sie zu.",
        "Eine Mail\nim Monat &lt;i&gt;",
        "Los &quot;jetzt&quot;",
        "value=\"&quot;&gt;&lt;i&gt;\"",
        "aria-invalid=\"true\"",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<script"), "{html}");
    assert!(app.events().is_empty());
    // What was right stays.
    let again = fill_in(&app, &form, &[("email", "ada")])
        .await
        .assert_status(422);
    assert!(again.text().contains(" checked"));
    // Whoever leads people here says which visitor it is.
    let path = format!("/f/{}?anonymous_id=v%221", id(&form));
    let shown = app.anonymous().get(path).send().await.assert_status(200);
    assert!(
        shown
            .text()
            .contains("name=\"anonymous_id\" value=\"v&quot;1\"")
    );
}

#[actix_web::test]
async fn a_program_sends_json_and_is_told_in_json() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(
        &app,
        &list,
        json!({ "redirect_url": "https://shop.example/" }),
    )
    .await;
    let send = |body: Value| {
        let request = app.anonymous().post(page(&form)).json(&body);
        async move { request.send().await }
    };
    let taken = send(json!({ "email": ADA, "consent": WORDING })).await;
    let told: Value = taken.assert_status(202).json();
    assert_eq!(told["confirmation"], true);
    assert_eq!(told["redirect_url"], "https://shop.example/");
    assert!(told["message"].as_str().expect("a text").contains("mail"));
    assert_eq!(statuses(&app, &list).await, ["unconfirmed"]);

    let wrong = send(json!({ "email": "ada" })).await;
    let problem = wrong.assert_error(422, "invalid_input");
    let pointers: Vec<_> = problem.errors.iter().map(|field| &field.pointer).collect();
    assert_eq!(pointers, ["/email", "/consent"]);
    let unknown = send(json!({ "email": ADA, "consent": WORDING, "status": "lost" })).await;
    let problem = unknown.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/status");
    let number = send(json!({ "email": 7 })).await;
    let problem = number.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/email");
    let broken = app.anonymous().post(page(&form));
    let broken = broken.header("content-type", "application/json").body("{");
    broken.send().await.assert_error(400, "malformed_body");
    let text = app.anonymous().post(page(&form)).body("email=ada");
    text.send().await.assert_error(415, "no_form");
    // A script that sends a form of a page asks for JSON by its Accept.
    let script = app.anonymous().post(page(&form)).form(&[("email", "x")]);
    let script = script.header("accept", "application/json").send().await;
    script.assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn a_form_that_is_closed_or_was_never_there_says_so() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({ "active": false })).await;
    let shown = app.anonymous().get(page(&form)).send().await;
    assert!(
        shown
            .assert_status(410)
            .text()
            .contains("This form is closed")
    );
    let sent = fill_in(&app, &form, &[]).await.assert_status(410);
    assert!(sent.text().contains("This form is closed"));
    let body = json!({ "email": ADA, "consent": WORDING });
    let told = app.anonymous().post(page(&form)).json(&body).send().await;
    told.assert_error(410, "form_closed");
    for nowhere in [format!("/f/{}", FormId::new()), "/f/nonsense".into()] {
        let shown = app.anonymous().get(&nowhere).send().await;
        assert!(
            shown
                .assert_status(404)
                .text()
                .contains("There is no form here")
        );
        let sent = app.anonymous().post(&nowhere).form(&[("email", ADA)]);
        sent.send().await.assert_status(404);
        let told = app.anonymous().post(&nowhere).json(&body).send().await;
        told.assert_error(404, "form_not_found");
    }
    assert!(app.events().is_empty());
}

#[actix_web::test]
async fn only_pages_of_listed_origins_send_a_form_that_lists_some() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({ "origins": ["https://shop.example"] })).await;
    let from = |headers: &[(&str, &str)]| {
        let mut request = app.anonymous().post(page(&form));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.form(&[("email", "x")]);
        async move { request.send().await }
    };
    for strange in ["https://evil.example", "null"] {
        let refused = from(&[("origin", strange)]).await;
        refused.assert_error(403, "origin_not_allowed");
    }
    let cross = [("origin", "null"), ("sec-fetch-site", "cross-site")];
    from(&cross).await.assert_error(403, "origin_not_allowed");
    // What comes through is wrong in another way.
    from(&[("origin", "https://shop.example")])
        .await
        .assert_status(422);
    from(&[("origin", "http://clarion.test")])
        .await
        .assert_status(422);
    let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    from(&own).await.assert_status(422);
    from(&[]).await.assert_status(422);
    let open = given_form(&app, &list, json!({})).await;
    let anywhere = app.anonymous().post(page(&open)).form(&[("email", "x")]);
    let anywhere = anywhere.header("origin", "https://evil.example").send();
    anywhere.await.assert_status(422);
}

#[actix_web::test]
async fn a_mail_that_notifications_refuses_is_not_tried_again() {
    let app = start().await;
    let refused = common::Problem {
        status: 422,
        code: "invalid_input".into(),
        title: "x".into(),
        detail: "no such domain".into(),
        errors: Vec::new(),
        request_id: "x".into(),
    };
    Mock::given(path("/internal/messages"))
        .respond_with(ResponseTemplate::new(422).set_body_json(&refused))
        .mount(&app.peer(Service::Notifications).server)
        .await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    fill_in(&app, &form, &[]).await.assert_status(200);
    eventually("the job has ended", || async {
        let mut conn = app.connect();
        let waiting =
            chassis::jobs::waiting(&mut conn, app.clock.now() + chrono::TimeDelta::days(1));
        waiting.expect("jobs can be counted") == 0
    })
    .await;
    assert_eq!(mails(&app).await.len(), 1);
    assert_eq!(statuses(&app, &list).await, ["unconfirmed"]);
}
