use chrono::Duration;
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, PASSWORD, Person, login, register};

async fn refresh(app: &App, token: &str) -> Response {
    app.anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": token }))
        .send()
        .await
}

fn refresh_token(answer: &Response) -> String {
    let body: Value = answer.json();
    body["refresh_token"].as_str().expect("a token").to_owned()
}

#[actix_web::test]
async fn a_refresh_token_gives_new_tokens_after_the_access_token_expired() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    app.clock.advance(Duration::seconds(601));
    ada.client
        .get(ada.path())
        .send()
        .await
        .assert_error(401, "token_expired");

    let renewed = refresh(&app, &ada.refresh).await.assert_status(200);
    let body: Value = renewed.json();
    let access = body["access_token"].as_str().expect("a token").to_owned();
    testkit::Client::new(app.url(), Some(access))
        .get(ada.path())
        .send()
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn a_refresh_token_that_is_used_twice_ends_the_sign_in() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let other = Person::of(&app, &login(&app, &ada.email, PASSWORD).await);
    let second = refresh_token(&refresh(&app, &ada.refresh).await.assert_status(200));

    refresh(&app, &ada.refresh)
        .await
        .assert_error(401, "refresh_token_invalid");
    refresh(&app, &second)
        .await
        .assert_error(401, "refresh_token_invalid");
    // Another sign-in of the same person is not touched.
    refresh(&app, &other.refresh).await.assert_status(200);
}

#[actix_web::test]
async fn of_two_uses_at_once_at_most_one_wins() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let answers = futures::future::join_all((0..8).map(|_| refresh(&app, &ada.refresh))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 200 | 401))
    );
}

#[actix_web::test]
async fn a_refresh_token_expires() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    app.clock.advance(Duration::days(30));
    refresh(&app, &ada.refresh)
        .await
        .assert_error(401, "refresh_token_invalid");
}

#[actix_web::test]
async fn a_sign_in_ends_after_ninety_days_however_often_it_is_renewed() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let mut token = ada.refresh;
    for _ in 0..4 {
        app.clock.advance(Duration::days(22));
        let renewed = refresh(&app, &token).await.assert_status(200);
        let renewed: Value = renewed.json();
        token = renewed["refresh_token"].as_str().expect("a token").into();
    }
    app.clock.advance(Duration::days(2) + Duration::seconds(5));
    refresh(&app, &token)
        .await
        .assert_error(401, "refresh_token_invalid");
}

#[actix_web::test]
async fn an_unknown_refresh_token_is_refused() {
    let app = App::start().await;
    for token in ["", "clr_", "x", &"y".repeat(100_000)] {
        refresh(&app, token)
            .await
            .assert_error(401, "refresh_token_invalid");
    }
}

#[actix_web::test]
async fn logout_ends_one_sign_in_and_nothing_else() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let other = Person::of(&app, &login(&app, &ada.email, PASSWORD).await);
    for _ in 0..2 {
        app.anonymous()
            .post("/api/v1/logout")
            .json(&json!({ "refresh_token": ada.refresh }))
            .send()
            .await
            .assert_status(204);
    }
    refresh(&app, &ada.refresh)
        .await
        .assert_error(401, "refresh_token_invalid");
    refresh(&app, &other.refresh).await.assert_status(200);
}

#[actix_web::test]
async fn logout_by_access_token_ends_every_sign_in() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let other = Person::of(&app, &login(&app, &ada.email, PASSWORD).await);
    let eve = register(&app, "eve@example.com").await;
    ada.client
        .post("/api/v1/logout")
        .send()
        .await
        .assert_status(204);
    for token in [&ada.refresh, &other.refresh] {
        refresh(&app, token)
            .await
            .assert_error(401, "refresh_token_invalid");
    }
    refresh(&app, &eve.refresh).await.assert_status(200);
    app.anonymous()
        .post("/api/v1/logout")
        .send()
        .await
        .assert_error(401, "token_missing");
    ada.client
        .post("/api/v1/logout")
        .json(&json!({ "everything": true }))
        .send()
        .await
        .assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn a_demotion_reaches_a_person_with_their_next_token() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = crate::support::member(&app, &ada, "admin").await;
    ada.client
        .put(bob.path())
        .json(&json!({ "role": "analyst" }))
        .send()
        .await
        .assert_status(200);
    // The token still says admin, and counts no more.
    bob.client
        .put(ada.path())
        .json(&json!({ "role": "analyst" }))
        .send()
        .await
        .assert_error(401, "token_revoked");
    let renewed = refresh(&app, &bob.refresh).await.assert_status(200);
    let body: Value = renewed.json();
    let access = body["access_token"].as_str().expect("a token").to_owned();
    testkit::Client::new(app.url(), Some(access))
        .get("/api/v1/users")
        .send()
        .await
        .assert_error(403, "scope_missing");
}
