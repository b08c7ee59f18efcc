use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use chrono::Duration;
use common::dto::access::IssuedToken;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};
use testkit::Response;

use crate::sessions;
use crate::support::{App, PASSWORD, Person, login, member, register};

const PATH: &str = "/api/v1/second-factor";

/// What an authenticator app shows at this moment (RFC 6238).
pub(crate) fn code(app: &App, secret: &[u8]) -> String {
    let step = app.clock.now().timestamp() / 30;
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 0xf);
    let number = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

pub(crate) async fn with_code(app: &App, email: &str, code: &str) -> Response {
    app.anonymous()
        .post("/api/v1/login")
        .json(&json!({ "email": email, "password": PASSWORD, "code": code }))
        .send()
        .await
}

async fn begin(person: &Person, password: &str) -> Response {
    person
        .client
        .post(PATH)
        .json(&json!({ "current_password": password }))
        .send()
        .await
}

async fn confirm(person: &Person, code: &str) -> Response {
    person
        .client
        .post(format!("{PATH}/confirm"))
        .json(&json!({ "code": code }))
        .send()
        .await
}

/// Turns it on; the secret and the recovery codes.
pub(crate) async fn enrol(app: &App, person: &Person) -> (Vec<u8>, Vec<String>) {
    let enrolment: Value = begin(person, PASSWORD).await.assert_status(201).json();
    let secret = enrolment["secret"].as_str().expect("a secret");
    let uri = enrolment["otpauth_uri"].as_str().expect("a URI");
    assert!(
        uri.starts_with("otpauth://totp/Clarion:") && uri.contains(secret),
        "{uri}"
    );
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).expect("base32");
    confirm(person, "000000 ")
        .await
        .assert_error(401, "code_wrong");
    let codes: Value = confirm(person, &code(app, &secret))
        .await
        .assert_status(200)
        .json();
    let codes = codes["recovery_codes"].as_array().expect("codes");
    let codes = codes
        .iter()
        .map(|code| code.as_str().expect("a text").to_owned());
    (secret, codes.collect())
}

#[actix_web::test]
async fn signing_in_needs_a_code_and_no_code_twice() {
    let app = App::start().await;
    crate::mails::take(&app).await;
    let ada = register(&app, "ada@example.com").await;
    // What was begun and not confirmed asks for nothing.
    begin(&ada, PASSWORD).await.assert_status(201);
    login(&app, &ada.email, PASSWORD).await.assert_status(200);
    let (secret, _) = enrol(&app, &ada).await;
    login(&app, &ada.email, PASSWORD)
        .await
        .assert_error(401, "code_needed");
    // A wrong password says nothing of a second factor.
    login(&app, &ada.email, "wrong horse battery")
        .await
        .assert_error(401, "wrong_credentials");
    // The code that confirmed it was used by that.
    let used = code(&app, &secret);
    with_code(&app, &ada.email, &used)
        .await
        .assert_error(401, "code_wrong");
    app.clock.advance(Duration::seconds(30));
    let fresh = code(&app, &secret);
    with_code(&app, &ada.email, &fresh).await.assert_status(200);
    with_code(&app, &ada.email, &fresh)
        .await
        .assert_error(401, "code_wrong");
    app.clock.advance(Duration::seconds(30));
    let fresh = code(&app, &secret);
    let both = futures::future::join_all((0..4).map(|_| with_code(&app, &ada.email, &fresh))).await;
    let passed = both.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(passed, 1, "of several uses at once one passes");
    // The same for browsers.
    app.clock.advance(Duration::seconds(30));
    let body = json!({ "email": ada.email, "password": PASSWORD, "code": code(&app, &secret) });
    let session = app.anonymous().post("/api/v1/session").json(&body).send();
    session.await.assert_status(201);
    let notice = crate::mails::nth(&app, &ada.email, 2).await;
    let what = notice.data["what"].as_str().expect("it says what");
    assert!(what.contains("second factor was added"), "{what}");
}

#[actix_web::test]
async fn a_recovery_code_works_once_however_it_is_typed() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let (_, codes) = enrol(&app, &ada).await;
    assert_eq!(codes.len(), 10);
    for code in &codes {
        assert_eq!(code.replace('-', "").len() * 5, 120, "{code}");
    }
    let typed = codes[0].to_uppercase().replace('-', " ");
    with_code(&app, &ada.email, &typed).await.assert_status(200);
    with_code(&app, &ada.email, &codes[0])
        .await
        .assert_error(401, "code_wrong");
    let state: Value = ada.client.get(PATH).send().await.assert_status(200).json();
    assert_eq!(
        (&state["enabled"], &state["recovery_codes_left"]),
        (&json!(true), &json!(9))
    );
    with_code(&app, &ada.email, &codes[1])
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn codes_cannot_be_guessed_on_and_on() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let (secret, _) = enrol(&app, &ada).await;
    // One was wrong while enrolling.
    for _ in 0..9 {
        with_code(&app, &ada.email, "12345x")
            .await
            .assert_error(401, "code_wrong");
    }
    app.clock.advance(Duration::seconds(30));
    with_code(&app, &ada.email, &code(&app, &secret))
        .await
        .assert_error(429, "too_many_attempts");
}

