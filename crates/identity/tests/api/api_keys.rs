use chrono::Duration;
use common::auth::Service;
use common::dto::access::{Credential, IssuedToken};
use serde_json::{Value, json};
use testkit::{Client, Response};

use crate::support::{App, Person, member, register};

/// A client that is service `name`, by the installation's secret.
pub(crate) async fn service(app: &App, name: Service) -> Client {
    let issued: IssuedToken = app
        .anonymous()
        .post("/internal/service-token")
        .json(&json!({ "service": name, "secret": "service secret of the tests" }))
        .send()
        .await
        .assert_status(200)
        .json();
    Client::new(app.url(), Some(issued.access_token))
}

async fn create(by: &Person, body: Value) -> Response {
    by.client.post("/api/v1/api-keys").json(&body).send().await
}

async fn exchange(app: &App, key: &str) -> Response {
    service(app, Service::Gateway)
        .await
        .post("/internal/exchange")
        .json(&Credential::ApiKey(key.to_owned()))
        .send()
        .await
}

fn key_of(answer: &Response) -> String {
    let body: Value = answer.json();
    body["key"].as_str().expect("the key").to_owned()
}

/// An access token of a new key with these scopes.
pub(crate) async fn token_of_key(app: &App, by: &Person, scopes: &[&str]) -> String {
    let created = create(by, json!({ "name": "a program", "scopes": scopes })).await;
    let key = key_of(&created.assert_status(201));
    let issued: IssuedToken = exchange(app, &key).await.assert_status(200).json();
    issued.access_token
}

#[actix_web::test]
async fn a_key_is_shown_once_and_exchanged_for_its_scopes() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let created = create(&ada, json!({ "name": "CI", "scopes": ["users:read"] }))
        .await
        .assert_status(201);
    let key = key_of(&created);
    assert!(key.starts_with("clk_") && key.len() > 40, "{key}");
    let listed = ada.client.get("/api/v1/api-keys").send().await;
    assert!(!listed.text().contains(&key));
    let before: Value = listed.json();
    assert_eq!(before["items"][0]["last_used_at"], Value::Null);

    let issued: IssuedToken = exchange(&app, &key).await.assert_status(200).json();
    assert_eq!((issued.expires_in, issued.csrf_token), (600, None));
    let program = Client::new(app.url(), Some(issued.access_token));
    program.get("/api/v1/users").send().await.assert_status(200);
    program
        .get("/api/v1/api-keys")
        .send()
        .await
        .assert_error(403, "scope_missing");
    program
        .post("/api/v1/logout")
        .send()
        .await
        .assert_error(403, "people_only");
    let after: Value = ada.client.get("/api/v1/api-keys").send().await.json();
    assert_ne!(after["items"][0]["last_used_at"], Value::Null);
}

#[actix_web::test]
async fn a_key_works_until_it_expires_or_is_deleted() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let until = app.clock.now() + Duration::seconds(90);
    let expiring = create(
        &ada,
        json!({ "name": "short", "scopes": ["users:read"], "expires_at": until }),
    )
    .await;
    let lasting = create(&ada, json!({ "name": "long", "scopes": ["users:read"] })).await;
    let issued: IssuedToken = exchange(&app, &key_of(&expiring)).await.json();
    assert_eq!(issued.expires_in, 90, "the token does not outlive the key");
    app.clock.advance(Duration::seconds(90));
    exchange(&app, &key_of(&expiring))
        .await
        .assert_error(422, "credential_invalid");

    let id: Value = lasting.json();
    let path = format!("/api/v1/api-keys/{}", id["id"].as_str().expect("an id"));
    let eve = register(&app, "eve@example.com").await;
    eve.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "api_key_not_found");
    let ada = Person::of(
        &app,
        &crate::support::login(&app, &ada.email, crate::support::PASSWORD).await,
    );
    ada.client.delete(&path).send().await.assert_status(204);
    exchange(&app, &key_of(&lasting))
        .await
        .assert_error(422, "credential_invalid");
    exchange(&app, "clk_unknown")
        .await
        .assert_error(422, "credential_invalid");
}

