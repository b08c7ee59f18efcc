//! People for whom only an unconfirmed form speaks: no campaign reaches them, and when nobody
//! confirms they are forgotten.

use ::leads::Leads;
use chrono::TimeDelta;
use common::auth::Service;
use common::dto::audience::{AudienceCount, AudiencePage, Standing};
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};
use testkit::{Response, Setup, eventually};

use crate::forms::{given_form, link, mails, page, take_mails};
use crate::support::{
    App, counts, get, given_lead, given_list, given_segment, id, import, join, marketer, rows,
    start,
};

const ADA: &str = "ada@example.com";
const WORDING: &str = "Write to me once a month.";

async fn send(app: &App, form: &Value, email: &str) -> Response {
    let sent = [("email", email), ("consent", WORDING)];
    let sent = app.anonymous().post(page(form)).form(&sent).send().await;
    sent.assert_status(200)
}

/// Everybody of the workspace: a segment that asks for nothing.
async fn everybody(app: &App) -> Value {
    let segment = given_segment(app, json!({ "all": [] })).await;
    json!({ "workspace_id": app.workspace, "audience": { "segment_ids": [segment] }, "as_of": app.clock.now() })
}

/// Whom of everybody a campaign may write to. Counts, pages and gaps agree about it.
async fn reached(app: &App) -> Vec<String> {
    let query = everybody(app).await;
    let campaigns = app.as_service(Service::Campaigns);
    let ask = async |what: &str, body: Value| {
        let request = campaigns.post(format!("/internal/audience/{what}"));
        request.json(&body).send().await.assert_status(200)
    };
    let body = json!({ "query": query, "after": null, "limit": 100 });
    let page: AudiencePage = ask("page", body).await.json();
    let of = page.items.len() as i64;
    let sendable = page.items.into_iter();
    let sendable = sendable.filter(|one| one.standing == Standing::Sendable);
    let reached: Vec<_> = sendable.map(|one| one.email).collect();
    let count: AudienceCount = ask("count", query.clone()).await.json();
    assert_eq!((count.count, count.sendable), (of, reached.len() as i64));
    let body = json!({ "query": query, "variables": ["nickname"] });
    let gaps: Value = ask("gaps", body).await.json();
    assert_eq!(gaps[0]["missing"], reached.len());
    reached
}

async fn lead(app: &App, email: &str) -> Option<Value> {
    let page = get(app, &format!("/api/v1/leads?q={email}")).await;
    page["items"].as_array().expect("a page").first().cloned()
}

async fn standing(app: &App, list: &str, lead: &Value) -> Option<String> {
    let page = get(app, &format!("/api/v1/leads/{}/lists", id(lead))).await;
    let items = page["items"].as_array().expect("a page");
    let on = items.iter().find(|item| item["list_id"] == *list)?;
    Some(on["status"].as_str().expect("a status").to_owned())
}

/// Starts another replica, which sweeps at once, and waits until so much is left of what was sent.
async fn swept(app: &App, what: &str, left: i64) {
    let replica: App = Setup::default().beside(app).start::<Leads>().await;
    eventually(what, || async { rows(app, "form_submissions") == left }).await;
    drop(replica);
}

