//! What mail providers tell by HTTP.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use chrono::TimeDelta;
use common::auth::Role;
use common::ids::WorkspaceId;
use data_encoding::{BASE64, HEXLOWER};
use diesel::prelude::*;
use serde_json::{Value, json};

use crate::support::{World, person};

const MAILGUN_KEY: &str = "key-0123456789";

/// A message that was sent, and a way to tell of it.
pub(crate) struct Told {
    pub(crate) world: World,
    /// Its id.
    pub(crate) id: String,
}

impl Told {
    async fn start() -> Self {
        Self::of(World::start().await).await
    }

    pub(crate) async fn of(world: World) -> Self {
        let campaign = world.campaign().await;
        campaign.hand_over(&[person("Ada@example.com")]).await;
        campaign.order("complete").await;
        campaign.until("it is sent", |s| s.settled).await;
        let id = campaign.messages("accepted").await[0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        Self { world, id }
    }

    /// The path of a new hook.
    pub(crate) async fn hook(&self, provider: &str, secret: Option<&str>) -> String {
        let body = json!({ "provider": provider, "secret": secret });
        let owner = self.world.app.as_role(Role::Owner);
        let made = owner.post("/api/v1/hooks").json(&body).send().await;
        let made: Value = made.assert_status(201).json();
        let url = made["url"].as_str().expect("a URL");
        let path = url
            .strip_prefix("http://clarion.test")
            .expect("ours")
            .to_owned();
        assert!(path.starts_with(&format!("/hooks/{provider}/")), "{path}");
        path
    }

    async fn tell(&self, path: &str, body: &Value) {
        let anonymous = self.world.app.anonymous();
        anonymous
            .post(path)
            .json(body)
            .send()
            .await
            .assert_status(204);
    }

    pub(crate) async fn feedback(&self) -> Vec<Value> {
        let path = format!("/api/v1/messages/{}", self.id);
        let message: Value = self
            .world
            .app
            .as_role(Role::Marketer)
            .get(path)
            .send()
            .await
            .json();
        assert_eq!(message["outcome"], "accepted");
        message["feedback"].as_array().expect("a list").clone()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.world.app.events().into_iter();
        events.filter(|kind| kind.starts_with("address.")).collect()
    }

    pub(crate) fn rows(&self) -> i64 {
        diesel::sql_query("SELECT count(*) AS count FROM feedback")
            .get_result::<Count>(&mut self.world.app.connect())
            .expect("a count")
            .count
    }

    /// What Mailgun tells, signed so long ago.
    fn mailgun(&self, event: Value, hours_ago: i64, key: &str) -> Value {
        let at = self.world.app.clock.now() - TimeDelta::hours(hours_ago);
        let (timestamp, token) = (at.timestamp().to_string(), "c0ffee");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        let tag = hmac::sign(&key, format!("{timestamp}{token}").as_bytes());
        json!({
            "signature": { "timestamp": timestamp, "token": token, "signature": HEXLOWER.encode(tag.as_ref()) },
            "event-data": event,
        })
    }

    fn failed(&self, severity: &str, code: &str) -> Value {
        json!({
            "event": "failed", "severity": severity, "reason": "generic", "id": "x",
            "timestamp": 1790000000.5, "recipient": "ada@example.com",
            "delivery-status": { "code": 550, "enhanced-code": code, "message": "no Ada here" },
            "message": { "headers": { "message-id": format!("{}@sender.example", self.id) } },
        })
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::Int8)]
    count: i64,
}

