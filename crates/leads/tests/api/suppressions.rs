use common::auth::Role;
use common::{LeadId, WorkspaceId};
use serde_json::{Value, json};

use crate::support::{fields, get, id, marketer, start};

#[actix_web::test]
async fn an_address_is_suppressed_once_under_the_strongest_reason() {
    let app = start().await;
    let client = marketer(&app);
    let add = async |address: &str, reason: Value| -> Value {
        let body = json!({ "address": address, "reason": reason });
        client
            .post("/api/v1/suppressions")
            .json(&body)
            .send()
            .await
            .assert_status(201)
            .json()
    };
    let first = add("Ada@example.com", Value::Null).await;
    assert_eq!(first["reason"], "manual");
    assert_eq!(
        add("ada@EXAMPLE.com", json!("complaint")).await["id"],
        first["id"]
    );
    assert_eq!(
        add("ada@example.com", json!("unsubscribe")).await["reason"],
        "complaint"
    );
    assert_eq!(app.events(), ["suppression.added", "suppression.added"]);

    add("bob@example.com", json!("hard_bounce")).await;
    let bounced = get(&app, "/api/v1/suppressions?reason=hard_bounce").await;
    assert_eq!(fields(&bounced, "address"), ["bob@example.com"]);
    let one = get(&app, "/api/v1/suppressions?address=ADA@example.com").await;
    assert_eq!(fields(&one, "reason"), ["complaint"]);
    assert_eq!(
        get(&app, "/api/v1/suppressions?limit=1").await["items"][0]["address"],
        "bob@example.com"
    );
}

#[actix_web::test]
async fn a_suppression_is_lifted_by_id_or_address() {
    let app = start().await;
    let client = marketer(&app);
    let add = async |address: &str| -> Value {
        let body = json!({ "address": address });
        client
            .post("/api/v1/suppressions")
            .json(&body)
            .send()
            .await
            .assert_status(201)
            .json()
    };
    let (ada, _bob) = (add("ada@example.com").await, add("Bob@example.com").await);
    let path = format!("/api/v1/suppressions/{}", id(&ada));
    assert_eq!(get(&app, &path).await["address"], "ada@example.com");
    let other = app.as_role_in(WorkspaceId::new(), Role::Owner);
    other
        .get(&path)
        .send()
        .await
        .assert_error(404, "suppression_not_found");
    other
        .delete("/api/v1/suppressions/bob@example.com")
        .send()
        .await
        .assert_error(404, "suppression_not_found");

    client.delete(&path).send().await.assert_status(204);
    client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "suppression_not_found");
    client
        .delete("/api/v1/suppressions/BOB@example.com")
        .send()
        .await
        .assert_status(204);
    assert_eq!(
        app.events()
            .iter()
            .filter(|kind| *kind == "suppression.removed")
            .count(),
        2
    );
}

#[actix_web::test]
async fn what_is_no_suppression_is_refused() {
    let app = start().await;
    let client = marketer(&app);
    let body = json!({ "address": "nobody", "reason": "boredom" });
    let problem = client.post("/api/v1/suppressions").json(&body).send().await;
    let problem = problem.assert_error(422, "invalid_input");
    let pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(pointers, ["/address", "/reason"]);
    client
        .get("/api/v1/suppressions?reason=boredom")
        .send()
        .await
        .assert_error(422, "invalid_input");
    client
        .get("/api/v1/suppressions/%00")
        .send()
        .await
        .assert_error(404, "suppression_not_found");
    let path = format!("/api/v1/suppressions/{}", LeadId::new());
    client
        .get(path)
        .send()
        .await
        .assert_error(404, "suppression_not_found");
}
