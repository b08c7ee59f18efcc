use serde_json::{Value, json};

use crate::stage::Stage;

fn template(body: &str) -> Value {
    json!({
        "name": "Welcome", "subject": "Hello {{ lead.first_name }}", "preheader": "Look inside",
        "content": { "format": "html", "body": body },
    })
}

#[actix_web::test]
async fn a_campaign_copies_the_template_and_keeps_the_copy() {
    let stage = Stage::new().await;
    let made: Value = stage
        .marketer
        .post("/api/v1/templates")
        .json(&template("<p>one</p>"))
        .send()
        .await
        .assert_status(201)
        .json();
    let path = format!("/api/v1/templates/{}", made["id"].as_str().expect("an id"));
    let campaign = stage
        .create(&json!({ "name": "c", "template_id": made["id"] }))
        .await;
    assert_eq!(campaign["content"]["body"], "<p>one</p>");
    assert_eq!(campaign["subject"], "Hello {{ lead.first_name }}");

    stage
        .marketer
        .put(&path)
        .json(&template("<p>two</p>"))
        .send()
        .await
        .assert_status(200);
    stage.marketer.delete(&path).send().await.assert_status(204);
    stage
        .marketer
        .get(&path)
        .send()
        .await
        .assert_error(404, "template_not_found");
    assert_eq!(
        stage.get(crate::stage::id(&campaign)).await["content"]["body"],
        "<p>one</p>"
    );
}

#[actix_web::test]
async fn a_syntax_error_is_refused_with_line_and_column() {
    let stage = Stage::new().await;
    let body = template("<p>fine</p>\n<p>{{ lead.first_name | }}</p>");
    let problem = stage
        .marketer
        .post("/api/v1/templates")
        .json(&body)
        .send()
        .await
        .assert_error(422, "invalid_template");
    let error = &problem.errors[0];
    assert_eq!(error.pointer, "/content/body");
    assert_eq!(error.line, Some(2));
    assert!(error.column.is_some(), "{error:?}");
    let listed: Value = stage.marketer.get("/api/v1/templates").send().await.json();
    assert_eq!(listed["items"], json!([]));
}

#[actix_web::test]
async fn two_editors_of_a_template_do_not_overwrite_each_other() {
    let stage = Stage::new().await;
    let made: Value = stage
        .marketer
        .post("/api/v1/templates")
        .json(&template("<p>one</p>"))
        .send()
        .await
        .assert_status(201)
        .json();
    let path = format!("/api/v1/templates/{}", made["id"].as_str().expect("an id"));
    let put = |body| {
        stage
            .marketer
            .put(&path)
            .header("if-match", "\"1\"")
            .json(&template(body))
    };
    put("<p>two</p>").send().await.assert_status(200);
    put("<p>three</p>")
        .send()
        .await
        .assert_error(412, "changed_meanwhile");
}
