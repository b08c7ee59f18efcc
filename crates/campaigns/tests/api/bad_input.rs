use serde_json::json;

use crate::stage::Stage;

#[actix_web::test]
async fn every_bad_field_is_named() {
    let stage = Stage::new().await;
    let cases = [
        (json!({ "name": "" }), "/name"),
        (json!({ "name": "x".repeat(201) }), "/name"),
        (json!({ "name": 7 }), "/name"),
        (json!({ "name": "a\0b" }), "/name"),
        (
            json!({ "name": "x", "subject": "Hi\r\nBcc: eve@example.com" }),
            "/subject",
        ),
        (
            json!({ "name": "x", "from": { "name": "A\nB", "email": "a@example.com" } }),
            "/from",
        ),
        (
            json!({ "name": "x", "from": { "email": "not an address" } }),
            "/from/email",
        ),
        (json!({ "name": "x", "reply_to": "a@b@c" }), "/reply_to"),
        (
            json!({ "name": "x", "budget": { "amount": -1, "currency": "EUR" } }),
            "/budget",
        ),
        (
            json!({ "name": "x", "budget": { "amount": 1, "currency": "euro" } }),
            "/budget/currency",
        ),
        (
            json!({ "name": "x", "schedule": { "at": "2001-01-01T00:00:00Z" } }),
            "/schedule/at",
        ),
        (
            json!({ "name": "x", "schedule": { "at": "2099-01-01T00:00:00", "timezone": "Moon" } }),
            "/schedule/timezone",
        ),
        (
            json!({ "name": "x", "audience": { "list_ids": ["7"] } }),
            "/audience/list_ids/0",
        ),
        (
            json!({ "name": "x", "template_id": uuid::Uuid::now_v7() }),
            "/template_id",
        ),
    ];
    for (body, pointer) in cases {
        let answer = stage
            .marketer
            .post("/api/v1/campaigns")
            .json(&body)
            .send()
            .await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        let problem: common::Problem = answer.json();
        assert!(
            problem.errors.iter().any(|error| error.pointer == pointer),
            "{pointer}: {problem:?}"
        );
    }
    let listed: serde_json::Value = stage.marketer.get("/api/v1/campaigns").send().await.json();
    assert_eq!(listed["items"], json!([]), "nothing was stored");
}

#[actix_web::test]
async fn unknown_fields_and_broken_json_are_refused() {
    let stage = Stage::new().await;
    let post = || stage.marketer.post("/api/v1/campaigns");
    let unknown = post()
        .json(&json!({ "name": "x", "statuss": "running" }))
        .send()
        .await;
    assert!(
        unknown
            .assert_error(422, "invalid_input")
            .detail
            .contains("statuss")
    );
    post()
        .body("{\"name\":")
        .send()
        .await
        .assert_error(400, "malformed_body");
    let huge = vec![b' '; 3 * 1024 * 1024];
    post()
        .body(huge)
        .send()
        .await
        .assert_error(413, "body_too_large");
}

#[actix_web::test]
async fn an_endless_template_and_a_bad_id_are_refused() {
    let stage = Stage::new().await;
    let body = json!({ "name": "x", "content": {
        "format": "text", "body": "{% for a in range(1000000000) %}x{% endfor %}" } });
    stage
        .marketer
        .post("/api/v1/campaigns")
        .json(&body)
        .send()
        .await
        .assert_error(422, "invalid_template");
    stage
        .marketer
        .get("/api/v1/campaigns/7")
        .send()
        .await
        .assert_error(404, "not_found");
    let bad = stage
        .marketer
        .get("/api/v1/campaigns")
        .query(&[("limit", "501")])
        .send()
        .await;
    assert_eq!(
        bad.assert_error(422, "invalid_input").errors[0].pointer,
        "query/limit"
    );
}
