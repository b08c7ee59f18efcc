//! What the log says of who signs in, and of who is refused.

use common::auth::Service;
use identity::Identity;
use serde_json::{Value, json};
use testkit::{Client, Database, Logged, Servers};

use crate::support::PASSWORD;

async fn start(database: &Database, servers: &Servers) -> Logged {
    let (database, redis) = (database.url.expose(), servers.redis.url());
    let settings = [
        ("DATABASE_URL", database),
        ("REDIS_URL", redis.as_str()),
        ("IDENTITY_REGISTRATION", "open"),
    ];
    Logged::start(env!("CARGO_BIN_EXE_identity"), Service::Identity, &settings).await
}

async fn register(process: &Logged) -> Value {
    let ada = json!({ "name": "Ada", "email": "ada@example.com", "password": PASSWORD });
    let made = process.client.post("/api/v1/register").json(&ada).send();
    made.await.assert_status(201).json()
}

#[actix_web::test]
async fn sign_ins_refused_ones_and_ended_ones_are_noted_with_way_person_and_place() {
    let database = Database::new::<Identity>(Servers::shared());
    let process = start(&database, Servers::shared()).await;
    let ada = register(&process).await;
    let (user, workspace) = (&ada["user"]["id"], &ada["workspace"]["id"]);
    let sign_in = |password: &str| {
        let body = json!({ "email": "ada@example.com", "password": password });
        let request = process.client.post("/api/v1/session").json(&body);
        request
            .header("x-forwarded-for", "192.0.2.7, 127.0.0.1")
            .send()
    };
    sign_in("wrong horse battery").await.assert_status(401);
    let browser = sign_in(PASSWORD).await.assert_status(201);
    let body: Value = browser.json();
    let cookie = browser.header("set-cookie").expect("a cookie");
    let out = process.client.delete("/api/v1/session");
    let out = out.header("cookie", cookie.split(';').next().expect("a pair"));
    let out = out.header(
        "x-csrf-token",
        body["csrf_token"].as_str().expect("a token"),
    );
    out.send().await.assert_status(204);

    let [done] = &process.saying("somebody signed in")[..] else {
        panic!("{:?}", process.lines());
    };
    assert_eq!((&done["user.id"], &done["workspace.id"]), (user, workspace));
    assert_eq!(done["way"], "password");
    assert_eq!(done["address"], "192.0.2.7");
    let [refused] = &process.saying("a sign-in was refused")[..] else {
        panic!("{:?}", process.lines());
    };
    assert_eq!(refused["code"], "wrong_credentials");
    assert_eq!(refused["way"], "password");
    assert_eq!(refused["address"], "192.0.2.7");
    let [ended] = &process.saying("somebody signed out")[..] else {
        panic!("{:?}", process.lines());
    };
    assert_eq!(&ended["user.id"], user);
    for line in process.lines() {
        let time = line["timestamp"].as_str().expect("a time");
        assert_eq!(
            (time.len(), &time[26..]),
            (27, "Z"),
            "UTC to the microsecond"
        );
        let text = line.to_string();
        for secret in [PASSWORD, "wrong horse battery", "ada@example.com"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[actix_web::test]
async fn who_may_not_is_noted_with_what_they_wanted() {
    let database = Database::new::<Identity>(Servers::shared());
    let process = start(&database, Servers::shared()).await;
    let ada = register(&process).await;
    let access = ada["access_token"].as_str().expect("a token");
    let owner = Client::new(process.url(), Some(access.to_owned()));
    let key = json!({ "name": "CI", "scopes": ["leads:read"] });
    let key = owner.post("/api/v1/api-keys").json(&key).send().await;
    key.assert_status(201);
    let bob = json!({
        "name": "Bob", "email": "bob@example.com", "password": PASSWORD, "role": "analyst",
    });
    let bob = owner.post("/api/v1/users").json(&bob).send().await;
    let bob: Value = bob.assert_status(201).json();
    let login = json!({ "email": "bob@example.com", "password": PASSWORD });
    let signed_in = process.client.post("/api/v1/login").json(&login).send();
    let signed_in: Value = signed_in.await.assert_status(200).json();
    let access = signed_in["access_token"].as_str().expect("a token");
    let client = Client::new(process.url(), Some(access.to_owned()));
    let path = format!(
        "/api/v1/users/{}",
        ada["user"]["id"].as_str().expect("an id")
    );
    client
        .delete(&path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let forged = Client::new(process.url(), Some("a.b.c".into()));
    forged.get(&path).send().await.assert_status(401);

    let refused = process.saying("a request was refused");
    let of = |code: &str| {
        let found = refused.iter().find(|line| line["code"] == code);
        found.unwrap_or_else(|| panic!("{refused:?}"))
    };
    let may_not = of("scope_missing");
    let id = bob["id"].as_str().expect("an id");
    assert_eq!(may_not["who"], format!("user:{id}"));
    assert_eq!(may_not["route"], "/api/v1/users/{id}");
    assert_eq!(
        (&may_not["method"], &may_not["status"]),
        (&json!("DELETE"), &json!(403))
    );
    assert_eq!(may_not["address"], "127.0.0.1");
    let nobody = of("token_invalid");
    assert_eq!((&nobody["status"], nobody.get("who")), (&json!(401), None));
    assert!(
        nobody["request.id"]
            .as_str()
            .is_some_and(|id| id.len() == 36)
    );
}

#[actix_web::test]
async fn what_fails_on_our_side_is_noted_once_with_its_cause() {
    let mut servers = Servers::private();
    let database = Database::new::<Identity>(&servers);
    let process = start(&database, &servers).await;
    register(&process).await;
    servers.redis.stop_immediate();
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let failed = process.client.post("/api/v1/session").json(&body).send();
    let failed = failed.await.assert_error(503, "unavailable");
    let lines = process.lines();
    let errors = lines.iter().filter(|line| line["level"] == "ERROR");
    let own: Vec<_> = errors
        .filter(|line| line["request.id"] == failed.request_id.as_str())
        .collect();
    let [error] = own[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (&error["status"], &error["code"]),
        (&json!(503), &json!("unavailable"))
    );
    assert!(
        error["causes"]
            .as_str()
            .is_some_and(|causes| !causes.is_empty()),
        "{error}"
    );
}
