use common::auth::Service;
use common::dto::template::TemplateCopy;
use common::ids::{TemplateId, WorkspaceId};
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

#[actix_web::test]
async fn others_are_told_of_every_change_and_may_ask() {
    let stage = Stage::new().await;
    let told = || {
        let events = stage.app.events().into_iter();
        events
            .filter(|kind| kind.starts_with("template."))
            .collect::<Vec<_>>()
    };
    let broken = template("<p>{{ lead.first_name | }}</p>");
    let refused = stage
        .marketer
        .post("/api/v1/templates")
        .json(&broken)
        .send();
    refused.await.assert_error(422, "invalid_template");
    assert!(told().is_empty());
    let made: Value = stage
        .marketer
        .post("/api/v1/templates")
        .json(&template("<p>one</p>"))
        .send()
        .await
        .assert_status(201)
        .json();
    let id = made["id"].as_str().expect("an id");
    let path = format!("/api/v1/templates/{id}");
    let changed = stage.marketer.put(&path).json(&template("<p>two</p>"));
    changed.send().await.assert_status(200);

    let notifications = stage.app.as_service(Service::Notifications);
    let ask = |id: &str, workspace: WorkspaceId| {
        notifications
            .get(format!("/internal/templates/{id}?workspace_id={workspace}"))
            .send()
    };
    let copy: TemplateCopy = ask(id, stage.app.workspace).await.assert_status(200).json();
    assert_eq!(
        (copy.version, copy.content.body.as_str()),
        (2, "<p>two</p>")
    );
    assert_eq!(copy.subject, "Hello {{ lead.first_name }}");
    ask(id, WorkspaceId::new())
        .await
        .assert_error(404, "template_not_found");
    stage
        .marketer
        .get(format!("/internal/templates/{id}"))
        .send()
        .await
        .assert_status(403);

    let unknown = format!("/api/v1/templates/{}", TemplateId::new());
    stage
        .marketer
        .delete(unknown)
        .send()
        .await
        .assert_status(404);
    stage.marketer.delete(&path).send().await.assert_status(204);
    assert_eq!(
        told(),
        ["template.saved", "template.saved", "template.deleted"]
    );
}
