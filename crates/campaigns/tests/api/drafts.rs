use common::WorkspaceId;
use common::auth::Role;
use serde_json::{Value, json};

use crate::stage::{Stage, id};

#[actix_web::test]
async fn a_draft_needs_only_a_name_and_is_read_back() {
    let stage = Stage::new().await;
    let made = stage.create(&json!({ "name": "Spring" })).await;
    assert_eq!(made["status"], "draft");
    assert_eq!(stage.get(id(&made)).await, made);
}

#[actix_web::test]
async fn an_edit_changes_what_is_given_and_keeps_the_rest() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    body["budget"] = json!({ "amount": 5000, "currency": "EUR" });
    let made = stage.create(&body).await;
    let path = format!("/api/v1/campaigns/{}", id(&made));
    let edit = json!({ "name": "Summer", "budget": null });
    let edited: Value = stage
        .marketer
        .patch(path)
        .json(&edit)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(edited["name"], "Summer");
    assert_eq!(edited["budget"], Value::Null);
    assert_eq!(edited["content"], made["content"]);
}

#[actix_web::test]
async fn the_second_of_two_editors_is_told() {
    let stage = Stage::new().await;
    let made = stage.create(&json!({ "name": "Spring" })).await;
    let path = format!("/api/v1/campaigns/{}", id(&made));
    let edit = |name: &str| {
        stage
            .marketer
            .patch(&path)
            .header("if-match", "\"1\"")
            .json(&json!({ "name": name }))
    };
    let first = edit("first").send().await.assert_status(200);
    assert_eq!(first.header("etag"), Some("\"2\""));
    edit("second")
        .send()
        .await
        .assert_error(412, "changed_meanwhile");
    assert_eq!(stage.get(id(&made)).await["name"], "first");
}

#[actix_web::test]
async fn lists_are_paged_newest_first_without_repetition() {
    let stage = Stage::new().await;
    for n in 0..5 {
        stage.create(&json!({ "name": format!("c{n}") })).await;
    }
    let mut names = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", "2".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Value = stage
            .marketer
            .get("/api/v1/campaigns")
            .query(&query)
            .send()
            .await
            .assert_status(200)
            .json();
        let items = page["items"].as_array().expect("items");
        names.extend(
            items
                .iter()
                .map(|item| item["name"].as_str().expect("a name").to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(names, ["c4", "c3", "c2", "c1", "c0"]);
}

#[actix_web::test]
async fn another_workspace_sees_and_changes_nothing() {
    let stage = Stage::new().await;
    let made = id(&stage.create(&stage.ready()).await);
    let other = stage.app.as_role_in(WorkspaceId::new(), Role::Owner);
    let path = format!("/api/v1/campaigns/{made}");
    other
        .get(&path)
        .send()
        .await
        .assert_error(404, "campaign_not_found");
    other
        .patch(&path)
        .json(&json!({ "name": "x" }))
        .send()
        .await
        .assert_error(404, "campaign_not_found");
    other
        .delete(&path)
        .send()
        .await
        .assert_error(404, "campaign_not_found");
    for verb in [
        "preflight",
        "start",
        "pause",
        "resume",
        "cancel",
        "duplicate",
    ] {
        let answer = other
            .post(format!("{path}/{verb}"))
            .json(&json!({}))
            .send()
            .await;
        answer.assert_error(404, "campaign_not_found");
    }
    for part in ["settlement", "report"] {
        other
            .get(format!("{path}/{part}"))
            .send()
            .await
            .assert_error(404, "campaign_not_found");
    }
    let listed: Value = other
        .get("/api/v1/campaigns")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(listed["items"], json!([]));
}

#[actix_web::test]
async fn roles_without_the_scope_are_refused() {
    let stage = Stage::new().await;
    let made = id(&stage.create(&stage.ready()).await);
    let analyst = stage.app.as_role(Role::Analyst);
    analyst
        .get(format!("/api/v1/campaigns/{made}"))
        .send()
        .await
        .assert_status(200);
    analyst
        .post("/api/v1/campaigns")
        .json(&json!({ "name": "x" }))
        .send()
        .await
        .assert_error(403, "scope_missing");
    analyst
        .post(format!("/api/v1/campaigns/{made}/start"))
        .json(&json!({}))
        .send()
        .await
        .assert_error(403, "scope_missing");
    stage
        .app
        .as_role(Role::Customer)
        .get("/api/v1/campaigns")
        .send()
        .await
        .assert_error(403, "scope_missing");
    stage
        .app
        .anonymous()
        .get("/api/v1/campaigns")
        .send()
        .await
        .assert_error(401, "token_missing");
}

#[actix_web::test]
async fn a_copy_is_a_draft_without_a_schedule() {
    let stage = Stage::new().await;
    let mut body = stage.ready();
    body["schedule"] = json!({ "at": "2099-01-01T09:00:00Z" });
    let made = stage.create(&body).await;
    let copy: Value = stage
        .act(id(&made), "duplicate", &json!({}))
        .await
        .assert_status(201)
        .json();
    assert_ne!(copy["id"], made["id"]);
    assert_eq!(copy["name"], "Spring (copy)");
    assert_eq!(copy["content"], made["content"]);
    assert_eq!(copy["schedule"], Value::Null);
}

#[actix_web::test]
async fn a_draft_can_be_deleted_and_a_started_campaign_cannot() {
    let stage = Stage::new().await;
    let draft = id(&stage.create(&json!({ "name": "x" })).await);
    let path = format!("/api/v1/campaigns/{draft}");
    stage.marketer.delete(&path).send().await.assert_status(204);
    stage
        .marketer
        .get(&path)
        .send()
        .await
        .assert_error(404, "campaign_not_found");
    let started = stage.started().await;
    let path = format!("/api/v1/campaigns/{started}");
    stage
        .marketer
        .delete(&path)
        .send()
        .await
        .assert_error(409, "wrong_status");
    stage
        .marketer
        .patch(&path)
        .json(&json!({ "name": "y" }))
        .send()
        .await
        .assert_error(409, "wrong_status");
}