#[actix_web::test]
async fn a_segment_does_not_reach_who_never_confirmed_a_form() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    let known = given_lead(&app, json!({ "email": "known@example.com" })).await;
    assert_eq!(known["unconfirmed"], false);
    send(&app, &form, ADA).await;
    // Anybody may send a form, so it takes nothing from whoever was known before.
    send(&app, &form, "known@example.com").await;
    assert_eq!(lead(&app, ADA).await.expect("a lead")["unconfirmed"], true);
    assert_eq!(reached(&app).await, ["known@example.com"]);

    // Neither an edit nor another unconfirmed form speaks for them.
    let ada = lead(&app, ADA).await.expect("a lead");
    let edit = marketer(&app).patch(format!("/api/v1/leads/{}", id(&ada)));
    let edit = edit.json(&json!({ "score": 7 })).send().await;
    assert_eq!(edit.assert_status(200).json::<Value>()["unconfirmed"], true);
    app.clock.advance(TimeDelta::minutes(2));
    let other = given_form(&app, &list, json!({ "name": "Other" })).await;
    send(&app, &other, ADA).await;
    assert_eq!(reached(&app).await, ["known@example.com"]);

    // Who leaves a list without ever having confirmed, or whose list is gone, is as unknown.
    let member = format!("/api/v1/lists/{list}/members/{}", id(&ada));
    let removed = marketer(&app).delete(member).send().await;
    removed.assert_status(204);
    assert_eq!(reached(&app).await, ["known@example.com"]);

    let path = link_of(&app, ADA).await;
    app.anonymous().post(path).send().await.assert_status(200);
    assert_eq!(reached(&app).await, ["known@example.com", ADA]);
    assert_eq!(lead(&app, ADA).await.expect("a lead")["unconfirmed"], false);
}

#[actix_web::test]
async fn whoever_puts_a_person_on_a_list_answers_for_them() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let double = given_form(&app, &list, json!({})).await;
    let addresses = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"];
    for address in addresses {
        send(&app, &double, address).await;
    }
    assert_eq!(reached(&app).await, [""; 0]);

    let a = lead(&app, addresses[0]).await.expect("a lead");
    join(&app, &list, &a, "unsubscribed").await;
    join(&app, &list, &a, "unconfirmed").await;
    assert_eq!(reached(&app).await, [""; 0]);
    join(&app, &list, &a, "confirmed").await;
    assert_eq!(reached(&app).await, addresses[..1]);

    // A form that asks nobody is the word of whoever made it.
    app.clock.advance(TimeDelta::minutes(2));
    let single = json!({ "name": "Single", "double_opt_in": false });
    let single = given_form(&app, &list, single).await;
    send(&app, &single, addresses[1]).await;
    assert_eq!(reached(&app).await, addresses[..2]);

    let file = format!("email\n{}\nnew@x.example\n", addresses[2]);
    for held in ["unconfirmed", "unsubscribed"] {
        let query = format!("?list_id={list}&list_status={held}");
        let done = import(&app, &query, file.clone()).await;
        assert_eq!(done["status"], "done");
        assert_eq!(reached(&app).await, addresses[..2], "{held}");
    }
    let fresh = lead(&app, "new@x.example").await.expect("a lead");
    assert_eq!(fresh["unconfirmed"], true);
    // A file without a list is of people whom the importer knows.
    let done = import(&app, "", file).await;
    assert_eq!(counts(&done), [2, 0, 2, 0, 0]);
    let known = [addresses[0], addresses[1], addresses[2], "new@x.example"];
    assert_eq!(reached(&app).await, known);
}

#[actix_web::test]
async fn who_left_before_and_is_not_known_any_more_is_held_by_any_form() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let body = json!({ "address": ADA, "reason": "unsubscribe" });
    let suppressed = marketer(&app).post("/api/v1/suppressions").json(&body);
    suppressed.send().await.assert_status(201);
    let single = given_form(&app, &list, json!({ "double_opt_in": false })).await;
    send(&app, &single, ADA).await;
    assert_eq!(lead(&app, ADA).await.expect("a lead")["unconfirmed"], true);
    let path = link(&app, 1).await;
    app.anonymous().post(path).send().await.assert_status(200);
    assert_eq!(reached(&app).await, [ADA]);
}

