use chrono::Duration;
use common::auth::Service;
use common::dto::access::{Credential, IssuedToken};
use serde_json::{Value, json};
use testkit::{Client, Response, Servers, Setup};

use crate::api_keys::service;
use crate::support::{App, PASSWORD, member, register};

const PATH: &str = "/api/v1/session";

/// A signed-in browser: its cookie and its CSRF token.
struct Browser {
    cookie: String,
    csrf: String,
}

async fn start(app: &App, email: &str) -> Response {
    app.anonymous()
        .post(PATH)
        .json(&json!({ "email": email, "password": PASSWORD }))
        .send()
        .await
}

async fn sign_in(app: &App, email: &str) -> Browser {
    let answer = start(app, email).await.assert_status(201);
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    let cookie = set.split(';').next().expect("its pair").to_owned();
    let body: Value = answer.json();
    let csrf = body["csrf_token"].as_str().expect("a token").to_owned();
    for part in [
        "__Host-clarion_session=",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
    ] {
        assert!(set.contains(part), "{part} in {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    Browser { cookie, csrf }
}

async fn look(app: &App, browser: &Browser) -> Response {
    app.anonymous()
        .get(PATH)
        .header("cookie", &browser.cookie)
        .send()
        .await
}

async fn exchange(app: &App, browser: &Browser) -> Response {
    let value = browser.cookie.split_once('=').expect("a pair").1.to_owned();
    service(app, Service::Gateway)
        .await
        .post("/internal/exchange")
        .json(&Credential::Session(value))
        .send()
        .await
}

#[actix_web::test]
async fn a_session_becomes_a_token_and_ends_by_its_own_hand() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let browser = sign_in(&app, &ada.email).await;
    let seen: Value = look(&app, &browser).await.assert_status(200).json();
    assert_eq!(seen["user"]["id"], ada.id.as_str());
    assert_eq!(seen["csrf_token"], browser.csrf.as_str());

    let issued: IssuedToken = exchange(&app, &browser).await.assert_status(200).json();
    assert_eq!(issued.csrf_token.as_deref(), Some(browser.csrf.as_str()));
    Client::new(app.url(), Some(issued.access_token))
        .get(ada.path())
        .send()
        .await
        .assert_status(200);

    let end = || {
        app.anonymous()
            .delete(PATH)
            .header("cookie", &browser.cookie)
    };
    end().send().await.assert_error(403, "csrf_mismatch");
    end()
        .header("x-csrf-token", "forged")
        .send()
        .await
        .assert_error(403, "csrf_mismatch");
    look(&app, &browser).await.assert_status(200);
    end()
        .header("x-csrf-token", &browser.csrf)
        .send()
        .await
        .assert_status(204);
    look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
    exchange(&app, &browser)
        .await
        .assert_error(422, "credential_invalid");
}

#[actix_web::test]
async fn nobody_is_signed_in_without_a_cookie_or_by_a_wrong_password() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    app.anonymous()
        .get(PATH)
        .send()
        .await
        .assert_error(401, "session_missing");
    app.anonymous().delete(PATH).send().await.assert_status(204);
    let refused = app
        .anonymous()
        .post(PATH)
        .json(&json!({ "email": "ada@example.com", "password": "wrong horse battery" }))
        .send()
        .await;
    assert_eq!(refused.header("set-cookie"), None);
    refused.assert_error(401, "wrong_credentials");
}

#[actix_web::test]
async fn signing_in_again_makes_a_new_session_and_ends_the_old() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let old = sign_in(&app, &ada.email).await;
    app.anonymous()
        .post(PATH)
        .header("cookie", &old.cookie)
        .json(&json!({ "email": ada.email, "password": PASSWORD }))
        .send()
        .await
        .assert_status(201);
    look(&app, &old).await.assert_error(401, "session_missing");
}

#[actix_web::test]
async fn a_session_ends_after_a_week_however_busy() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let browser = sign_in(&app, &ada.email).await;
    app.clock.advance(Duration::days(7) - Duration::seconds(1));
    look(&app, &browser).await.assert_status(200);
    app.clock.advance(Duration::seconds(1));
    look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
}

#[actix_web::test]
async fn a_session_ends_with_the_password_and_with_the_membership() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    let first = sign_in(&app, &bob.email).await;
    bob.client
        .put(bob.path())
        .json(&json!({ "password": PASSWORD, "current_password": PASSWORD }))
        .send()
        .await
        .assert_status(200);
    exchange(&app, &first)
        .await
        .assert_error(422, "credential_invalid");

    let second = sign_in(&app, &bob.email).await;
    ada.client
        .delete(bob.path())
        .send()
        .await
        .assert_status(204);
    look(&app, &second)
        .await
        .assert_error(401, "session_missing");
}

#[actix_web::test]
async fn without_redis_sessions_are_away_and_tokens_work() {
    let servers = Servers::private();
    let app: App = Setup::on(&servers)
        .with("REDIS_URL", "redis://127.0.0.1:1")
        .start()
        .await;
    let ada = register(&app, "ada@example.com").await;
    start(&app, &ada.email)
        .await
        .assert_error(503, "unavailable");
    app.anonymous()
        .get(PATH)
        .header("cookie", "__Host-clarion_session=x")
        .send()
        .await
        .assert_error(503, "unavailable");
    ada.client.get(ada.path()).send().await.assert_status(200);
}
