//! `/api/v1/webhooks`: made, read, changed, disabled, deleted, and whom they may lead to.

use common::auth::{Role, Service as Name};
use common::events::{LeadCreated, LeadDeleted, SuppressionAdded};
use common::ids::{LeadId, WorkspaceId};
use diesel::RunQueryDsl;
use notifications::Notifications;
use serde_json::{Value, json};
use testkit::{Client, TestService, eventually};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{Post, setup};

/// A service that may post to this machine, and an endpoint that takes everything it is sent.
pub(crate) struct Hooked {
    pub(crate) app: TestService<Notifications>,
    pub(crate) endpoint: MockServer,
    pub(crate) post: Post,
}

impl Hooked {
    pub(crate) async fn start() -> Self {
        Self::answering(ResponseTemplate::new(204)).await
    }

    pub(crate) async fn answering(answer: ResponseTemplate) -> Self {
        let post = Post::start();
        let setup = setup(&post).with("WEBHOOKS_ALLOW_PRIVATE", "true");
        let hooked = Self {
            app: setup.start().await,
            endpoint: MockServer::start().await,
            post,
        };
        hooked.answer(answer).await;
        hooked
    }

    /// From now on the endpoint answers this.
    pub(crate) async fn answer(&self, answer: ResponseTemplate) {
        self.endpoint.reset().await;
        let mock = Mock::given(any()).respond_with(answer);
        mock.mount(&self.endpoint).await;
    }

    pub(crate) fn owner(&self) -> Client {
        self.app.as_role(Role::Owner)
    }

    /// A webhook of these types of events; it answers path and secret.
    pub(crate) async fn hook(&self, events: &[&str]) -> (String, String) {
        self.hook_at(&format!("{}/hook", self.endpoint.uri()), events)
            .await
    }

    pub(crate) async fn hook_at(&self, url: &str, events: &[&str]) -> (String, String) {
        let body = json!({ "url": url, "events": events });
        let made = self.owner().post("/api/v1/webhooks").json(&body);
        let made = made.send().await.assert_status(201);
        let path = made.header("location").expect("a location").to_owned();
        let secret = made.json::<Value>()["secret"].clone();
        (path, secret.as_str().expect("a secret").to_owned())
    }

    /// `leads` tells of a new person.
    pub(crate) fn tell(&self) {
        let event = LeadCreated {
            lead_id: LeadId::new(),
            email: "grace@shop.example".into(),
        };
        let leads = self.app.peer(Name::Leads);
        leads.tell(self.app.workspace, &event);
    }

    pub(crate) async fn show(&self, path: &str) -> Value {
        let shown = self.owner().get(path).send().await.assert_status(200);
        shown.json()
    }

    /// Its deliveries, newest first.
    pub(crate) async fn deliveries(&self, path: &str) -> Vec<Value> {
        let page = self.show(&format!("{path}/deliveries")).await;
        page["items"].as_array().expect("a list").clone()
    }

    /// Waits until its newest delivery is as wanted, and answers it.
    pub(crate) async fn until(
        &self,
        what: &str,
        path: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(what, || async {
            self.deliveries(path).await.first().is_some_and(&holds)
        })
        .await;
        self.deliveries(path).await.swap_remove(0)
    }

    /// What the endpoint was sent since it last began to answer something else.
    pub(crate) async fn received(&self) -> Vec<Request> {
        let received = self.endpoint.received_requests().await;
        received.expect("the endpoint remembers")
    }

    pub(crate) async fn until_received(&self, count: usize) -> Vec<Request> {
        eventually(&format!("{count} requests"), || async {
            self.received().await.len() >= count
        })
        .await;
        self.received().await
    }
}

pub(crate) fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    let value = request.headers.get(name);
    let value = value.unwrap_or_else(|| panic!("no {name}"));
    value.to_str().expect("text")
}