#[actix_web::test]
async fn a_key_gets_no_more_than_its_maker_has() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    create(&bob, json!({ "name": "x", "scopes": ["leads:read"] }))
        .await
        .assert_error(403, "scope_missing");
    let created = create(
        &ada,
        json!({ "name": "maker", "scopes": ["keys:write", "leads:read"] }),
    )
    .await;
    let issued: IssuedToken = exchange(&app, &key_of(&created)).await.json();
    let program = Client::new(app.url(), Some(issued.access_token));
    let body = |scope: &str| json!({ "name": "made", "scopes": [scope] });
    program
        .post("/api/v1/api-keys")
        .json(&body("leads:read"))
        .send()
        .await
        .assert_status(201);
    program
        .post("/api/v1/api-keys")
        .json(&body("leads:write"))
        .send()
        .await
        .assert_error(403, "scope_missing");
    let problem = create(
        &ada,
        json!({ "name": "", "scopes": [], "expires_at": "2001-01-01T00:00:00Z" }),
    )
    .await
    .assert_error(422, "invalid_input");
    assert_eq!(problem.errors.len(), 3);
}

#[actix_web::test]
async fn a_key_makes_nobody_an_owner() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let scopes: Vec<_> = common::auth::Scope::ALL.iter().collect();
    let created = create(&ada, json!({ "name": "all", "scopes": scopes })).await;
    let issued: IssuedToken = exchange(&app, &key_of(&created)).await.json();
    let program = Client::new(app.url(), Some(issued.access_token));
    let person = |role: &str| {
        json!({ "name": "P", "email": format!("{role}@example.com"),
                "password": crate::support::PASSWORD, "role": role })
    };
    program
        .post("/api/v1/users")
        .json(&person("admin"))
        .send()
        .await
        .assert_status(201);
    program
        .post("/api/v1/users")
        .json(&person("owner"))
        .send()
        .await
        .assert_error(403, "role_above_own");
    program
        .delete(ada.path())
        .send()
        .await
        .assert_error(403, "role_above_own");
}

#[actix_web::test]
async fn keys_are_listed_by_pages() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    for name in ["a", "b", "c"] {
        create(&ada, json!({ "name": name, "scopes": ["leads:read"] }))
            .await
            .assert_status(201);
    }
    let first: Value = ada
        .client
        .get("/api/v1/api-keys?limit=2")
        .send()
        .await
        .json();
    let cursor = first["next_cursor"].as_str().expect("more follow");
    let path = format!("/api/v1/api-keys?limit=2&cursor={cursor}");
    let second: Value = ada.client.get(path).send().await.json();
    assert_eq!(second["items"][0]["name"], "c");
    assert_eq!(second["next_cursor"], Value::Null);
    ada.client
        .get("/api/v1/api-keys?cursor=x")
        .send()
        .await
        .assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn only_the_gateway_exchanges_credentials() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let body = Credential::ApiKey("clk_x".into());
    service(&app, Service::Leads)
        .await
        .post("/internal/exchange")
        .json(&body)
        .send()
        .await
        .assert_error(403, "services_only");
    ada.client
        .post("/internal/exchange")
        .json(&body)
        .send()
        .await
        .assert_error(403, "services_only");
    app.anonymous()
        .post("/internal/exchange")
        .json(&body)
        .send()
        .await
        .assert_error(401, "token_missing");
}

#[actix_web::test]
async fn a_service_proves_itself_by_the_secret() {
    let app = App::start().await;
    for secret in [
        "",
        "service secret of the test",
        "service secret of the tests ",
    ] {
        app.anonymous()
            .post("/internal/service-token")
            .json(&json!({ "service": "leads", "secret": secret }))
            .send()
            .await
            .assert_error(401, "service_secret_wrong");
    }
    let leads = service(&app, Service::Leads).await;
    leads
        .get("/internal/events?after=0")
        .send()
        .await
        .assert_status(200);
    // A service acts for itself, never for a workspace.
    leads
        .get("/api/v1/users")
        .send()
        .await
        .assert_error(401, "token_invalid");
}
