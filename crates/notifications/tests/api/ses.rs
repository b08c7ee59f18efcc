//! What Amazon SES tells through topics of SNS.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use common::auth::Role;
use data_encoding::BASE64;
use rcgen::{CertificateParams, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use testkit::Response;
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hooks::Told;
use crate::support::{Post, World, setup};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:mail";

/// SNS, with its certificate and a subscription to confirm.
struct Sns {
    server: MockServer,
    key: KeyPair,
}

impl Sns {
    async fn start() -> Self {
        let pair = rcgen::KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let certificate = CertificateParams::new(["sns.amazonaws.com".to_owned()]);
        let certificate = certificate.and_then(|params| params.self_signed(&pair));
        let server = MockServer::start().await;
        let pem = ResponseTemplate::new(200).set_body_string(certificate.expect("signed").pem());
        let get = || Mock::given(method("GET"));
        get()
            .and(path("/x.pem"))
            .respond_with(pem)
            .mount(&server)
            .await;
        for (token, status) in [("t-1", 200), ("t-2", 500)] {
            get()
                .and(query_param("Token", token))
                .respond_with(ResponseTemplate::new(status))
                .mount(&server)
                .await;
        }
        let key = KeyPair::from_pkcs8(&pair.serialize_der()).expect("the same key");
        Self { server, key }
    }

    /// How often it was asked for something.
    async fn asked(&self, path: &str) -> usize {
        let requests = self.server.received_requests().await.expect("recorded");
        let wanted = |request: &&wiremock::Request| request.url.path() == path;
        requests.iter().filter(wanted).count()
    }

    /// A letter of SNS with its signature.
    fn letter(&self, kind: &str, message: &Value, token: Option<&str>) -> Value {
        let mut letter = json!({
            "Type": kind, "MessageId": "m-1", "TopicArn": TOPIC, "Message": message.to_string(),
            "Timestamp": "2026-01-01T00:00:00.000Z", "SignatureVersion": "2",
            "SigningCertURL": format!("{}/x.pem", self.server.uri()),
        });
        if let Some(token) = token {
            letter["Token"] = json!(token);
            letter["SubscribeURL"] = json!(format!("{}/?Token={token}", self.server.uri()));
        }
        self.sign(&mut letter);
        letter
    }

    fn sign(&self, letter: &mut Value) {
        let names = [
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ];
        let there = names
            .iter()
            .filter_map(|name| Some((name, letter[name].as_str()?)));
        let said: String = there
            .map(|(name, value)| format!("{name}\n{value}\n"))
            .collect();
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                said.as_bytes(),
                &mut signature,
            )
            .expect("signed");
        letter["Signature"] = json!(BASE64.encode(&signature));
    }

    fn notification(&self, message: &Value) -> Value {
        self.letter("Notification", message, None)
    }
}

/// A message that was sent, a hook for SES, and SNS.
struct Hooked {
    told: Told,
    sns: Sns,
    path: String,
}

impl Hooked {
    async fn start() -> Self {
        let (post, sns) = (Post::start(), Sns::start().await);
        let app = setup(&post)
            .with("SNS_ORIGIN", sns.server.uri())
            .start()
            .await;
        let told = Told::of(World { app, post }).await;
        let path = told.hook("ses", Some(TOPIC)).await;
        Self { told, sns, path }
    }

    async fn post(&self, letter: &Value) -> Response {
        let anonymous = self.told.world.app.anonymous();
        anonymous.post(&self.path).json(letter).send().await
    }

    async fn tell(&self, message: &Value) {
        let letter = self.sns.notification(message);
        self.post(&letter).await.assert_status(204);
    }

    /// The mail that it is about, as SES names it.
    fn mail(&self) -> Value {
        json!({ "messageId": "ses-1", "source": "ada@sender.example", "headers": [
            { "name": "Subject", "value": "Hello" },
            { "name": "Message-ID", "value": format!("<{}@sender.example>", self.told.id) },
        ] })
    }

    fn bounce(&self, kind: &str, status: &str) -> Value {
        json!({
            "notificationType": "Bounce", "mail": self.mail(),
            "bounce": {
                "bounceType": kind, "bounceSubType": "General", "timestamp": "2026-01-01T00:00:00Z",
                "bouncedRecipients": [{
                    "emailAddress": "ada@example.com", "status": status, "action": "failed",
                    "diagnosticCode": "smtp; 550 no Ada here",
                }],
            },
        })
    }
}

#[actix_web::test]
async fn ses_tells_of_a_message_in_both_shapes_in_any_order_and_again() {
    let hooked = Hooked::start().await;
    // Published events name their kind otherwise, and this one has no headers but the common ones.
    let complaint = json!({
        "eventType": "Complaint",
        "mail": { "messageId": "ses-1", "commonHeaders": {
            "messageId": format!("<{}@sender.example>", hooked.told.id) } },
        "complaint": { "complaintFeedbackType": "abuse",
            "complainedRecipients": [{ "emailAddress": "ada@example.com" }] },
    });
    let unknown = json!({
        "eventType": "Delivery", "mail": { "messageId": "ses-2" },
        "delivery": { "recipients": ["eve@example.com"], "smtpResponse": "250 ok" },
    });
    for message in [
        complaint.clone(),
        hooked.bounce("Permanent", "5.1.1"),
        complaint,
        hooked.bounce("Permanent", "5.1.1"),
        hooked.bounce("Transient", "4.2.2"),
        unknown,
        json!({ "eventType": "Open", "mail": hooked.mail() }),
        json!("Successfully validated SNS topic for Amazon SES event publishing."),
    ] {
        hooked.tell(&message).await;
    }
    let feedback = hooked.told.feedback().await;
    let mut classes: Vec<_> = feedback
        .iter()
        .map(|told| told["class"].to_string())
        .collect();
    classes.sort();
    assert_eq!(
        classes,
        ["\"complaint\"", "\"hard\"", "\"soft\""],
        "{feedback:?}"
    );
    let hard = feedback.iter().find(|told| told["class"] == "hard");
    let hard = hard.expect("a bounce");
    assert_eq!(hard["diagnostic"], "smtp; 550 no Ada here");
    assert_eq!(
        (&hard["status"], &hard["source"]),
        (&json!("5.1.1"), &json!("ses"))
    );
    assert_eq!(
        hooked.told.events(),
        ["address.complained", "address.bounced"]
    );
    assert_eq!(
        hooked.told.rows(),
        4,
        "the address that no message is known of is told too"
    );
    assert_eq!(
        hooked.sns.asked("/x.pem").await,
        1,
        "the certificate is remembered"
    );
}