#[actix_web::test]
async fn a_webhook_is_made_read_changed_and_deleted() {
    let hooked = Hooked::start().await;
    let owner = hooked.owner();
    let url = format!("{}/hook#part", hooked.endpoint.uri());
    let body = json!({ "url": url, "description": " Shop " });
    let made = owner.post("/api/v1/webhooks").json(&body).send().await;
    let made = made.assert_status(201);
    let path = made.header("location").expect("a location").to_owned();
    let mut webhook: Value = made.json();
    let secret = webhook["secret"].take();
    assert!(secret.as_str().expect("text").starts_with("whsec_"));
    assert_eq!(webhook["events"], json!(["*"]));
    assert_eq!(webhook["description"], "Shop");
    assert_eq!(webhook["url"], url.strip_suffix("#part").expect("a part"));
    webhook.as_object_mut().expect("an object").remove("secret");
    assert_eq!(hooked.show(&path).await, webhook, "without the secret");
    let listed = hooked.show("/api/v1/webhooks").await;
    assert_eq!(listed["items"], json!([webhook]));

    let change = json!({
        "events": ["lead.created", "address.bounced", "lead.created"],
        "description": "", "enabled": false,
    });
    let stale = owner.patch(&path).header("if-match", "\"7\"").json(&change);
    stale.send().await.assert_error(412, "version_mismatch");
    let changed = owner.patch(&path).header("if-match", "\"1\"").json(&change);
    let changed: Value = changed.send().await.assert_status(200).json();
    let events = json!(["address.bounced", "lead.created"]);
    assert_eq!(changed["events"], events);
    assert_eq!(changed["disabled_reason"], "it was disabled by hand");
    let on = owner.patch(&path).json(&json!({ "enabled": true }));
    let on: Value = on.send().await.assert_status(200).json();
    assert_eq!(on["disabled_reason"], Value::Null);
    assert_eq!(on["events"], events, "what is absent stays");

    owner.delete(&path).send().await.assert_status(204);
    let gone = owner.delete(&path).send().await;
    gone.assert_error(404, "webhook_not_found");
}

#[actix_web::test]
async fn every_bad_field_is_named() {
    let hooked = Hooked::start().await;
    let owner = hooked.owner();
    let body = json!({
        "url": "ftp://shop.example/", "events": ["*", "lead.exploded"], "description": "a\nb",
    });
    let refused = owner.post("/api/v1/webhooks").json(&body).send().await;
    let problem = refused.assert_error(422, "invalid_input");
    let pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(pointers, ["/url", "/events/1", "/description"]);
    let body = json!({ "url": "https://a b/", "events": [] });
    let refused = owner.post("/api/v1/webhooks").json(&body).send().await;
    let problem = refused.assert_error(422, "invalid_input");
    let pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(pointers, ["/url", "/events"]);
    let long = format!("https://shop.example/{}", "a".repeat(2000));
    let refused = owner.post("/api/v1/webhooks").json(&json!({ "url": long }));
    refused.send().await.assert_error(422, "invalid_input");
    let odd = owner.get("/api/v1/webhooks?cursor=x").send().await;
    odd.assert_error(422, "invalid_input");
    let odd = owner.get("/api/v1/webhooks?limit=0").send().await;
    odd.assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn a_url_into_this_network_is_refused() {
    let post = Post::start();
    let app: TestService<Notifications> = setup(&post).start().await;
    let owner = app.as_role(Role::Owner);
    for url in [
        "http://127.0.0.1:5432/",
        "https://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "https://ada:secret@shop.example/",
    ] {
        let refused = owner.post("/api/v1/webhooks").json(&json!({ "url": url }));
        let problem = refused.send().await.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "/url", "{url}");
    }
    let listed: Value = owner.get("/api/v1/webhooks").send().await.json();
    assert_eq!(listed["items"], json!([]));
}

#[actix_web::test]
async fn production_wants_tls() {
    let post = Post::start();
    let setup = setup(&post).with("CLARION_ENV", "prod");
    let app: TestService<Notifications> = setup.start().await;
    let body = json!({ "url": "http://8.8.8.8/" });
    let owner = app.as_role(Role::Owner);
    let refused = owner.post("/api/v1/webhooks").json(&body).send().await;
    let problem = refused.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].detail, "must begin with https://");
}

