use serde_json::{Value, json};
use testkit::{Response, Setup};

use crate::support::{App, PASSWORD, Person, register};

async fn as_customer(app: &App, email: &str, workspace: &str) -> Response {
    app.anonymous()
        .post("/api/v1/register")
        .json(&json!({
            "name": "Cus Tomer", "email": email, "password": PASSWORD,
            "workspace": { "id": workspace },
        }))
        .send()
        .await
}

async fn own_workspace(person: &Person) -> String {
    let seen: Value = person
        .client
        .get("/api/v1/workspaces/current")
        .send()
        .await
        .json();
    seen["id"].as_str().expect("an id").to_owned()
}

#[actix_web::test]
async fn a_customer_joins_a_workspace_that_takes_them_and_may_nothing_else() {
    // Strangers may open no workspaces here; what a workspace allows is its own affair.
    let app: App = Setup::default()
        .with("IDENTITY_REGISTRATION", "closed")
        .with("CLARION_OWNER_EMAIL", "ada@example.com")
        .with("CLARION_OWNER_PASSWORD", PASSWORD)
        .start()
        .await;
    let ada = crate::support::login(&app, "ada@example.com", PASSWORD).await;
    let ada = Person::of(&app, &ada.assert_status(200));
    let workspace = own_workspace(&ada).await;
    as_customer(&app, "c@example.com", &workspace)
        .await
        .assert_error(403, "workspace_not_open");
    let unknown = common::WorkspaceId::new().to_string();
    as_customer(&app, "c@example.com", &unknown)
        .await
        .assert_error(403, "workspace_not_open");
    let open = json!({ "name": "Shop", "customer_registration": true });
    let changed: Value = ada
        .client
        .put("/api/v1/workspaces/current")
        .json(&open)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(changed["customer_registration"], true);
    let joined = as_customer(&app, "c@example.com", &workspace).await;
    let customer = Person::of(&app, &joined.assert_status(201));
    let own: Value = customer.client.get(customer.path()).send().await.json();
    assert_eq!(own["role"], "customer");
    for path in [
        "/api/v1/users",
        "/api/v1/workspaces/current",
        "/api/v1/api-keys",
    ] {
        customer
            .client
            .get(path)
            .send()
            .await
            .assert_error(403, "scope_missing");
    }
    as_customer(&app, "c@example.com", &workspace)
        .await
        .assert_error(409, "email_taken");
    customer
        .client
        .post("/api/v1/workspaces")
        .json(&json!({ "name": "Mine" }))
        .send()
        .await
        .assert_error(403, "registration_closed");
    let both = json!({
        "name": "x", "email": "d@example.com", "password": PASSWORD,
        "workspace": { "id": workspace, "name": "Mine" },
    });
    let refused = app
        .anonymous()
        .post("/api/v1/register")
        .json(&both)
        .send()
        .await;
    let refused = refused.assert_error(422, "invalid_input");
    assert_eq!(refused.errors[0].pointer, "/workspace");
}

#[actix_web::test]
async fn a_person_opens_a_second_workspace_and_signs_in_to_it() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let made: Value = ada
        .client
        .post("/api/v1/workspaces")
        .json(&json!({ "name": "Second" }))
        .send()
        .await
        .assert_status(201)
        .json();
    let second = made["id"].as_str().expect("an id");
    let login = |workspace: String| {
        let body = json!({
            "email": ada.email, "password": PASSWORD, "workspace_id": workspace
        });
        app.anonymous().post("/api/v1/login").json(&body).send()
    };
    let there = Person::of(&app, &login(second.to_owned()).await.assert_status(200));
    assert_eq!(own_workspace(&there).await, second);
    assert_ne!(own_workspace(&ada).await, second);
    login(common::WorkspaceId::new().to_string())
        .await
        .assert_error(404, "workspace_not_found");
    // Who leaves one workspace keeps the other.
    let bob = crate::support::member(&app, &there, "owner").await;
    bob.client
        .delete(ada.path())
        .send()
        .await
        .assert_status(204);
    let home = login(own_workspace_id(&app, &ada).await).await;
    home.assert_status(200);
}

/// The first workspace, asked with a new token: the old one was revoked.
async fn own_workspace_id(app: &App, person: &Person) -> String {
    let again = crate::support::login(app, &person.email, PASSWORD).await;
    own_workspace(&Person::of(app, &again.assert_status(200))).await
}

#[actix_web::test]
async fn a_browser_switches_by_a_new_cookie() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let made: Value = ada
        .client
        .post("/api/v1/workspaces")
        .json(&json!({ "name": "Second" }))
        .send()
        .await
        .json();
    let second = made["id"].as_str().expect("an id");
    let started = app
        .anonymous()
        .post("/api/v1/session")
        .json(&json!({ "email": ada.email, "password": PASSWORD }))
        .send()
        .await
        .assert_status(201);
    let cookie = |answer: &Response| {
        let set = answer.header("set-cookie").expect("a cookie");
        set.split(';').next().expect("a pair").to_owned()
    };
    let csrf = |answer: &Response| {
        let body: Value = answer.json();
        body["csrf_token"].as_str().expect("a token").to_owned()
    };
    let (old, token) = (cookie(&started), csrf(&started));
    let switch = |workspace: &str, csrf: &str| {
        app.anonymous()
            .put("/api/v1/session")
            .header("cookie", &old)
            .header("x-csrf-token", csrf)
            .json(&json!({ "workspace_id": workspace }))
    };
    switch(second, "forged")
        .send()
        .await
        .assert_error(403, "csrf_mismatch");
    switch(&common::WorkspaceId::new().to_string(), &token)
        .send()
        .await
        .assert_error(404, "workspace_not_found");
    let switched = switch(second, &token).send().await.assert_status(200);
    assert_ne!(cookie(&switched), old);
    assert_ne!(csrf(&switched), token);
    let body: Value = switched.json();
    assert_eq!(body["workspace"]["id"], second);
    let scopes = body["scopes"].as_array().expect("scopes");
    assert!(scopes.contains(&json!("users:write")), "{scopes:?}");
    let look = |cookie: &str| {
        let request = app.anonymous().get("/api/v1/session");
        request.header("cookie", cookie).send()
    };
    look(&cookie(&switched)).await.assert_status(200);
    look(&old).await.assert_error(401, "session_missing");
    let quiet = |query: &str| {
        let request = app
            .anonymous()
            .get(format!("/api/v1/session?quiet={query}"));
        request.header("cookie", &old).send()
    };
    quiet("true").await.assert_status(204);
    quiet("false").await.assert_error(401, "session_missing");
    quiet("perhaps").await.assert_error(422, "invalid_input");
    switch(second, &token)
        .send()
        .await
        .assert_error(401, "session_missing");
}
