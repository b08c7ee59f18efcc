//! `/api/v1/senders`: written, read, tried out, and their passwords kept.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use common::auth::Role;
use common::ids::WorkspaceId;
use diesel::prelude::*;
use serde_json::{Value, json};

use crate::support::World;

/// A server that lets nobody in but who says the password.
pub(crate) fn guarded(password: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let lines = BufReader::new(socket.try_clone().expect("a socket")).lines();
            socket.write_all(b"220 guarded\r\n").ok();
            for line in lines.map_while(Result::ok) {
                let right = line.split(' ').nth(2).is_some_and(|token| {
                    // "\0ada\0secret" in base64.
                    token == password
                });
                let answer: &[u8] = match line.split(' ').next() {
                    Some("EHLO") => b"250-guarded\r\n250 AUTH PLAIN\r\n",
                    Some("AUTH") if right => b"235 welcome\r\n",
                    Some("AUTH") => b"535 5.7.8 who are you\r\n",
                    _ => b"250 ok\r\n",
                };
                socket.write_all(answer).ok();
            }
        }
    });
    address
}

/// base64 of NUL ada NUL secret.
const ADA_SECRET: &str = "AGFkYQBzZWNyZXQ=";

#[actix_web::test]
async fn a_sender_is_made_read_changed_and_deleted() {
    let world = World::start().await;
    let owner = world.app.as_role(Role::Owner);
    let body = json!({
        "name": " Bulk ", "host": "mail.example", "port": 587, "priority": 10,
        "domains": ["Shop.Example"], "connections": 8, "per_second": 12.5,
        "domain_rates": { "GMAIL.com": 5, "*": 50 },
        "warm_up": { "start": "2020-01-01", "first": 50, "growth": 2, "until": 1000 },
    });
    let made = owner.post("/api/v1/senders").json(&body).send().await;
    let made = made.assert_status(201);
    let location = made.header("location").expect("a location").to_owned();
    let sender: Value = made.json();
    assert_eq!(sender["name"], "Bulk");
    assert_eq!(sender["tls"], "opportunistic");
    assert_eq!(sender["domains"], json!(["shop.example"]));
    assert_eq!(
        sender["domain_rates"],
        json!({ "gmail.com": 5.0, "*": 50.0 })
    );
    assert_eq!(sender["cap_today"], Value::Null, "the plan is over");

    let read = owner.get(&location).send().await.assert_status(200);
    assert_eq!(read.header("etag"), Some("\"1\""));
    assert_eq!(read.json::<Value>(), sender);
    let listed: Value = owner.get("/api/v1/senders").send().await.json();
    let items = listed["items"].as_array().expect("a list");
    let names: Vec<_> = items.iter().map(|sender| sender["name"].clone()).collect();
    assert_eq!(names, ["default", "Bulk"]);

    let change =
        json!({ "per_second": null, "warm_up": null, "enabled": false, "tls": "implicit" });
    let stale = owner
        .patch(&location)
        .header("if-match", "\"7\"")
        .json(&change);
    stale.send().await.assert_error(412, "version_mismatch");
    let changed = owner
        .patch(&location)
        .header("if-match", "\"1\"")
        .json(&change);
    let changed: Value = changed.send().await.assert_status(200).json();
    assert_eq!(changed["per_second"], Value::Null);
    assert_eq!(changed["warm_up"], Value::Null);
    assert_eq!(changed["enabled"], false);
    assert_eq!(
        (&changed["tls"], &changed["port"]),
        (&json!("implicit"), &json!(587))
    );
    assert_eq!(changed["priority"], 10, "what is absent stays");

    owner.delete(&location).send().await.assert_status(204);
    owner
        .delete(&location)
        .send()
        .await
        .assert_error(404, "sender_not_found");
    owner
        .get(&location)
        .send()
        .await
        .assert_error(404, "sender_not_found");
}

#[actix_web::test]
async fn what_cannot_be_used_is_named_at_once() {
    let world = World::start().await;
    let owner = world.app.as_role(Role::Owner);
    let body = json!({
        "host": "mail example", "port": 0, "tls": "maybe", "user": "ada", "domains": ["a b"],
        "connections": 0, "per_second": -1, "domain_rates": { "x.example": 0 },
        "warm_up": { "start": "2026-01-01", "first": 0, "growth": 99 },
    });
    let refused = owner.post("/api/v1/senders").json(&body).send().await;
    let problem = refused.assert_error(422, "invalid_input");
    let mut pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/connections",
            "/domain_rates/x.example",
            "/domains/0",
            "/host",
            "/name",
            "/password",
            "/per_second",
            "/port",
            "/tls",
            "/warm_up/first",
            "/warm_up/growth",
        ]
    );
    let good = json!({ "name": "A", "host": "mail.example" });
    owner
        .post("/api/v1/senders")
        .json(&good)
        .send()
        .await
        .assert_status(201);
    let twice = owner.post("/api/v1/senders").json(&good).send().await;
    twice.assert_error(409, "sender_name_taken");
}