#[actix_web::test]
async fn only_those_who_may_see_and_change_webhooks_do() {
    let hooked = Hooked::start().await;
    let (path, _) = hooked.hook(&["*"]).await;
    hooked.tell();
    let sent = hooked.until("it is delivered", &path, |d| d["state"] == "delivered");
    let sent = sent.await["id"].as_str().expect("an id").to_owned();
    let again = format!("{path}/deliveries/{sent}/redeliver");
    let (rotate, test) = (format!("{path}/rotate-secret"), format!("{path}/test"));
    let list = format!("{path}/deliveries");

    let marketer = hooked.app.as_role(Role::Marketer);
    for path in ["/api/v1/webhooks", &path, &list] {
        let denied = marketer.get(path).send().await;
        denied.assert_error(403, "scope_missing");
    }
    let body = json!({ "url": hooked.endpoint.uri() });
    let denied = marketer.post("/api/v1/webhooks").json(&body).send().await;
    denied.assert_error(403, "scope_missing");
    let stranger = hooked.app.as_role_in(WorkspaceId::new(), Role::Owner);
    for path in [&path, &list] {
        let unseen = stranger.get(path).send().await;
        unseen.assert_error(404, "webhook_not_found");
    }
    for path in [&rotate, &test, &again] {
        let denied = marketer.post(path).send().await;
        denied.assert_error(403, "scope_missing");
        let unseen = stranger.post(path).send().await;
        unseen.assert_error(404, "webhook_not_found");
    }
    for client in [&marketer, &stranger] {
        let change = client.patch(&path).json(&json!({ "enabled": false }));
        assert!([403, 404].contains(&change.send().await.status));
        assert!([403, 404].contains(&client.delete(&path).send().await.status));
    }
    assert_eq!(hooked.show(&path).await["enabled"], true);
    assert_eq!(hooked.received().await.len(), 1, "nothing was posted again");
}

#[actix_web::test]
async fn a_workspace_has_a_hundred_webhooks_at_most() {
    let hooked = Hooked::start().await;
    for _ in 0..100 {
        hooked.hook(&["lead.created"]).await;
    }
    let body = json!({ "url": hooked.endpoint.uri() });
    let refused = hooked.owner().post("/api/v1/webhooks").json(&body);
    refused.send().await.assert_error(409, "too_many_webhooks");
    let first = hooked.show("/api/v1/webhooks?limit=60").await;
    let cursor = first["next_cursor"].as_str().expect("more follow");
    let next = format!("/api/v1/webhooks?limit=60&cursor={cursor}");
    let rest = hooked.show(&next).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(40));
}

#[derive(diesel::QueryableByName)]
struct Payload {
    #[diesel(sql_type = diesel::sql_types::Text)]
    payload: String,
}

#[actix_web::test]
async fn somebody_who_was_erased_is_in_no_delivery_any_more() {
    let hooked = Hooked::start().await;
    let (path, _) = hooked.hook(&["*"]).await;
    let (lead_id, email) = (LeadId::new(), String::from("Gone@shop.example"));
    let leads = hooked.app.peer(Name::Leads);
    let workspace = hooked.app.workspace;
    let created = LeadCreated {
        lead_id,
        email: email.clone(),
    };
    leads.tell(workspace, &created);
    let suppressed = SuppressionAdded {
        address: "gone@shop.example".into(),
        reason: "hard".into(),
    };
    leads.tell(workspace, &suppressed);
    hooked.tell();
    hooked.until_received(3).await;

    leads.tell(workspace, &LeadDeleted { lead_id, email });

    let requests = hooked.until_received(4).await;
    let body: Value = requests[3].body_json().expect("JSON");
    assert_eq!(body["data"], json!({ "lead_id": lead_id }));
    let payloads: Vec<Payload> = diesel::sql_query("SELECT payload FROM webhook_deliveries")
        .load(&mut hooked.app.connect())
        .expect("deliveries can be read");
    let with = |text: &str| {
        payloads
            .iter()
            .filter(|row| row.payload.contains(text))
            .count()
    };
    assert_eq!(payloads.len(), 4);
    assert_eq!(with("one@shop.example"), 0);
    assert_eq!(with("\"erased\":true"), 2);
    assert_eq!(with("grace@shop.example"), 1, "others stay as they were");
    let again = hooked.deliveries(&path).await;
    let id = again[3]["id"].as_str().expect("an id");
    let redeliver = format!("{path}/deliveries/{id}/redeliver");
    let redelivered = hooked.owner().post(redeliver).send().await;
    redelivered.assert_status(202);
    let requests = hooked.until_received(5).await;
    let body: Value = requests[4].body_json().expect("JSON");
    assert_eq!(body["type"], "lead.created");
    assert_eq!(body["data"], json!({ "erased": true }));
}