#[actix_web::test]
async fn what_the_topic_did_not_sign_is_refused_and_not_kept() {
    let (hooked, stranger) = (Hooked::start().await, Sns::start().await);
    let bounce = hooked.bounce("Permanent", "5.1.1");
    let good = hooked.sns.notification(&bounce);
    let changed = |name: &str, value: Value| {
        let mut letter = good.clone();
        letter[name] = value;
        letter
    };
    // Amazon signs for whoever has a topic there.
    let mut other = changed("TopicArn", json!("arn:aws:sns:eu-west-1:999999999999:mail"));
    hooked.sns.sign(&mut other);
    for letter in [
        other,
        stranger.notification(&bounce),
        changed(
            "Message",
            json!(hooked.bounce("Permanent", "5.1.0").to_string()),
        ),
        changed("Signature", json!("no base64")),
        changed("SignatureVersion", json!("3")),
        changed(
            "SigningCertURL",
            json!("https://sns.eu-west-1.amazonaws.com/x.pem"),
        ),
        changed(
            "SigningCertURL",
            json!(format!("{}/none.pem", hooked.sns.server.uri())),
        ),
        changed(
            "SigningCertURL",
            json!(format!("{}/?Token=t-1", hooked.sns.server.uri())),
        ),
        changed("SigningCertURL", json!("no URL")),
        bounce,
    ] {
        hooked
            .post(&letter)
            .await
            .assert_error(403, "hook_signature_invalid");
    }
    assert_eq!(stranger.asked("/x.pem").await, 0, "nobody else is asked");
    assert_eq!((hooked.told.rows(), hooked.told.events()), (0, vec![]));
}

#[actix_web::test]
async fn what_is_sent_raw_is_refused_because_nobody_signed_it() {
    let hooked = Hooked::start().await;
    let anonymous = hooked.told.world.app.anonymous();
    let raw = anonymous
        .post(&hooked.path)
        .header("x-amz-sns-rawdelivery", "true");
    let refused = raw.json(&hooked.bounce("Permanent", "5.1.1")).send().await;
    refused.assert_error(422, "invalid_input");
    assert_eq!(hooked.told.rows(), 0);
}

#[actix_web::test]
async fn a_subscription_is_confirmed_at_amazon_only() {
    let (hooked, stranger) = (Hooked::start().await, Sns::start().await);
    let hello = json!("You have chosen to subscribe to the topic");
    let confirmation = |token| {
        hooked
            .sns
            .letter("SubscriptionConfirmation", &hello, Some(token))
    };
    let mut elsewhere = confirmation("t-1");
    elsewhere["SubscribeURL"] = json!(format!("{}/?Token=t-1", stranger.server.uri()));
    hooked.sns.sign(&mut elsewhere);
    hooked
        .post(&elsewhere)
        .await
        .assert_error(403, "hook_signature_invalid");
    assert_eq!(
        (hooked.sns.asked("/").await, stranger.asked("/").await),
        (0, 0)
    );

    hooked.post(&confirmation("t-1")).await.assert_status(204);
    assert_eq!(hooked.sns.asked("/").await, 1);
    let failing = hooked.post(&confirmation("t-2")).await;
    failing.assert_error(503, "hook_provider_away");
    let over = hooked
        .sns
        .letter("UnsubscribeConfirmation", &hello, Some("t-1"));
    hooked.post(&over).await.assert_status(204);
    assert_eq!(hooked.sns.asked("/").await, 2, "we do not subscribe again");
    assert_eq!(hooked.told.rows(), 0);
}

#[actix_web::test]
async fn a_letter_waits_outside_while_its_certificate_cannot_be_fetched() {
    let hooked = Hooked::start().await;
    let letter = hooked
        .sns
        .notification(&hooked.bounce("Permanent", "5.1.1"));
    hooked.sns.server.reset().await;
    let failing = ResponseTemplate::new(500);
    let mock = Mock::given(method("GET")).respond_with(failing);
    mock.mount(&hooked.sns.server).await;
    hooked
        .post(&letter)
        .await
        .assert_error(503, "hook_provider_away");
    assert_eq!(hooked.told.rows(), 0);
}

#[actix_web::test]
async fn a_hook_for_ses_names_its_topic() {
    let hooked = Hooked::start().await;
    let owner = hooked.told.world.app.as_role(Role::Owner);
    for body in [
        json!({ "provider": "ses" }),
        json!({ "provider": "ses", "secret": "arn:aws:sqs:eu-west-1:123456789012:mail" }),
    ] {
        let refused = owner.post("/api/v1/hooks").json(&body).send().await;
        let problem = refused.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "/secret", "{body}");
    }
}
