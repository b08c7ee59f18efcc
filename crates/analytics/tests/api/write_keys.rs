//! `/api/v1/write-keys`

use chrono::Duration;
use common::WorkspaceId;
use common::auth::Role;
use serde_json::{Value, json};
use testkit::{Client, Response, Setup};

use crate::support::{App, count, write_key};

async fn create(app: &App, body: Value) -> Response {
    let owner = app.as_role(Role::Owner);
    owner.post("/api/v1/write-keys").json(&body).send().await
}

async fn track(app: &App, key: &str, origin: Option<&str>) -> Response {
    let body = json!({ "writeKey": key, "userId": "u", "event": "x" });
    let request = app.anonymous().post("/v1/track").json(&body);
    match origin {
        Some(origin) => request.header("origin", origin).send().await,
        None => request.send().await,
    }
}

fn code(answer: &Response) -> (u16, String) {
    let body: Value = answer.json();
    (
        answer.status,
        body["code"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn a_key_is_made_listed_changed_and_revoked() {
    let app = App::start().await;
    let created: Value = create(
        &app,
        json!({ "name": " Shop ", "origins": ["https://Shop.example/"] }),
    )
    .await
    .assert_status(201)
    .json();
    assert_eq!(created["name"], "Shop");
    assert_eq!(created["origins"], json!(["https://shop.example"]));
    assert_eq!(created["revoked_at"], Value::Null);
    let path = format!(
        "/api/v1/write-keys/{}",
        created["id"].as_str().expect("an id")
    );
    let owner = app.as_role(Role::Owner);
    let change = json!({ "name": "Blog", "origins": [] });
    let changed: Value = owner
        .patch(&path)
        .json(&change)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (&changed["name"], &changed["origins"]),
        (&json!("Blog"), &json!([]))
    );
    assert_eq!(changed["key"], created["key"]);
    let unchanged: Value = owner
        .patch(&path)
        .json(&json!({}))
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(unchanged, changed);
    let analyst = app.as_role(Role::Analyst);
    assert_eq!(analyst.get(&path).send().await.json::<Value>(), changed);
    for _ in 0..2 {
        owner.delete(&path).send().await.assert_status(204);
    }
    let listed: Value = analyst
        .get("/api/v1/write-keys")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_ne!(listed["items"][0]["revoked_at"], Value::Null);
}

#[tokio::test]
async fn what_a_key_cannot_be_is_named() {
    let app = App::start().await;
    for (body, pointers) in [
        (json!({ "name": "  " }), vec!["/name"]),
        (
            json!({ "name": "x".repeat(201), "origins": ["shop.example", "https://a.example/b"] }),
            vec!["/name", "/origins/0", "/origins/1"],
        ),
        (
            json!({ "name": "a", "origins": vec!["https://a.example"; 51] }),
            vec!["/origins"],
        ),
    ] {
        let problem = create(&app, body).await.assert_error(422, "invalid_input");
        let named: Vec<_> = problem
            .errors
            .iter()
            .map(|error| error.pointer.as_str())
            .collect();
        assert_eq!(named, pointers);
    }
    create(&app, json!({ "name": "a", "secret": 1 }))
        .await
        .assert_error(422, "invalid_input");
    let list = app.as_role(Role::Owner);
    for query in ["limit=0", "cursor=%25"] {
        let path = format!("/api/v1/write-keys?{query}");
        list.get(path)
            .send()
            .await
            .assert_error(422, "invalid_input");
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_workspace_and_to_whoever_may() {
    let app = App::start().await;
    let created: Value = create(&app, json!({ "name": "Shop" })).await.json();
    let path = format!(
        "/api/v1/write-keys/{}",
        created["id"].as_str().expect("an id")
    );
    let theirs = app.as_role_in(WorkspaceId::new(), Role::Owner);
    let by = |client: &Client| {
        [
            client.get(&path),
            client.delete(&path),
            client.patch(&path).json(&json!({ "name": "x" })),
        ]
    };
    for request in by(&theirs) {
        request
            .send()
            .await
            .assert_error(404, "write_key_not_found");
    }
    let listed: Value = theirs.get("/api/v1/write-keys").send().await.json();
    assert_eq!(listed["items"], json!([]));
    for request in by(&app.as_role(Role::Customer)) {
        request.send().await.assert_error(403, "scope_missing");
    }
    let analyst = app.as_role(Role::Analyst);
    analyst
        .delete(&path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let key = created["key"].as_str().expect("a key");
    track(&app, key, None).await.assert_status(200);
}

#[tokio::test]
async fn lists_have_pages() {
    let app = App::start().await;
    for name in ["a", "b", "c"] {
        create(&app, json!({ "name": name }))
            .await
            .assert_status(201);
    }
    let owner = app.as_role(Role::Owner);
    let first: Value = owner.get("/api/v1/write-keys?limit=2").send().await.json();
    let cursor = first["next_cursor"].as_str().expect("more follow");
    let path = format!("/api/v1/write-keys?limit=2&cursor={cursor}");
    let second: Value = owner.get(path).send().await.json();
    assert_eq!(second["items"][0]["name"], "c");
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_revoked_key_sends_nothing_more() {
    let app = App::start().await;
    let replica = Setup::default().beside(&app).start().await;
    let (id, key) = write_key(&app, json!({ "name": "Shop" })).await;
    for app in [&app, &replica] {
        track(app, &key, None).await.assert_status(200);
    }
    let owner = app.as_role(Role::Owner);
    owner
        .delete(format!("/api/v1/write-keys/{id}"))
        .send()
        .await
        .assert_status(204);
    let refused = (401, "write_key_invalid".to_owned());
    assert_eq!(code(&track(&app, &key, None).await), refused);
    // The other replica has remembered it, for ten seconds at most.
    app.clock.advance(Duration::seconds(10));
    assert_eq!(code(&track(&replica, &key, None).await), refused);
    assert_eq!(count(&app, "events"), 2);
}

#[tokio::test]
async fn pages_of_other_origins_may_not_use_a_key_that_names_its_own() {
    let app = App::start().await;
    let body = json!({ "name": "Shop", "origins": ["https://shop.example"] });
    let (_, key) = write_key(&app, body).await;
    track(&app, &key, Some("https://shop.example"))
        .await
        .assert_status(200);
    track(&app, &key, None).await.assert_status(200);
    for origin in ["https://evil.example", "http://shop.example", "null"] {
        let answer = track(&app, &key, Some(origin)).await;
        assert_eq!(
            code(&answer),
            (403, "origin_not_allowed".to_owned()),
            "{origin}"
        );
    }
    assert_eq!(count(&app, "events"), 2);
}
