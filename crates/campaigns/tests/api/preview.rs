//! What is being written, as somebody would get it.

use common::auth::{Role, Service};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use crate::stage::{AUDIENCE, Stage};

async fn preview(stage: &Stage, body: &Value) -> Value {
    stage
        .marketer
        .post("/api/v1/campaigns/preview")
        .json(body)
        .send()
        .await
        .assert_status(200)
        .json()
}

fn written(format: &str, body: &str) -> Value {
    json!({ "subject": "Hi {{ lead.first_name }}", "content": { "format": format, "body": body } })
}

#[actix_web::test]
async fn a_draft_is_shown_as_somebody_made_up_would_get_it() {
    let stage = Stage::new().await;
    let body = "# Hello {{ lead.first_name }}\n\n[Leave]({{ unsubscribe_url }})";
    let shown = preview(&stage, &written("markdown", body)).await;
    assert_eq!(shown["subject"], "Hi Ada");
    let html = shown["html"].as_str().expect("HTML");
    assert!(html.contains("<h1>Hello Ada</h1>"), "{html}");
    assert!(
        html.contains("https://preview.invalid/unsubscribe"),
        "{html}"
    );
    assert_eq!(shown["problems"], json!([]));
    assert_eq!(shown["variables"]["lead.first_name"], true);
    assert_eq!(shown["lead"]["first_name"], "Ada");
}

#[actix_web::test]
async fn the_first_person_of_the_audience_is_who_it_is_shown_for() {
    let stage = Stage::new().await;
    let mut body = written("text", "For {{ lead.email }}");
    body["audience"] = json!({ "list_ids": [stage.list] });
    let shown = preview(&stage, &body).await;
    let text = shown["text"].as_str().expect("a text");
    let email = shown["lead"]["email"].as_str().expect("an address");
    assert!(text.contains(email) && email != "ada@example.com", "{text}");
    assert_eq!(shown["html"], Value::Null);
}

#[actix_web::test]
async fn what_is_wrong_is_said_with_its_place_and_nothing_is_shown() {
    let stage = Stage::new().await;
    let shown = preview(&stage, &written("html", "<p>\n{{ lead.first_name")).await;
    assert_eq!(shown["html"], Value::Null);
    assert_eq!(shown["problems"][0]["pointer"], "/content/body");
    assert_eq!(shown["problems"][0]["line"], 2);
    let shown = preview(&stage, &written("text", "{{ lead.shoe_size }}")).await;
    let detail = shown["problems"][0]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("lead.shoe_size"), "{detail}");
}

#[actix_web::test]
async fn nothing_is_stored_and_strangers_see_nothing() {
    let stage = Stage::new().await;
    preview(&stage, &written("text", "Hello")).await;
    let listed: Value = stage
        .marketer
        .get("/api/v1/campaigns")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(listed["items"], json!([]));
    let customer = stage.app.as_role(Role::Customer);
    customer
        .post("/api/v1/campaigns/preview")
        .json(&written("text", "Hello"))
        .send()
        .await
        .assert_error(403, "scope_missing");
}

#[actix_web::test]
async fn an_audience_is_counted_while_it_is_chosen() {
    let stage = Stage::new().await;
    let count = |audience: Value| {
        stage
            .marketer
            .post("/api/v1/campaigns/audience")
            .json(&audience)
            .send()
    };
    let chosen = json!({ "list_ids": [stage.list] });
    let counted: Value = count(chosen.clone()).await.assert_status(200).json();
    assert_eq!(
        counted,
        json!({ "count": AUDIENCE, "sendable": AUDIENCE - 1 })
    );
    let nobody: Value = count(json!({})).await.assert_status(200).json();
    assert_eq!(nobody, json!({ "count": 0, "sendable": 0 }));

    let problem = json!({
        "status": 404, "code": "list_not_found", "title": "x", "detail": "list 7 does not exist"
    });
    Mock::given(path("/internal/audience/count"))
        .respond_with(ResponseTemplate::new(404).set_body_json(problem))
        .with_priority(1)
        .mount(&stage.app.peer(Service::Leads).server)
        .await;
    count(chosen.clone())
        .await
        .assert_error(404, "refused_by_peer");
    let customer = stage.app.as_role(Role::Customer);
    customer
        .post("/api/v1/campaigns/audience")
        .json(&chosen)
        .send()
        .await
        .assert_error(403, "scope_missing");
}
