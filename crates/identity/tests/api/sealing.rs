//! What the database keeps of secrets opens nothing by itself.

use aws_lc_rs::signature::Ed25519KeyPair;
use chassis::Service;
use chassis::settings::Source;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use identity::Identity;
use serde_json::Value;
use testkit::{Servers, Setup, eventually};

use crate::second_factor::{code, enrol, with_code};
use crate::support::{App, PASSWORD, login, register};

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Binary)]
    kept: Vec<u8>,
}

fn kept(app: &App, sql: &str) -> Vec<Vec<u8>> {
    let rows: Vec<Kept> = diesel::sql_query(sql)
        .load(&mut app.connect())
        .expect("the rows can be read");
    rows.into_iter().map(|row| row.kept).collect()
}

const KEYS: &str = "SELECT pkcs8 AS kept FROM signing_keys";
const SECRETS: &str = "SELECT secret AS kept FROM authenticators";

#[actix_web::test]
async fn keys_and_second_factors_are_sealed_at_rest() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let (secret, _) = enrol(&app, &ada).await;
    let [key] = &kept(&app, KEYS)[..] else {
        panic!("one key");
    };
    assert!(Ed25519KeyPair::from_pkcs8(key).is_err(), "{key:?}");
    let [factor] = &kept(&app, SECRETS)[..] else {
        panic!("one second factor");
    };
    assert!(!factor.windows(secret.len()).any(|part| part == secret));
}

#[actix_web::test]
async fn what_an_older_release_kept_is_sealed_at_the_next_start_and_works() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let (secret, _) = enrol(&app, &ada).await;
    diesel::sql_query("UPDATE authenticators SET secret = $1")
        .bind::<Binary, _>(&secret)
        .execute(&mut app.connect())
        .expect("it can be written");
    let plain = Ed25519KeyPair::generate().expect("a key pair");
    let plain = plain.to_pkcs8().expect("its encoding").as_ref().to_vec();
    let insert = "INSERT INTO signing_keys (kid, pkcs8, created_at) VALUES ($1, $2, '2020-01-01')";
    diesel::sql_query(insert)
        .bind::<Text, _>("an old one")
        .bind::<Binary, _>(&plain)
        .execute(&mut app.connect())
        .expect("it can be written");

    let next: App = Setup::default().beside(&app).start().await;
    for kept in kept(&next, KEYS).iter().chain(&kept(&next, SECRETS)) {
        assert_eq!(kept[0], 1, "{kept:?}");
        assert_ne!(kept, &plain);
    }
    let jwks: Value = next
        .anonymous()
        .get("/api/v1/.well-known/jwks.json")
        .send()
        .await
        .json();
    let kids: Vec<_> = jwks["keys"].as_array().expect("keys").iter().collect();
    assert_eq!(kids.len(), 2, "{jwks}");
    login(&next, &ada.email, PASSWORD)
        .await
        .assert_error(401, "code_needed");
    app.clock.advance(chrono::Duration::seconds(30));
    with_code(&next, &ada.email, &code(&app, &secret))
        .await
        .assert_status(200);
}

#[actix_web::test]
async fn a_key_that_the_operator_makes_is_sealed_by_whoever_takes_it_over() {
    let app = App::start().await;
    let rotated = identity::operator::rotate(&mut app.connect(), app.clock.now());
    assert_eq!(rotated.expect("a new key").retired, 1);
    eventually("it is sealed", || async {
        let kept = kept(&app, KEYS);
        kept.len() == 2 && kept.iter().all(|key| key[0] == 1)
    })
    .await;
}

#[actix_web::test]
async fn with_another_data_key_it_does_not_start_and_says_why() {
    let app: App = Setup::default()
        .with("CLARION_DATA_KEY", "the first data key")
        .start()
        .await;
    let ada = register(&app, "ada@example.com").await;
    let bind = async |keys: &[(&str, &str)]| {
        let mut source = Source::default()
            .with("IDENTITY_HTTP_ADDR", "127.0.0.1:0")
            .with("DATABASE_URL", app.database.url.expose())
            .with("REDIS_URL", Servers::shared().redis.url())
            .with("CLARION_SERVICE_SECRET", "service secret of the tests");
        for (key, value) in keys {
            source = source.with(key, *value);
        }
        let mut read = source.reader();
        let settings = Identity::settings(&mut read);
        let settings = read.finish(settings).expect("good settings");
        Identity::bind(settings).await.map(drop)
    };
    for keys in [&[][..], &[("CLARION_DATA_KEY", "the second data key")][..]] {
        let error = bind(keys).await.expect_err("it cannot open them");
        assert!(
            error.to_string().contains("CLARION_DATA_KEY_OLD"),
            "{error}"
        );
    }
    let second: App = Setup::default()
        .beside(&app)
        .with("CLARION_DATA_KEY", "the second data key")
        .with("CLARION_DATA_KEY_OLD", "the first data key")
        .start()
        .await;
    let client = testkit::Client::new(second.url(), Some(ada.access.clone()));
    client.get(ada.path()).send().await.assert_status(200);
}
