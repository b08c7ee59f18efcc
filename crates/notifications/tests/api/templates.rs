//! Transactional mail from templates of `campaigns`.

use common::auth::{Role, Service as Name};
use common::dto::dispatch::{Content, ContentFormat};
use common::dto::template::TemplateCopy;
use common::events::{TemplateDeleted, TemplateSaved};
use common::ids::TemplateId;
use serde_json::{Value, json};
use testkit::{Response, eventually};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use crate::support::World;

fn template(version: i64, subject: &str, body: &str) -> TemplateCopy {
    TemplateCopy {
        version,
        subject: subject.into(),
        preheader: String::new(),
        content: Content {
            format: ContentFormat::Html,
            body: body.into(),
            text: None,
        },
    }
}

fn message(template: TemplateId) -> Value {
    json!({
        "to": "ada@example.com",
        "template_id": template,
        "data": { "order": { "number": 7 }, "name": "Ada" },
    })
}

impl World {
    async fn post(&self, body: &Value) -> Response {
        let marketer = self.app.as_role(Role::Marketer);
        marketer.post("/api/v1/messages").json(body).send().await
    }

    async fn post_once(&self, key: &str, body: &Value) -> Response {
        let marketer = self.app.as_role(Role::Marketer);
        let request = marketer.post("/api/v1/messages").json(body);
        request.header("Idempotency-Key", key).send().await
    }

    fn tell_saved(&self, template_id: TemplateId, template: TemplateCopy) {
        let saved = TemplateSaved {
            template_id,
            template,
        };
        let campaigns = self.app.peer(Name::Campaigns);
        campaigns.tell(self.app.workspace, &saved);
    }

    fn tell_deleted(&self, template_id: TemplateId) {
        let campaigns = self.app.peer(Name::Campaigns);
        campaigns.tell(self.app.workspace, &TemplateDeleted { template_id });
    }

    /// Campaigns answers about this template; `times` is how often it is asked.
    async fn campaigns_knows(&self, id: TemplateId, answer: ResponseTemplate, times: u64) {
        Mock::given(method("GET"))
            .and(path(format!("/internal/templates/{id}")))
            .and(query_param("workspace_id", self.app.workspace.to_string()))
            .respond_with(answer)
            .with_priority(1)
            .expect(times)
            .mount(&self.app.peer(Name::Campaigns).server)
            .await;
    }

    async fn until_accepted(&self, body: &Value) {
        eventually("the template is known", || async {
            self.post(body).await.status == 202
        })
        .await;
    }
}

#[actix_web::test]
async fn a_template_that_was_told_of_needs_no_campaigns() {
    let world = World::start().await;
    let id = TemplateId::new();
    let first = template(
        1,
        "Order {{ data.order.number }}",
        "<p>Dear {{ data.name }}</p>",
    );
    world.tell_saved(id, first);
    world.until_accepted(&message(id)).await;
    let mail = world.post.mail_to("ada@example.com").await;
    assert_eq!(mail.summary.subject.as_deref(), Some("Order 7"));
    assert!(mail.html.expect("an HTML part").contains("Dear Ada"));

    let mut own = message(id);
    own["to"] = json!("grace@example.com");
    own["subject"] = json!("For {{ data.name }}");
    world.post(&own).await.assert_status(202);
    let mail = world.post.mail_to("grace@example.com").await;
    assert_eq!(mail.summary.subject.as_deref(), Some("For Ada"));
}

#[actix_web::test]
async fn what_is_not_known_yet_is_asked_for_once_and_never_brings_a_deleted_one_back() {
    let world = World::start().await;
    let (id, gone) = (TemplateId::new(), TemplateId::new());
    let copy = template(3, "Hi", "<p>three {{ data.name }}</p>");
    let answer = ResponseTemplate::new(200).set_body_json(&copy);
    world.campaigns_knows(id, answer.clone(), 1).await;
    world.campaigns_knows(gone, answer, 0).await;
    world.post(&message(id)).await.assert_status(202);
    world.post(&message(id)).await.assert_status(202);
    // The feed is behind: what it tells is older than what we asked for.
    world.tell_saved(id, template(2, "Hi", "<p>{{ data.nothing }}</p>"));
    world.tell_deleted(gone);
    let last = TemplateId::new();
    world.tell_saved(last, template(1, "Hi", "<p>last</p>"));
    world.until_accepted(&message(last)).await;
    world
        .post(&message(gone))
        .await
        .assert_error(422, "template_not_found");
    world.post(&message(id)).await.assert_status(202);
}

