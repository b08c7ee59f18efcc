use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use chrono::Duration;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, PASSWORD, Person, login, register};

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
