use diesel::prelude::*;
use serde_json::Value;
use testkit::Setup;

use crate::support::{App, PASSWORD, Person, login, register};

fn with_owner(setup: Setup<'_>) -> Setup<'_> {
    setup
        .with("CLARION_OWNER_EMAIL", "owner@example.com")
        .with("CLARION_OWNER_PASSWORD", PASSWORD)
}

#[actix_web::test]
async fn the_first_owner_is_made_once() {
    let app: App = with_owner(Setup::default()).start().await;
    let owner = Person::of(
        &app,
        &login(&app, "owner@example.com", PASSWORD)
            .await
            .assert_status(200),
    );
    let body: Value = owner
        .client
        .get("/api/v1/workspaces/current")
        .send()
        .await
        .json();
    assert_eq!(body["name"], "My workspace");

    let again: App = with_owner(Setup::default())
        .with("CLARION_OWNER_EMAIL", "other@example.com")
        .beside(&app)
        .start()
        .await;
    login(&again, "other@example.com", PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
    assert_eq!(app.events(), ["workspace.created", "user.created"]);
}

#[actix_web::test]
async fn who_is_there_already_needs_no_first_owner() {
    let app = App::start().await;
    register(&app, "ada@example.com").await;
    let again: App = with_owner(Setup::default()).beside(&app).start().await;
    login(&again, "owner@example.com", PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
}

#[actix_web::test]
async fn two_replicas_have_one_key_and_take_each_others_tokens() {
    let app = App::start().await;
    let other: App = Setup::default().beside(&app).start().await;
    let path = "/api/v1/.well-known/jwks.json";
    let ours: Value = app.anonymous().get(path).send().await.json();
    let theirs: Value = other.anonymous().get(path).send().await.json();
    assert_eq!(ours, theirs);
    assert_eq!(ours["keys"].as_array().map(Vec::len), Some(1));
    let ada = register(&app, "ada@example.com").await;
    testkit::Client::new(other.url(), Some(ada.access))
        .get(format!("/api/v1/users/{}", ada.id))
        .send()
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn a_key_that_is_retired_leaves_the_set_when_its_tokens_are_gone() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    diesel::sql_query("UPDATE signing_keys SET retired_at = to_timestamp($1)")
        .bind::<diesel::sql_types::Double, _>(app.clock.now().timestamp() as f64)
        .execute(&mut app.connect())
        .expect("the table is there");
    // The next start finds no key that signs and makes one; the old one still verifies.
    let other: App = Setup::default().beside(&app).start().await;
    let client = testkit::Client::new(other.url(), Some(ada.access.clone()));
    client.get(ada.path()).send().await.assert_status(200);
    let path = "/api/v1/.well-known/jwks.json";
    let count = || async {
        let set: Value = other.anonymous().get(path).send().await.json();
        set["keys"].as_array().map(Vec::len)
    };
    assert_eq!(count().await, Some(2));
    app.clock.advance(chrono::Duration::seconds(3_661));
    testkit::eventually("the retired key leaves the set", || async {
        count().await == Some(1)
    })
    .await;
}

#[test]
fn bad_settings_are_named() {
    use chassis::Service;
    let source = chassis::settings::Source::default()
        .with("CLARION_OWNER_EMAIL", "nobody")
        .with("CLARION_OWNER_PASSWORD", "short")
        .with("IDENTITY_REGISTRATION", "maybe");
    let mut read = source.reader();
    let settings = identity::Identity::settings(&mut read);
    let text = read.finish(settings).expect_err("bad").to_string();
    for key in [
        "CLARION_OWNER_EMAIL",
        "IDENTITY_REGISTRATION",
        "DATABASE_URL",
    ] {
        assert!(text.contains(key), "{key} in {text}");
    }
    for (email, password) in [("a@example.com", None), ("a@example.com", Some("short"))] {
        let mut source = chassis::settings::Source::default().with("CLARION_OWNER_EMAIL", email);
        if let Some(password) = password {
            source = source.with("CLARION_OWNER_PASSWORD", password);
        }
        let mut read = source.reader();
        let settings = identity::Identity::settings(&mut read);
        let text = read.finish(settings).expect_err("bad").to_string();
        assert!(text.contains("CLARION_OWNER_PASSWORD"), "{text}");
    }
}

#[actix_web::test]
async fn the_document_names_every_public_route_once() {
    let app = App::start().await;
    let document: Value = app.anonymous().get("/openapi.json").send().await.json();
    let paths = document["paths"].as_object().expect("paths");
    for path in ["/api/v1/register", "/api/v1/login", "/api/v1/users/{id}"] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(!paths.keys().any(|path| path.starts_with("/internal")));
    let mut ids: Vec<_> = paths
        .values()
        .flat_map(|item| item.as_object().expect("operations").values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // What is routed is documented: the list of operations says when one is added.
    assert_eq!(count, 52);
}

#[test]
fn a_provider_is_named_whole_and_safely() {
    let refused = |pairs: &[(&str, &str)]| {
        let mut source = chassis::settings::Source::default();
        for (key, value) in [
            ("DATABASE_URL", "postgres://localhost/x"),
            ("CLARION_SERVICE_SECRET", "a secret of the tests"),
            ("IDENTITY_URL", "http://127.0.0.1:1"),
        ] {
            source = source.with(key, value);
        }
        for (key, value) in pairs {
            source = source.with(key, *value);
        }
        let mut read = source.reader();
        let settings = <identity::Identity as chassis::Service>::settings(&mut read);
        let refused = read.finish(settings).err().map(|bad| bad.to_string());
        refused.unwrap_or_default()
    };
    let whole = [
        ("IDENTITY_OIDC_ISSUER", "https://id.example.com/realm"),
        ("IDENTITY_OIDC_CLIENT_ID", "clarion"),
        ("IDENTITY_OIDC_CLIENT_SECRET", "secret"),
        ("CLARION_PUBLIC_URL", "https://clarion.example.com"),
    ];
    assert_eq!(refused(&whole), "");
    assert_eq!(refused(&[]), "");
    let alone = refused(&whole[..1]);
    for name in [
        "IDENTITY_OIDC_CLIENT_ID",
        "IDENTITY_OIDC_CLIENT_SECRET",
        "CLARION_PUBLIC_URL",
    ] {
        assert!(alone.contains(name), "{name}: {alone}");
    }
    for issuer in [
        "http://id.example.com",
        "ftp://localhost/",
        "https://id.example.com/?x=1",
        "id.example.com",
    ] {
        let mut pairs = whole;
        pairs[0].1 = issuer;
        let why = refused(&pairs);
        assert!(why.contains("IDENTITY_OIDC_ISSUER"), "{issuer}: {why}");
    }
}
