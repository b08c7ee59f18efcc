//! A form from its making to a confirmed member, through the gateway, leads, notifications and SMTP.

use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::platform::{Launch, Platform};

const ADA: &str = "ada@people.example";
const WORDING: &str = "Write to me once a month.";

/// The path of the link in the mail that asks for a confirmation.
async fn asked(platform: &Platform) -> String {
    let mailbox = Client::new(&platform.url, None);
    let list = async || {
        let page = mailbox
            .get("/mailbox/messages.json")
            .query(&[("rcpt", ADA)]);
        let page: Value = page.send().await.assert_status(200).json();
        page["items"].as_array().expect("items").clone()
    };
    eventually("the mail arrives", || async { !list().await.is_empty() }).await;
    let id = list().await[0]["id"].as_str().expect("an id").to_owned();
    let mail = mailbox.get(format!("/mailbox/messages/{id}.json")).send();
    let mail: Value = mail.await.assert_status(200).json();
    assert_eq!(mail["subject"], "Please confirm: Our news");
    let text = mail["text"].as_str().expect("a text");
    assert!(text.contains(WORDING), "{text}");
    let (_, rest) = text.split_once(&platform.url).expect("a link");
    rest.split_whitespace().next().expect("a path").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_subscribes_by_a_form_confirms_it_and_is_a_goal() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let owner = platform.owner().await;
    let made = async |path: &str, body: Value| -> Value {
        let sent = owner.post(path).json(&body).send().await;
        sent.assert_status(201).json()
    };
    let list = made("/api/v1/lists", json!({ "name": "News" })).await;
    let form = json!({
        "name": "Footer", "title": "Our news", "wording": WORDING, "list_ids": [list["id"]],
        "fields": [{ "field": "first_name", "label": "First name", "required": true }],
        "origins": ["https://shop.example"],
    });
    let form = made("/api/v1/forms", form).await;
    let url = form["url"].as_str().expect("a URL");
    let path = url.strip_prefix(&platform.url).expect("our own");

    let anybody = Client::new(&platform.url, None);
    let page = anybody.get(path).send().await.assert_status(200);
    assert!(page.text().contains("First name"), "{}", page.text());
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    // A page elsewhere sends the same fields; a browser asks first, and says where it stands.
    let sent = [("email", ADA), ("first_name", "Ada"), ("consent", WORDING)];
    let elsewhere = anybody.post(path).header("origin", "https://evil.example");
    let refused = elsewhere.form(&sent).send().await;
    refused.assert_error(403, "origin_not_allowed");
    let shop = anybody.post(path).header("origin", "https://shop.example");
    let taken = shop.form(&sent).send().await.assert_status(200);
    assert_eq!(taken.header("access-control-allow-origin"), Some("*"));

    let members = format!(
        "/api/v1/lists/{}/members",
        list["id"].as_str().expect("an id")
    );
    let member = async || -> Value {
        let page: Value = owner.get(&members).send().await.assert_status(200).json();
        page["items"][0].clone()
    };
    assert_eq!(member().await["status"], "unconfirmed");
    let link = asked(&platform).await;
    let asked = anybody.get(&link).send().await.assert_status(200);
    assert!(asked.text().contains("Yes, I agree"), "{}", asked.text());
    anybody.post(&link).send().await.assert_status(200);
    assert_eq!(member().await["status"], "confirmed");
    assert_eq!(member().await["email"], ADA);
    eventually("analytics knows", || async {
        let goals = owner.get("/api/v1/analytics/goals").send().await;
        let goals: Value = goals.assert_status(200).json();
        goals["items"][0]["name"] == "Subscribed"
    })
    .await;

    // Each form that is sent may lead to a mail: who sends many is told to wait, so that the page
    // elsewhere may read it.
    let mut sent = 0;
    let refused = loop {
        let shop = anybody.post(path).header("origin", "https://shop.example");
        let answer = shop.form(&[("email", "x")]).send().await;
        if answer.status == 429 {
            break answer;
        }
        answer.assert_status(422);
        sent += 1;
        assert!(sent < 1_000, "nobody is held back");
    };
    assert!(sent > 50, "people are let through: {sent}");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    let exposed = refused.header("access-control-expose-headers");
    assert!(exposed.is_some_and(|names| names.contains("retry-after")));
    let wait = refused.header("retry-after").expect("when to come again");
    assert_eq!(wait, "1");
    refused.assert_error(429, "rate_limited");
    assert_eq!(platform.stop(), Some(0));
}