#[actix_web::test]
async fn the_installations_sender_is_read_and_tried_only() {
    let world = World::start().await;
    let owner = world.app.as_role(Role::Owner);
    let sender: Value = owner.get("/api/v1/senders/default").send().await.json();
    assert_eq!(
        (&sender["id"], &sender["read_only"]),
        (&json!("default"), &json!(true))
    );
    let change = owner.patch("/api/v1/senders/default").json(&json!({}));
    change.send().await.assert_error(409, "sender_read_only");
    let delete = owner.delete("/api/v1/senders/default").send().await;
    delete.assert_error(409, "sender_read_only");
    let tried = owner.post("/api/v1/senders/default/test").send().await;
    let tried: Value = tried.assert_status(200).json();
    assert_eq!(
        (&tried["ok"], &tried["detail"]),
        (&json!(true), &json!("connected, without TLS"))
    );
}

#[actix_web::test]
async fn a_password_is_sealed_and_never_shown() {
    let world = World::start().await;
    let owner = world.app.as_role(Role::Owner);
    let server = guarded(ADA_SECRET);
    let body = json!({
        "name": "Guarded", "host": server.ip().to_string(), "port": server.port(),
        "user": "ada", "password": "secret", "tls": "none",
    });
    let made = owner
        .post("/api/v1/senders")
        .json(&body)
        .send()
        .await
        .assert_status(201);
    let path = made.header("location").expect("a location").to_owned();
    for answer in [
        made.text(),
        owner.get(&path).send().await.text(),
        owner.get("/api/v1/senders").send().await.text(),
    ] {
        assert!(!answer.contains("secret"), "{answer}");
        assert!(answer.contains("\"authenticated\":true"), "{answer}");
    }
    let stored: Vec<u8> = diesel::sql_query("SELECT password FROM senders")
        .get_result::<Stored>(&mut world.app.connect())
        .expect("one row")
        .password;
    let leaks = stored.windows(6).any(|window| window == b"secret");
    assert!(!leaks, "it is sealed in the database");

    let test = format!("{path}/test");
    let tried: Value = owner.post(&test).send().await.assert_status(200).json();
    assert_eq!(tried["detail"], "connected and signed in, without TLS");
    let wrong = json!({ "password": "other" });
    owner
        .patch(&path)
        .json(&wrong)
        .send()
        .await
        .assert_status(200);
    let tried: Value = owner.post(&test).send().await.assert_status(200).json();
    assert_eq!(tried["ok"], false);
    let detail = tried["detail"].as_str().expect("a sentence");
    assert!(
        detail.contains("535") && !detail.contains("other"),
        "{detail}"
    );
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = diesel::sql_types::Binary)]
    password: Vec<u8>,
}

#[actix_web::test]
async fn a_password_goes_to_no_other_server_than_it_was_given_for() {
    let world = World::start().await;
    let owner = world.app.as_role(Role::Owner);
    let body = json!({ "name": "A", "host": "mail.example", "user": "ada", "password": "secret" });
    let made = owner
        .post("/api/v1/senders")
        .json(&body)
        .send()
        .await
        .assert_status(201);
    let path = made.header("location").expect("a location").to_owned();
    assert_eq!(made.json::<Value>()["tls"], "required");
    for change in [
        json!({ "host": "evil.example" }),
        json!({ "port": 2525 }),
        json!({ "tls": "none" }),
    ] {
        let refused = owner.patch(&path).json(&change).send().await;
        let problem = refused.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, "/password");
    }
    let other_user = owner
        .patch(&path)
        .json(&json!({ "user": "eve" }))
        .send()
        .await;
    other_user.assert_error(422, "invalid_input");
    let again = json!({ "host": "new.example", "password": "secret" });
    let moved: Value = owner
        .patch(&path)
        .json(&again)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (&moved["host"], &moved["user"]),
        (&json!("new.example"), &json!("ada"))
    );
    let without = json!({ "user": null, "host": "third.example" });
    let without: Value = owner
        .patch(&path)
        .json(&without)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(without["authenticated"], false);
}

#[actix_web::test]
async fn senders_belong_to_their_workspace_and_to_those_who_may() {
    let world = World::start().await;
    let owner = world.app.as_role(Role::Owner);
    let body = json!({ "name": "A", "host": "mail.example" });
    let made = owner
        .post("/api/v1/senders")
        .json(&body)
        .send()
        .await
        .assert_status(201);
    let path = made.header("location").expect("a location").to_owned();
    let other = world.app.as_role_in(WorkspaceId::new(), Role::Owner);
    other
        .get(&path)
        .send()
        .await
        .assert_error(404, "sender_not_found");
    other
        .delete(&path)
        .send()
        .await
        .assert_error(404, "sender_not_found");
    let change = other.patch(&path).json(&json!({}));
    change.send().await.assert_error(404, "sender_not_found");
    other
        .post(format!("{path}/test"))
        .send()
        .await
        .assert_error(404, "sender_not_found");
    let page: Value = other.get("/api/v1/senders").send().await.json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    let marketer = world.app.as_role(Role::Marketer);
    marketer.get(&path).send().await.assert_status(200);
    let write = marketer.post("/api/v1/senders").json(&body);
    write.send().await.assert_error(403, "scope_missing");
    marketer
        .delete(&path)
        .send()
        .await
        .assert_error(403, "scope_missing");
    let test = marketer.post(format!("{path}/test"));
    test.send().await.assert_error(403, "scope_missing");
    owner
        .get("/api/v1/senders/nonsense")
        .send()
        .await
        .assert_error(404, "sender_not_found");
}
