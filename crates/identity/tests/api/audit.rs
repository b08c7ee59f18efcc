use diesel::prelude::*;
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{App, PASSWORD, Person, member, register};

const PATH: &str = "/api/v1/audit";

async fn trail(person: &Person, query: &str) -> Vec<Value> {
    let page: Value = person
        .client
        .get(format!("{PATH}?{query}"))
        .send()
        .await
        .assert_status(200)
        .json();
    page["items"].as_array().expect("items").clone()
}

#[actix_web::test]
async fn a_change_is_in_the_trail_with_who_what_where_and_how_it_was() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    let bob = member(&app, &ada, "analyst").await;
    ada.client
        .put(bob.path())
        .header("x-forwarded-for", "192.0.2.9")
        .header("x-request-id", "the-demotion")
        .json(&json!({ "name": "Bobby", "role": "customer" }))
        .send()
        .await
        .assert_status(200);
    eventually("the trail", || async {
        trail(&ada, "action=update").await.len() == 2
    })
    .await;
    let role = &trail(&ada, "action=update&resource=memberships").await[0];
    assert_eq!(role["actor"], format!("user:{}", ada.id));
    assert_eq!(
        (&role["method"], &role["route"]),
        (&json!("PUT"), &json!(bob.path()))
    );
    assert_eq!(role["address"], "192.0.2.9");
    assert_eq!(role["request_id"], "the-demotion");
    assert_eq!(role["service"], "identity");
    assert_eq!(
        (&role["before"]["role"], &role["after"]["role"]),
        (&json!("analyst"), &json!("customer"))
    );
    let name = &trail(&ada, &format!("action=update&resource_id={}", bob.id)).await;
    assert!(
        name.iter().any(|entry| entry["after"]["name"] == "Bobby"),
        "{name:?}"
    );
    // Nothing secret is in it, and nobody else's.
    let all = trail(&ada, "limit=500").await;
    let text = Value::from(all.clone()).to_string();
    assert!(
        !text.contains("argon2") && !text.contains("password_hash"),
        "{text}"
    );
    assert!(
        !trail(&eve, "limit=500")
            .await
            .iter()
            .any(|entry| all.contains(entry))
    );
    // A refused request changes nothing and leaves nothing.
    let before = all.len();
    ada.client
        .delete(ada.path())
        .send()
        .await
        .assert_error(409, "last_owner");
    let pages: Value = ada
        .client
        .get(format!("{PATH}?limit=1"))
        .send()
        .await
        .json();
    let next = pages["next_cursor"].as_str().expect("there is more");
    let rest = trail(&ada, &format!("limit=500&cursor={next}")).await;
    assert_eq!(rest.len() + 1, before);
}

#[actix_web::test]
async fn a_changed_secret_shows_that_it_changed_and_not_what_it_is() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    ada.client
        .put(ada.path())
        .json(
            &json!({ "password": "another horse, another battery", "current_password": PASSWORD }),
        )
        .send()
        .await
        .assert_status(200);
    let again = crate::support::login(&app, &ada.email, "another horse, another battery").await;
    let ada = Person::of(&app, &again.assert_status(200));
    eventually("the trail", || async {
        !trail(&ada, "action=update&resource=users").await.is_empty()
    })
    .await;
    let entry = &trail(&ada, "action=update&resource=users").await[0];
    assert_eq!(entry["before"]["password_hash"], Value::Null);
    assert_ne!(entry["before"], entry["after"]);
}

#[actix_web::test]
async fn the_trail_cannot_be_rewritten() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    eventually("the trail", || async { !trail(&ada, "").await.is_empty() }).await;
    for statement in [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ] {
        let refused = diesel::sql_query(statement).execute(&mut app.connect());
        let error = refused.expect_err(statement).to_string();
        assert!(
            error.contains("permission denied") || error.contains("append-only"),
            "{error}"
        );
    }
    assert!(!trail(&ada, "").await.is_empty());
}

#[actix_web::test]
async fn it_is_exported_and_for_those_who_may_read_it() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    eventually("the trail", || async {
        trail(&ada, "limit=500").await.len() >= 4
    })
    .await;
    let all = trail(&ada, "limit=500").await;
    let csv = ada
        .client
        .get(format!("{PATH}/export"))
        .send()
        .await
        .assert_status(200);
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=\"audit.csv\"")
    );
    let text = csv.text();
    assert!(text.starts_with("at,service,actor,"), "{text}");
    assert_eq!(text.trim_end().lines().count(), all.len() + 1);
    let lines = ada
        .client
        .get(format!("{PATH}/export?format=ndjson"))
        .send()
        .await;
    let lines = lines.assert_status(200).text();
    let entries: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(entries, all);
    for path in [PATH.to_owned(), format!("{PATH}/export")] {
        bob.client
            .get(path)
            .send()
            .await
            .assert_error(403, "scope_missing");
    }
    for query in ["limit=0", "cursor=x", "who=me", "from=yesterday"] {
        let refused = ada.client.get(format!("{PATH}?{query}")).send().await;
        refused.assert_error(422, "invalid_input");
    }
    let refused = ada
        .client
        .get(format!("{PATH}/export?format=pdf"))
        .send()
        .await;
    refused.assert_error(422, "invalid_input");
}
