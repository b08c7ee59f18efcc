use chrono::Duration;
use serde_json::json;
use testkit::Response;

use crate::mails;
use crate::support::{App, PASSWORD, login, register};

const NEW: &str = "another horse, another battery";

async fn forgot(app: &App, email: &str) -> Response {
    app.anonymous()
        .post("/api/v1/password/forgot")
        .json(&json!({ "email": email }))
        .send()
        .await
}

async fn reset(app: &App, token: &str, password: &str) -> Response {
    app.anonymous()
        .post("/api/v1/password/reset")
        .json(&json!({ "token": token, "password": password }))
        .send()
        .await
}

#[actix_web::test]
async fn a_forgotten_password_is_replaced_by_mail_and_every_sign_in_ends() {
    let app = App::start().await;
    mails::take(&app).await;
    let ada = register(&app, "ada@example.com").await;
    forgot(&app, "ADA@example.com").await.assert_status(202);
    // The first mail asks to confirm the address.
    let token = mails::secret(&mails::nth(&app, "ada@example.com", 2).await);

    let refused = reset(&app, &token, "short")
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(refused.errors[0].pointer, "/password");
    let refused = reset(&app, &token, "Password123")
        .await
        .assert_error(422, "invalid_input");
    assert!(
        refused.errors[0].detail.contains("guessed first"),
        "{refused:?}"
    );
    reset(&app, &token, NEW).await.assert_status(204);
    reset(&app, &token, NEW)
        .await
        .assert_error(422, "link_invalid");

    ada.client
        .get(ada.path())
        .send()
        .await
        .assert_error(401, "token_revoked");
    app.anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": ada.refresh }))
        .send()
        .await
        .assert_error(401, "refresh_token_invalid");
    login(&app, &ada.email, PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
    login(&app, &ada.email, NEW).await.assert_status(200);
    let notice = mails::nth(&app, "ada@example.com", 3).await;
    let what = notice.data["what"].as_str().expect("it says what");
    assert!(what.contains("password was changed"), "{what}");
}

#[actix_web::test]
async fn a_reset_expires_and_a_newer_one_replaces_it() {
    let app = App::start().await;
    mails::take(&app).await;
    register(&app, "ada@example.com").await;
    forgot(&app, "ada@example.com").await.assert_status(202);
    let first = mails::secret(&mails::nth(&app, "ada@example.com", 2).await);
    app.clock.advance(Duration::seconds(61));
    forgot(&app, "ada@example.com").await.assert_status(202);
    let second = mails::secret(&mails::nth(&app, "ada@example.com", 3).await);
    reset(&app, &first, NEW)
        .await
        .assert_error(422, "link_invalid");
    app.clock.advance(Duration::minutes(10));
    reset(&app, &second, NEW)
        .await
        .assert_error(422, "link_invalid");
    for token in ["", "x", "clm_unknown"] {
        reset(&app, token, NEW)
            .await
            .assert_error(422, "link_invalid");
    }
}

#[actix_web::test]
async fn a_password_does_not_expire() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    app.clock.advance(Duration::days(10 * 365));
    login(&app, &ada.email, PASSWORD).await.assert_status(200);
}

#[actix_web::test]
async fn a_link_that_confirms_an_address_sets_no_password() {
    let app = App::start().await;
    mails::take(&app).await;
    register(&app, "ada@example.com").await;
    let verify = mails::secret(&mails::nth(&app, "ada@example.com", 1).await);
    reset(&app, &verify, NEW)
        .await
        .assert_error(422, "link_invalid");
}

#[actix_web::test]
async fn a_stranger_gets_the_same_answer_and_no_mail() {
    let app = App::start().await;
    mails::take(&app).await;
    register(&app, "ada@example.com").await;
    let known = forgot(&app, "ada@example.com").await.assert_status(202);
    let unknown = forgot(&app, "eve@example.com").await.assert_status(202);
    assert_eq!(known.body, unknown.body);
    forgot(&app, "nobody")
        .await
        .assert_error(422, "invalid_input");
    mails::nth(&app, "ada@example.com", 2).await;
    assert!(mails::all(&app, "eve@example.com").await.is_empty());
}

#[actix_web::test]
async fn passwords_that_are_guessed_first_are_refused_everywhere() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let common = "Sunshine1";
    let stranger = json!({ "name": "Eve", "email": "eve@example.com", "password": common });
    let added = json!({
        "name": "Bob", "email": "bob@example.com", "password": common, "role": "analyst"
    });
    let own = json!({ "password": common, "current_password": PASSWORD });
    for refused in [
        app.anonymous()
            .post("/api/v1/register")
            .json(&stranger)
            .send()
            .await,
        ada.client.post("/api/v1/users").json(&added).send().await,
        ada.client.put(ada.path()).json(&own).send().await,
    ] {
        let problem = refused.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "/password");
        assert!(
            problem.errors[0].detail.contains("guessed first"),
            "{problem:?}"
        );
    }
    let own = json!({
        "name": "Eve", "email": "eve@example.com", "password": "my eve@Example.com"
    });
    let problem = app
        .anonymous()
        .post("/api/v1/register")
        .json(&own)
        .send()
        .await;
    let problem = problem.assert_error(422, "invalid_input");
    assert!(
        problem.errors[0].detail.contains("email address"),
        "{problem:?}"
    );
}

#[actix_web::test]
async fn guessing_is_slowed_down_for_known_and_unknown_alike() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    // The count of an address that nobody has is shared by all who try it.
    for email in ["ada@example.com", "nobody-at-all@example.com"] {
        for _ in 0..10 {
            login(&app, email, "wrong horse battery")
                .await
                .assert_error(401, "wrong_credentials");
        }
        let waiting = login(&app, email, PASSWORD).await;
        assert_eq!(waiting.header("retry-after"), Some("900"));
        waiting.assert_error(429, "too_many_attempts");
    }
    // Its owner, who is elsewhere, is not kept out.
    app.anonymous()
        .post("/api/v1/login")
        .header("x-forwarded-for", "192.0.2.44")
        .json(&json!({ "email": "ada@example.com", "password": PASSWORD }))
        .send()
        .await
        .assert_status(200);
}