#[actix_web::test]
async fn a_template_of_nobody_is_refused_and_one_that_cannot_be_asked_for_is_put_off() {
    let world = World::start().await;
    let (unknown, unreachable) = (TemplateId::new(), TemplateId::new());
    let problem = json!({
        "type": "about:blank", "status": 404, "code": "template_not_found", "title": "Not Found",
        "detail": "none", "errors": [], "request_id": "",
    });
    let refusal = ResponseTemplate::new(404).set_body_json(problem);
    world.campaigns_knows(unknown, refusal, 1).await;
    world
        .campaigns_knows(unreachable, ResponseTemplate::new(500), 2)
        .await;

    let problem = world
        .post(&message(unknown))
        .await
        .assert_error(422, "template_not_found");
    assert_eq!(problem.errors[0].pointer, "/template_id");
    world
        .post(&message(unreachable))
        .await
        .assert_error(503, "unavailable");
    let mut both = message(unknown);
    both["content"] = json!({ "format": "text", "body": "x" });
    let problem = world.post(&both).await.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/template_id");
    assert_eq!(world.post.count(), 0);
}

#[actix_web::test]
async fn a_variable_that_is_missing_is_named_before_anything_is_accepted() {
    let world = World::start().await;
    let id = TemplateId::new();
    let body = "<p>{{ data.order.number }} {{ data.city }} {{ data.note | default('') }}</p>\
                {% if data.vip %}{{ data.gift }}{% endif %}";
    world.tell_saved(id, template(1, "Hi {{ data.name }}", body));
    let mut whole = message(id);
    whole["data"]["city"] = json!("");
    world.until_accepted(&whole).await;

    let mut bare = message(id);
    bare["data"] = json!({ "order": {} });
    let problem = world
        .post(&bare)
        .await
        .assert_error(422, "missing_variable");
    let pointers: Vec<_> = problem
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/data/city", "/data/name", "/data/order/number"]);
    let mut vip = whole.clone();
    vip["data"]["vip"] = json!(true);
    let problem = world.post(&vip).await.assert_error(422, "missing_variable");
    assert_eq!(problem.errors[0].pointer, "/data/gift");
    let mut large = whole.clone();
    large["data"]["note"] = json!("x".repeat(70_000));
    let problem = world.post(&large).await.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/data");

    let of_leads = TemplateId::new();
    let copy = template(1, "Hi {{ lead.first_name }}", "<p>x</p>");
    let answer = ResponseTemplate::new(200).set_body_json(copy);
    world.campaigns_knows(of_leads, answer, 1).await;
    let problem = world
        .post(&message(of_leads))
        .await
        .assert_error(422, "missing_variable");
    assert!(
        problem.errors[0].detail.contains("lead.first_name"),
        "{problem:?}"
    );
}

#[actix_web::test]
async fn an_accepted_message_keeps_its_words_and_its_answer() {
    let world = World::start().await;
    let id = TemplateId::new();
    world.tell_saved(id, template(1, "One", "<p>one</p>"));
    world.until_accepted(&message(id)).await;
    let first: Value = world
        .post_once("k", &message(id))
        .await
        .assert_status(202)
        .json();
    let snapshots = |world: &World| {
        use diesel::prelude::*;
        diesel::sql_query("SELECT id FROM snapshots").execute(&mut world.app.connect())
    };
    assert_eq!(snapshots(&world), Ok(1));

    world.tell_saved(id, template(2, "Two {{ data.never }}", "<p>two</p>"));
    eventually("the change arrives", || async {
        world.post(&message(id)).await.status == 422
    })
    .await;
    world.tell_deleted(id);
    eventually("the end arrives", || async {
        let refused = world.post(&message(id)).await;
        refused.json::<Value>()["code"] == "template_not_found"
    })
    .await;

    let again: Value = world
        .post_once("k", &message(id))
        .await
        .assert_status(202)
        .json();
    assert_eq!(first, again);
    let mut other = message(id);
    other["data"]["name"] = json!("Grace");
    world
        .post_once("k", &other)
        .await
        .assert_error(422, "idempotency_key_reused");
    assert_eq!(
        snapshots(&world),
        Ok(1),
        "nothing was made from a later template"
    );
}
