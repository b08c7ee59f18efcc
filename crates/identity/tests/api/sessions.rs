use chrono::Duration;
use common::auth::Service;
use common::dto::access::{Credential, IssuedToken};
use serde_json::{Value, json};
use testkit::{Client, Response, Servers, Setup};

use crate::api_keys::service;
use crate::support::{App, PASSWORD, login, member, register};

const PATH: &str = "/api/v1/session";

/// A signed-in browser: its cookie and its CSRF token.
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

pub(crate) async fn start(app: &App, email: &str) -> Response {
    app.anonymous()
        .post(PATH)
        .json(&json!({ "email": email, "password": PASSWORD }))
        .send()
        .await
}

pub(crate) async fn sign_in(app: &App, email: &str) -> Browser {
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

pub(crate) async fn look(app: &App, browser: &Browser) -> Response {
    app.anonymous()
        .get(PATH)
        .header("cookie", &browser.cookie)
        .send()
        .await
}

pub(crate) async fn exchange(app: &App, browser: &Browser) -> Response {
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
    for _ in 0..15 {
        app.clock.advance(Duration::hours(11));
        look(&app, &browser).await.assert_status(200);
    }
    app.clock.advance(Duration::hours(3) - Duration::seconds(1));
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
async fn a_session_ends_when_it_is_not_used_for_half_a_day() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let browser = sign_in(&app, &ada.email).await;
    let almost = Duration::hours(12) - Duration::seconds(1);
    // Each look starts the half day anew.
    for _ in 0..3 {
        app.clock.advance(almost);
        look(&app, &browser).await.assert_status(200);
    }
    app.clock.advance(Duration::hours(12));
    look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
}

#[actix_web::test]
async fn a_cookie_does_not_grow_into_another_role() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "analyst").await;
    let before = sign_in(&app, &bob.email).await;
    let role = |role: &str| ada.client.put(bob.path()).json(&json!({ "role": role }));
    role("analyst").send().await.assert_status(200);
    look(&app, &before).await.assert_status(200);
    role("admin").send().await.assert_status(200);
    look(&app, &before)
        .await
        .assert_error(401, "session_missing");
    let after = sign_in(&app, &bob.email).await;
    assert_ne!(before.cookie, after.cookie);
    let seen: Value = look(&app, &after).await.assert_status(200).json();
    assert_eq!(seen["user"]["role"], "admin");
}

async fn listed(client: &Client) -> Vec<Value> {
    let listed: Value = client
        .get("/api/v1/sessions")
        .send()
        .await
        .assert_status(200)
        .json();
    listed["items"].as_array().expect("items").clone()
}

#[actix_web::test]
async fn a_person_sees_where_they_are_signed_in_and_ends_it() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    let started = app
        .anonymous()
        .post(PATH)
        .header("user-agent", "A browser/1.0")
        .header("x-forwarded-for", "192.0.2.7, 10.0.0.1")
        .json(&json!({ "email": ada.email, "password": PASSWORD }))
        .send()
        .await
        .assert_status(201);
    let cookie = started.header("set-cookie").expect("a cookie");
    let body: Value = started.json();
    let browser = Browser {
        cookie: cookie.split(';').next().expect("a pair").to_owned(),
        csrf: body["csrf_token"].as_str().expect("a token").to_owned(),
    };
    let items = listed(&ada.client).await;
    assert_eq!(items.len(), 2, "{items:?}");
    assert_eq!(items[0]["kind"], "browser");
    assert_eq!(items[0]["agent"], "A browser/1.0");
    assert_eq!(items[0]["address"], "192.0.2.7");
    assert_eq!(items[0]["current"], false);
    assert_eq!(items[1]["kind"], "tokens");
    assert_eq!(items[1]["current"], true);
    assert_eq!(items[1]["address"], "127.0.0.1");

    let path = format!("{PATH}s/{}", items[0]["id"].as_str().expect("an id"));
    // Nobody else can end it.
    eve.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "session_not_found");
    look(&app, &browser).await.assert_status(200);
    let issued: IssuedToken = exchange(&app, &browser).await.assert_status(200).json();
    ada.client.delete(&path).send().await.assert_status(204);
    look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
    // The token that was made from it ended with it.
    Client::new(app.url(), Some(issued.access_token))
        .get(ada.path())
        .send()
        .await
        .assert_error(401, "token_revoked");
    ada.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "session_not_found");
    assert_eq!(listed(&ada.client).await.len(), 1);
}

#[actix_web::test]
async fn all_other_sign_ins_end_at_once() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    let browser = sign_in(&app, &ada.email).await;
    let again = login(&app, &ada.email, PASSWORD).await;
    let again = crate::support::Person::of(&app, &again.assert_status(200));
    assert_eq!(listed(&ada.client).await.len(), 3);
    ada.client
        .delete("/api/v1/sessions")
        .send()
        .await
        .assert_status(204);
    look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
    again
        .client
        .get(ada.path())
        .send()
        .await
        .assert_error(401, "token_revoked");
    assert_eq!(listed(&ada.client).await.len(), 1);
    assert_eq!(listed(&eve.client).await.len(), 1);
}