#[actix_web::test]
async fn what_nobody_confirms_in_thirty_days_is_forgotten() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    let known = given_lead(&app, json!({ "email": "known@example.com" })).await;
    let listed = given_lead(&app, json!({ "email": "listed@example.com" })).await;
    join(&app, &list, &listed, "unconfirmed").await;
    let all = [
        ADA,
        "known@example.com",
        "listed@example.com",
        "edited@example.com",
        "done@example.com",
    ];
    for address in all {
        send(&app, &form, address).await;
    }
    let edited = lead(&app, all[3]).await.expect("a lead");
    let edit = marketer(&app).patch(format!("/api/v1/leads/{}", id(&edited)));
    let edit = edit.json(&json!({ "tags": ["met"] })).send().await;
    edit.assert_status(200);
    let done = link_of(&app, "done@example.com").await;
    app.anonymous().post(done).send().await.assert_status(200);

    // Not before the time.
    app.clock.advance(TimeDelta::days(30));
    send(&app, &form, "later@example.com").await;
    let submitted = async || {
        let form = get(&app, &format!("/api/v1/forms/{}", id(&form))).await;
        [form["submissions"].clone(), form["confirmations"].clone()]
    };
    app.clock.advance(TimeDelta::seconds(1));
    swept(&app, "it is forgotten", 2).await;

    assert_eq!(lead(&app, ADA).await, None);
    assert_eq!(
        app.events().last().map(String::as_str),
        Some("lead.deleted")
    );
    // Whoever else speaks for the others, the form does not any more.
    assert_eq!(standing(&app, &list, &known).await, None);
    assert_eq!(standing(&app, &list, &edited).await, None);
    let unconfirmed = Some("unconfirmed".to_owned());
    assert_eq!(standing(&app, &list, &listed).await, unconfirmed);
    let done = lead(&app, "done@example.com").await.expect("a lead");
    assert_eq!(
        standing(&app, &list, &done).await.as_deref(),
        Some("confirmed")
    );
    let later = lead(&app, "later@example.com").await.expect("a lead");
    assert_eq!(standing(&app, &list, &later).await, unconfirmed);
    assert_eq!(
        reached(&app).await,
        [
            "known@example.com",
            "listed@example.com",
            "done@example.com"
        ]
    );
    // What was counted stays counted, and the ledger says what became of it.
    assert_eq!(submitted().await, [json!(6), json!(1)]);
    let timeline = get(&app, &format!("/api/v1/leads/{}/timeline", id(&known))).await;
    let last = &timeline["items"][0];
    assert_eq!(last["detail"]["status"], "removed");
    assert_eq!(last["detail"]["method"], "lapsed");
    assert_eq!(last["detail"]["actor"], "clarion");
    assert_eq!(last["detail"]["wording"], WORDING);
}

#[actix_web::test]
async fn who_sent_it_again_waits_for_the_last_one() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    send(&app, &form, ADA).await;
    app.clock.advance(TimeDelta::days(20));
    send(&app, &form, ADA).await;
    app.clock.advance(TimeDelta::days(11));
    swept(&app, "the first is forgotten", 1).await;
    let ada = lead(&app, ADA).await.expect("a lead");
    let unconfirmed = Some("unconfirmed".to_owned());
    assert_eq!(standing(&app, &list, &ada).await, unconfirmed);
    app.clock.advance(TimeDelta::days(20));
    swept(&app, "so is the second", 0).await;
    assert_eq!(lead(&app, ADA).await, None);
}

#[actix_web::test]
async fn what_people_who_are_gone_left_behind_is_forgotten_too() {
    let app = start().await;
    take_mails(&app).await;
    let list = given_list(&app, "News").await;
    let form = given_form(&app, &list, json!({})).await;
    send(&app, &form, ADA).await;
    // A process of the release before, which did not know of a form that came at the same time.
    let mut conn = app.connect();
    conn.batch_execute("DELETE FROM leads").expect("good SQL");
    app.clock.advance(TimeDelta::days(31));
    swept(&app, "it is forgotten", 0).await;
}

/// The path of the link in the mail to this address.
async fn link_of(app: &App, address: &str) -> String {
    let mail = async || {
        mails(app)
            .await
            .into_iter()
            .find(|mail| mail.to.as_str() == address)
    };
    eventually("the mail", || async { mail().await.is_some() }).await;
    let mail = mail().await.expect("it was there");
    let url = mail.data["url"].as_str().expect("a link");
    let path = url.strip_prefix("http://clarion.test").expect("our own");
    path.to_owned()
}