#[actix_web::test]
async fn mailgun_tells_of_a_message() {
    let told = Told::start().await;
    let path = told.hook("mailgun", Some(MAILGUN_KEY)).await;
    // Out of order, and twice.
    let complained = json!({
        "event": "complained", "recipient": "ada@example.com",
        "message": { "headers": { "message-id": format!("{}@sender.example", told.id) } },
    });
    for event in [
        complained.clone(),
        told.failed("permanent", "5.1.1"),
        complained,
        told.failed("permanent", "5.1.1"),
        told.failed("temporary", "4.2.2"),
        json!({ "event": "opened", "recipient": "ada@example.com" }),
    ] {
        told.tell(&path, &told.mailgun(event, 0, MAILGUN_KEY)).await;
    }
    let feedback = told.feedback().await;
    let classes: Vec<_> = feedback.iter().map(|told| told["class"].clone()).collect();
    assert_eq!(classes.len(), 2, "{feedback:?}");
    let hard = feedback
        .iter()
        .find(|told| told["class"] == "hard")
        .expect("a bounce");
    assert_eq!(hard["diagnostic"], "no Ada here");
    assert_eq!(hard["status"], "5.1.1");
    assert_eq!(hard["source"], "mailgun");
    assert_eq!(told.events(), ["address.complained", "address.bounced"]);
}

#[actix_web::test]
async fn what_mailgun_did_not_sign_is_refused_and_not_kept() {
    let told = Told::start().await;
    let path = told.hook("mailgun", Some(MAILGUN_KEY)).await;
    let event = told.failed("permanent", "5.1.1");
    let mut odd_time = told.mailgun(event.clone(), 0, MAILGUN_KEY);
    odd_time["signature"]["timestamp"] = json!("soon");
    let mut odd_tag = told.mailgun(event.clone(), 0, MAILGUN_KEY);
    odd_tag["signature"]["signature"] = json!("zz");
    for body in [
        told.mailgun(event.clone(), 0, "another"),
        told.mailgun(event.clone(), 13, MAILGUN_KEY),
        told.mailgun(event.clone(), -13, MAILGUN_KEY),
        odd_time,
        odd_tag,
        json!({ "event-data": event }),
    ] {
        let refused = told
            .world
            .app
            .anonymous()
            .post(&path)
            .json(&body)
            .send()
            .await;
        refused.assert_error(403, "hook_signature_invalid");
    }
    assert_eq!((told.rows(), told.events()), (0, vec![]));
}

/// A key pair as SendGrid has one.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
    }

    /// SubjectPublicKeyInfo in base64.
    fn public(&self) -> String {
        let head = HEXLOWER
            .decode(b"3059301306072a8648ce3d020106082a8648ce3d030107034200")
            .expect("hex");
        BASE64.encode(&[&head[..], self.0.public_key().as_ref()].concat())
    }

    fn sign(&self, text: &str) -> String {
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes());
        BASE64.encode(signature.expect("signed").as_ref())
    }
}

