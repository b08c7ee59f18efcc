use serde_json::{Value, json};
use testkit::Setup;

use crate::support::{App, PASSWORD, Person, login, register};

#[actix_web::test]
async fn whoever_registers_owns_a_new_workspace_and_is_signed_in() {
    let app = App::start().await;
    let answer = app
        .anonymous()
        .post("/api/v1/register")
        .json(&json!({
            "name": " Ada Löve ", "email": "Ada@Example.com", "password": PASSWORD,
            "workspace": { "name": "Engines" }
        }))
        .send()
        .await
        .assert_status(201);

    let body: Value = answer.json();
    assert_eq!(body["user"]["name"], "Ada Löve");
    assert_eq!(body["user"]["email"], "Ada@Example.com");
    assert_eq!(body["user"]["role"], "owner");
    assert_eq!(body["workspace"]["name"], "Engines");
    assert_eq!(body["expires_in"], 600);
    assert!(
        !answer.text().contains("argon2"),
        "no hash leaves the house"
    );
    let ada = Person::of(&app, &answer);
    ada.client.get(ada.path()).send().await.assert_status(200);
    assert_eq!(app.events(), ["workspace.created", "user.created"]);
}

#[actix_web::test]
async fn one_address_is_one_person_however_it_is_spelt() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    app.anonymous()
        .post("/api/v1/register")
        .json(&json!({ "name": "Eve", "email": "ADA@example.COM", "password": PASSWORD }))
        .send()
        .await
        .assert_error(409, "email_taken");
    assert_eq!(app.events().len(), 2, "the second left nothing behind");
    login(&app, " Ada@Example.com ", PASSWORD)
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn every_bad_field_of_a_registration_is_named_at_once() {
    let app = App::start().await;
    let problem = app
        .anonymous()
        .post("/api/v1/register")
        .json(&json!({
            "name": "Ada\r\nBcc: eve@example.com", "email": "nobody", "password": "short",
            "workspace": { "name": " " }
        }))
        .send()
        .await
        .assert_error(422, "invalid_input");
    let pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/name", "/email", "/password", "/workspace/name"]
    );
    app.anonymous()
        .post("/api/v1/register")
        .json(&json!({ "name": "Ada", "email": "a@example.com", "password": PASSWORD, "role": "owner" }))
        .send()
        .await
        .assert_error(422, "invalid_input");
    assert!(app.events().is_empty());
}

#[actix_web::test]
async fn an_unknown_address_and_a_wrong_password_get_the_same_answer() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    let mut wrong = login(&app, "ada@example.com", "wrong horse battery")
        .await
        .assert_error(401, "wrong_credentials");
    let mut unknown = login(&app, "eve@example.com", "wrong horse battery")
        .await
        .assert_error(401, "wrong_credentials");
    (wrong.request_id, unknown.request_id) = Default::default();
    assert_eq!(wrong, unknown);
}

#[actix_web::test]
async fn an_unknown_address_takes_as_long_as_a_wrong_password() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    // The fastest of each: what the work takes when nothing else disturbs it. On a busy machine
    // that takes some rounds to see; a missing hash never comes near.
    let (mut known, mut unknown) = (f64::MAX, f64::MAX);
    for _ in 0..100 {
        for (email, fastest) in [
            ("ada@example.com", &mut known),
            ("eve@example.com", &mut unknown),
        ] {
            let started = std::time::Instant::now();
            login(&app, email, "wrong horse battery")
                .await
                .assert_status(401);
            *fastest = fastest.min(started.elapsed().as_secs_f64());
        }
        if (0.8..1.25).contains(&(known / unknown)) {
            return;
        }
    }
    panic!("{known} s and {unknown} s");
}

#[actix_web::test]
async fn a_bcrypt_hash_still_signs_in_and_is_replaced() {
    use diesel::prelude::*;
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let old = bcrypt::hash(PASSWORD, 4).expect("it hashes");
    let mut conn = app.connect();
    diesel::sql_query(format!("UPDATE users SET password_hash = '{old}'"))
        .execute(&mut conn)
        .expect("the table is there");

    login(&app, &ada.email, "wrong horse battery")
        .await
        .assert_error(401, "wrong_credentials");
    login(&app, &ada.email, PASSWORD).await.assert_status(200);

    let replaced = diesel::sql_query(
        "UPDATE users SET name = name WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'",
    )
    .execute(&mut conn);
    assert_eq!(replaced, Ok(1));
    login(&app, &ada.email, PASSWORD).await.assert_status(200);
}

#[actix_web::test]
async fn registration_can_be_closed() {
    let app: App = Setup::default()
        .with("IDENTITY_REGISTRATION", "closed")
        .start()
        .await;
    app.anonymous()
        .post("/api/v1/register")
        .json(&json!({ "name": "Ada", "email": "ada@example.com", "password": PASSWORD }))
        .send()
        .await
        .assert_error(403, "registration_closed");
    assert!(app.events().is_empty());
}

#[actix_web::test]
async fn production_is_closed_unless_it_says_otherwise() {
    let app: App = Setup::default().with("CLARION_ENV", "prod").start().await;
    app.anonymous()
        .post("/api/v1/register")
        .json(&json!({ "name": "Ada", "email": "ada@example.com", "password": PASSWORD }))
        .send()
        .await
        .assert_error(403, "registration_closed");
}