#[actix_web::test]
async fn ending_another_sign_in_needs_a_proof_unless_one_signed_in_a_moment_ago() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    app.clock.advance(Duration::minutes(11));
    let browser = sign_in(&app, &ada.email).await;
    // The same sign-in goes on, by a new token.
    let renewed = app
        .anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": ada.refresh }))
        .send()
        .await
        .assert_status(200);
    let renewed: Value = renewed.json();
    let access = renewed["access_token"].as_str().expect("a token");
    let ada_later = Client::new(app.url(), Some(access.to_owned()));
    let items = listed(&ada_later).await;
    let path = |at: usize| format!("{PATH}s/{}", items[at]["id"].as_str().expect("an id"));
    assert_eq!(
        (items[0]["kind"].as_str(), items.len()),
        (Some("browser"), 2)
    );
    for all in [path(0), format!("{PATH}s")] {
        ada_later
            .delete(&all)
            .send()
            .await
            .assert_error(403, "proof_needed");
        let wrong = json!({ "current_password": "wrong horse battery" });
        let refused = ada_later.delete(&all).json(&wrong).send().await;
        let problem = refused.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "/current_password");
        let wrong = json!({ "code": "123456" });
        let refused = ada_later.delete(&all).json(&wrong).send().await;
        refused.assert_error(401, "code_wrong");
        let odd = json!({ "password": PASSWORD });
        let refused = ada_later.delete(&all).json(&odd).send().await;
        refused.assert_error(422, "invalid_input");
    }
    look(&app, &browser).await.assert_status(200);
    let right = json!({ "current_password": PASSWORD });
    ada_later
        .delete(path(0))
        .json(&right)
        .send()
        .await
        .assert_status(204);
    look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
    // One's own needs none.
    ada_later.delete(path(1)).send().await.assert_status(204);
}

#[actix_web::test]
async fn a_code_of_the_second_factor_is_a_proof_too() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let (_, codes) = crate::second_factor::enrol(&app, &ada).await;
    app.clock.advance(Duration::minutes(11));
    let renewed = app
        .anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": ada.refresh }))
        .send()
        .await
        .assert_status(200);
    let renewed: Value = renewed.json();
    let access = renewed["access_token"].as_str().expect("a token");
    let ada = Client::new(app.url(), Some(access.to_owned()));
    let end = |proof: Value| ada.delete(format!("{PATH}s")).json(&proof).send();
    end(json!({})).await.assert_error(403, "proof_needed");
    let with_code = json!({ "code": codes[0] });
    end(with_code.clone()).await.assert_status(204);
    end(with_code).await.assert_error(401, "code_wrong");
}

#[actix_web::test]
async fn nobody_has_more_than_twenty_browsers_and_the_oldest_ends() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let first = sign_in(&app, &ada.email).await;
    let of_first: IssuedToken = exchange(&app, &first).await.assert_status(200).json();
    let second = sign_in(&app, &ada.email).await;
    for _ in 0..18 {
        start(&app, &ada.email).await.assert_status(201);
    }
    look(&app, &first).await.assert_status(200);
    let last = sign_in(&app, &ada.email).await;
    look(&app, &first)
        .await
        .assert_error(401, "session_missing");
    Client::new(app.url(), Some(of_first.access_token))
        .get(ada.path())
        .send()
        .await
        .assert_error(401, "token_revoked");
    look(&app, &second).await.assert_status(200);
    look(&app, &last).await.assert_status(200);
    let kinds = listed(&ada.client).await;
    let browsers = kinds.iter().filter(|one| one["kind"] == "browser").count();
    assert_eq!((browsers, kinds.len()), (20, 21));
}

#[actix_web::test]
async fn nobody_has_more_than_a_hundred_sign_ins_by_tokens_and_the_oldest_ends() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let next = login(&app, &ada.email, PASSWORD).await.assert_status(200);
    let next = crate::support::Person::of(&app, &next);
    let workspace: Value = next
        .client
        .get("/api/v1/workspaces/current")
        .send()
        .await
        .json();
    let id = workspace["id"].as_str().expect("an id");
    let again = || {
        let path = format!("/api/v1/workspaces/{id}/switch");
        next.client.post(path).send()
    };
    for _ in 0..98 {
        again().await.assert_status(200);
    }
    ada.client.get(ada.path()).send().await.assert_status(200);
    again().await.assert_status(200);
    app.anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": ada.refresh }))
        .send()
        .await
        .assert_error(401, "refresh_token_invalid");
    // What it got before goes on until it expires.
    ada.client.get(ada.path()).send().await.assert_status(200);
    assert_eq!(listed(&next.client).await.len(), 100);
}

#[actix_web::test]
async fn signing_out_clears_what_the_browser_stored() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let browser = sign_in(&app, &ada.email).await;
    let gone = app
        .anonymous()
        .delete(PATH)
        .header("cookie", &browser.cookie)
        .header("x-csrf-token", &browser.csrf)
        .send()
        .await
        .assert_status(204);
    assert_eq!(gone.header("clear-site-data"), Some("\"storage\""));
    let cookie = gone.header("set-cookie").expect("the cookie goes");
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
}

#[actix_web::test]
async fn a_key_has_no_sign_ins() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let key = crate::api_keys::token_of_key(&app, &ada, &["users:read"]).await;
    Client::new(app.url(), Some(key))
        .get("/api/v1/sessions")
        .send()
        .await
        .assert_error(403, "people_only");
}

#[actix_web::test]
async fn without_redis_nobody_signs_in_and_tokens_work() {
    let mut servers = Servers::private();
    let app: App = Setup::default()
        .with("REDIS_URL", servers.redis.url())
        .start()
        .await;
    let ada = register(&app, "ada@example.com").await;
    let browser = sign_in(&app, &ada.email).await;
    servers.redis.stop_immediate();
    start(&app, &ada.email)
        .await
        .assert_error(503, "unavailable");
    login(&app, &ada.email, PASSWORD)
        .await
        .assert_error(503, "unavailable");
    look(&app, &browser).await.assert_error(503, "unavailable");
    ada.client.get(ada.path()).send().await.assert_status(200);
}