#[actix_web::test]
async fn it_is_changed_with_the_password_only() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    begin(&ada, "wrong horse battery")
        .await
        .assert_error(422, "invalid_input");
    confirm(&ada, "123456")
        .await
        .assert_error(409, "no_second_factor");
    let remove = |password: &str| {
        let body = json!({ "current_password": password });
        ada.client.delete(PATH).json(&body).send()
    };
    remove(PASSWORD).await.assert_error(409, "no_second_factor");
    enrol(&app, &ada).await;
    begin(&ada, PASSWORD)
        .await
        .assert_error(409, "second_factor_there");
    confirm(&ada, "123456")
        .await
        .assert_error(409, "second_factor_there");
    remove("wrong horse battery")
        .await
        .assert_error(422, "invalid_input");
    login(&app, &ada.email, PASSWORD)
        .await
        .assert_error(401, "code_needed");
    remove(PASSWORD).await.assert_status(204);
    login(&app, &ada.email, PASSWORD).await.assert_status(200);
    let key = crate::api_keys::token_of_key(&app, &ada, &["users:read"]).await;
    let program = testkit::Client::new(app.url(), Some(key));
    program
        .get(PATH)
        .send()
        .await
        .assert_error(403, "people_only");
}

/// Demands a second factor of everybody in the workspace, or stops to.
async fn demand(by: &Person, demanded: bool) -> Response {
    let body = json!({ "name": "Strict", "second_factor_required": demanded });
    let path = "/api/v1/workspaces/current";
    by.client.put(path).json(&body).send().await
}

async fn refreshed(app: &App, refresh: &str) -> (testkit::Client, String) {
    let answer = app
        .anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": refresh }))
        .send()
        .await
        .assert_status(200);
    let body: Value = answer.json();
    let text = |name: &str| body[name].as_str().expect("a token").to_owned();
    let client = testkit::Client::new(app.url(), Some(text("access_token")));
    (client, text("refresh_token"))
}

#[actix_web::test]
async fn a_workspace_that_demands_one_lets_nobody_act_without() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    let browser = sessions::sign_in(&app, &bob.email).await;
    demand(&ada, true)
        .await
        .assert_error(409, "no_second_factor");
    enrol(&app, &ada).await;
    let changed: Value = demand(&ada, true).await.assert_status(200).json();
    assert_eq!(changed["second_factor_required"], true);
    // What is not said stays.
    let path = "/api/v1/workspaces/current";
    let named = ada.client.put(path).json(&json!({ "name": "Strict" }));
    let named: Value = named.send().await.assert_status(200).json();
    assert_eq!(named["second_factor_required"], true);

    // Tokens and sessions that began before are held to it as well.
    bob.client
        .get(path)
        .send()
        .await
        .assert_error(401, "token_revoked");
    let (held, refresh) = refreshed(&app, &bob.refresh).await;
    held.get(path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let seen: Value = sessions::look(&app, &browser).await.json();
    assert_eq!(seen["second_factor_needed"], true);
    assert_eq!(seen["scopes"], json!([]));
    let issued: IssuedToken = sessions::exchange(&app, &browser)
        .await
        .assert_status(200)
        .json();
    let held_browser = testkit::Client::new(app.url(), Some(issued.access_token));
    held_browser
        .get(path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let again: Value = login(&app, &bob.email, PASSWORD)
        .await
        .assert_status(200)
        .json();
    assert_eq!(again["second_factor_needed"], true);

    // What is left is to set one up; then all is as it was.
    let (secret, _) = enrol(
        &app,
        &Person {
            client: held,
            ..bob.clone()
        },
    )
    .await;
    let (free, refresh) = refreshed(&app, &refresh).await;
    free.get(path).send().await.assert_status(200);
    let seen: Value = sessions::look(&app, &browser).await.json();
    assert_eq!(seen["second_factor_needed"], false);
    app.clock.advance(Duration::seconds(30));
    let signed_in = with_code(&app, &bob.email, &code(&app, &secret)).await;
    let signed_in: Value = signed_in.assert_status(200).json();
    assert_eq!(signed_in["second_factor_needed"], false);

    // Without it they are held again, and it is owed here only.
    let body = json!({ "current_password": PASSWORD });
    free.delete(PATH)
        .json(&body)
        .send()
        .await
        .assert_status(204);
    let (held, _) = refreshed(&app, &refresh).await;
    held.get(path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let own = held
        .post("/api/v1/workspaces")
        .json(&json!({ "name": "Bob's" }));
    let own: Value = own.send().await.assert_status(201).json();
    let path = format!(
        "/api/v1/workspaces/{}/switch",
        own["id"].as_str().expect("an id")
    );
    let elsewhere: Value = held.post(path).send().await.assert_status(200).json();
    assert_eq!(elsewhere["second_factor_needed"], false);
}

#[actix_web::test]
async fn a_key_cannot_demand_one() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    enrol(&app, &ada).await;
    let scopes = ["workspace:write"];
    let key = crate::api_keys::token_of_key(&app, &ada, &scopes).await;
    let body = json!({ "name": "Strict", "second_factor_required": true });
    testkit::Client::new(app.url(), Some(key))
        .put("/api/v1/workspaces/current")
        .json(&body)
        .send()
        .await
        .assert_error(409, "no_second_factor");
    demand(&ada, true).await.assert_status(200);
    let freed: Value = demand(&ada, false).await.assert_status(200).json();
    assert_eq!(freed["second_factor_required"], false);
}