#[actix_web::test]
async fn sendgrid_tells_many_things_at_once() {
    let (told, signer) = (Told::start().await, Signer::new());
    let path = told.hook("sendgrid", Some(&signer.public())).await;
    let mut events = vec![
        json!({ "event": "spamreport", "email": "eve@example.com", "sg_message_id": "m2", "timestamp": 1790000000 }),
        json!({ "event": "bounce", "type": "bounce", "email": "ada@example.com", "status": "5.1.1",
                "reason": "550 no", "smtp-id": format!("<{}@sender.example>", told.id), "timestamp": 1790000000 }),
        json!({ "event": "bounce", "type": "blocked", "email": "bob@example.com", "sg_message_id": "m1" }),
        json!({ "event": "bounce", "type": "bounce", "bounce_classification": "Reputation",
                "email": "bob@example.com", "sg_message_id": "m4" }),
        json!({ "event": "dropped", "reason": "Bounced Address", "email": "dan@example.com", "sg_message_id": "m5" }),
        json!({ "event": "dropped", "reason": "Unsubscribed Address", "email": "dan@example.com", "sg_message_id": "m6" }),
        json!({ "event": "delivered", "email": "no address", "sg_message_id": "m3" }),
        json!({ "event": "deferred", "email": "bob@example.com", "sg_message_id": "m1" }),
        json!({ "event": "invented", "email": "bob@example.com" }),
        json!(7),
    ];
    for _ in 0..2 {
        let body = json!(events).to_string();
        let signature = signer.sign(&format!("1790000001{body}"));
        let request = told.world.app.anonymous().post(&path);
        let request = request.header("x-twilio-email-event-webhook-timestamp", "1790000001");
        let request = request.header("x-twilio-email-event-webhook-signature", &signature);
        request.json(&json!(events)).send().await.assert_status(204);
        events.reverse();
    }
    assert_eq!(told.feedback().await[0]["class"], "hard");
    assert_eq!(told.rows(), 5);
    let mut events = told.events();
    events.sort();
    assert_eq!(
        events,
        ["address.bounced", "address.bounced", "address.complained"]
    );
    let metrics = told
        .world
        .app
        .anonymous()
        .get("/metrics")
        .send()
        .await
        .text();
    for (result, count) in [
        ("unmatched", 2),
        ("unread", 8),
        ("repeated", 5),
        ("soft", 2),
    ] {
        let labels = format!("result=\"{result}\",source=\"sendgrid\",service=\"notifications\"");
        let line = format!("clarion_feedback_total{{{labels}}} {count}");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[actix_web::test]
async fn what_sendgrid_did_not_sign_is_refused_and_not_kept() {
    let (told, signer) = (Told::start().await, Signer::new());
    let path = told.hook("sendgrid", Some(&signer.public())).await;
    let body = json!([{ "event": "spamreport", "email": "eve@example.com", "sg_message_id": "m" }]);
    let good = signer.sign(&format!("1{body}"));
    for (timestamp, signature) in [
        ("2", good),
        ("1", Signer::new().sign(&format!("1{body}"))),
        ("1", "no base64".to_owned()),
    ] {
        let request = told.world.app.anonymous().post(&path).json(&body);
        let request = request.header("x-twilio-email-event-webhook-timestamp", timestamp);
        let request = request.header("x-twilio-email-event-webhook-signature", &signature);
        request
            .send()
            .await
            .assert_error(403, "hook_signature_invalid");
    }
    let unsigned = told
        .world
        .app
        .anonymous()
        .post(&path)
        .json(&body)
        .send()
        .await;
    unsigned.assert_error(403, "hook_signature_invalid");
    assert_eq!((told.rows(), told.events()), (0, vec![]));
}

#[actix_web::test]
async fn postmark_is_known_by_its_url() {
    let told = Told::start().await;
    let path = told.hook("postmark", None).await;
    for (kind, event) in [
        (
            "HardBounce",
            json!({ "RecordType": "Bounce", "Email": "a@example.com" }),
        ),
        (
            "SoftBounce",
            json!({ "RecordType": "Bounce", "Email": "b@example.com" }),
        ),
        (
            "AutoResponder",
            json!({ "RecordType": "Bounce", "Email": "c@example.com" }),
        ),
        (
            "Subscribe",
            json!({ "RecordType": "Bounce", "Email": "d@example.com" }),
        ),
        (
            "",
            json!({ "RecordType": "SpamComplaint", "Email": "e@example.com" }),
        ),
        (
            "",
            json!({ "RecordType": "Delivery", "Recipient": "f@example.com", "DeliveredAt": "2026-01-01T00:00:00Z" }),
        ),
        (
            "",
            json!({ "RecordType": "Open", "Recipient": "f@example.com" }),
        ),
    ] {
        let mut event = event;
        event["Type"] = json!(kind);
        event["MessageID"] = json!("m");
        if kind == "HardBounce" {
            event["Metadata"] = json!({ "clarion-message": told.id });
        }
        event["Details"] = json!("nul \0 and more");
        told.tell(&path, &event).await;
        told.tell(&path, &event).await;
    }
    assert_eq!(told.rows(), 5);
    assert_eq!(told.events(), ["address.bounced", "address.complained"]);
    let feedback = told.feedback().await;
    assert_eq!((feedback.len(), &feedback[0]["class"]), (1, &json!("hard")));
}

#[actix_web::test]
async fn a_hook_speaks_for_its_workspace_only() {
    let told = Told::start().await;
    let other = told.world.app.as_role_in(WorkspaceId::new(), Role::Owner);
    let body = json!({ "provider": "mailgun", "secret": MAILGUN_KEY });
    let made: Value = other.post("/api/v1/hooks").json(&body).send().await.json();
    let url = made["url"].as_str().expect("a URL");
    let path = url.strip_prefix("http://clarion.test").expect("ours");
    let event = told.failed("permanent", "5.1.1");
    told.tell(path, &told.mailgun(event, 0, MAILGUN_KEY)).await;
    assert!(told.feedback().await.is_empty());
    assert_eq!(told.rows(), 1, "the other workspace's address");
}

#[actix_web::test]
async fn hooks_are_listed_without_their_secrets_and_deleted() {
    let told = Told::start().await;
    let app = &told.world.app;
    let path = told.hook("mailgun", Some(MAILGUN_KEY)).await;
    let event = told.mailgun(told.failed("permanent", "5.1.1"), 0, MAILGUN_KEY);
    told.tell(&path, &event).await;
    let owner = app.as_role(Role::Owner);
    let listed = owner.get("/api/v1/hooks").send().await.assert_status(200);
    let token = path.rsplit('/').next().expect("a token");
    assert!(!listed.text().contains(token) && !listed.text().contains(MAILGUN_KEY));
    let listed: Value = listed.json();
    let hook = &listed["items"][0];
    assert_eq!(hook["provider"], "mailgun");
    assert_eq!(hook["last_used_at"], json!(app.clock.now()));

    let wrong = path.replace("mailgun", "postmark");
    for path in [
        wrong,
        path.replace("mailgun", "carrier-pigeon"),
        format!("{path}x"),
    ] {
        let refused = app.anonymous().post(path).json(&event).send().await;
        refused.assert_error(404, "hook_not_found");
    }
    let id = hook["id"].as_str().expect("an id");
    let one = format!("/api/v1/hooks/{id}");
    let other = app.as_role_in(WorkspaceId::new(), Role::Owner);
    other
        .delete(&one)
        .send()
        .await
        .assert_error(404, "hook_not_found");
    let page: Value = other.get("/api/v1/hooks").send().await.json();
    assert_eq!(page["items"], json!([]));
    let marketer = app.as_role(Role::Marketer);
    marketer
        .delete(&one)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let new = marketer
        .post("/api/v1/hooks")
        .json(&json!({ "provider": "postmark" }));
    new.send().await.assert_error(403, "scope_missing");
    owner.delete(&one).send().await.assert_status(204);
    let gone = app.anonymous().post(&path).json(&event).send().await;
    gone.assert_error(404, "hook_not_found");
}

#[actix_web::test]
async fn a_hook_needs_its_providers_secret() {
    let told = Told::start().await;
    let owner = told.world.app.as_role(Role::Owner);
    for body in [
        json!({ "provider": "mailgun" }),
        json!({ "provider": "mailgun", "secret": " " }),
        json!({ "provider": "mailgun", "secret": "x".repeat(1025) }),
        json!({ "provider": "sendgrid", "secret": "no key" }),
        json!({ "provider": "postmark", "secret": "x" }),
    ] {
        let refused = owner.post("/api/v1/hooks").json(&body).send().await;
        let problem = refused.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "/secret", "{body}");
    }
    let path = told.hook("postmark", None).await;
    let refused = told
        .world
        .app
        .anonymous()
        .post(&path)
        .header("content-type", "application/json");
    refused.send().await.assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn a_secret_that_cannot_be_opened_is_told_and_nothing_is_lost() {
    let told = Told::start().await;
    let path = told.hook("mailgun", Some(MAILGUN_KEY)).await;
    diesel::sql_query("UPDATE inbound_hooks SET secret = '\\x00'")
        .execute(&mut told.world.app.connect())
        .expect("changed");
    let event = told.mailgun(told.failed("permanent", "5.1.1"), 0, MAILGUN_KEY);
    let refused = told
        .world
        .app
        .anonymous()
        .post(&path)
        .json(&event)
        .send()
        .await;
    refused.assert_error(503, "hook_secret_unreadable");
}
