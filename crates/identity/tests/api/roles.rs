use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, PASSWORD, Person, login, member, register};

const PATH: &str = "/api/v1/roles";

async fn create(by: &Person, name: &str, scopes: &[&str]) -> Response {
    by.client
        .post(PATH)
        .json(&json!({ "name": name, "scopes": scopes }))
        .send()
        .await
}

fn id(answer: &Response) -> String {
    let body: Value = answer.json();
    body["id"].as_str().expect("an id").to_owned()
}

async fn with_role(app: &App, by: &Person, role: &str) -> Person {
    let email = format!("{}@example.com", uuid::Uuid::new_v4().simple());
    by.client
        .post("/api/v1/users")
        .json(&json!({
            "name": "x", "email": email, "password": PASSWORD, "role": "custom", "role_id": role
        }))
        .send()
        .await
        .assert_status(201);
    Person::of(app, &login(app, &email, PASSWORD).await.assert_status(200))
}

#[actix_web::test]
async fn a_custom_role_may_what_it_lists_and_nothing_else() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let role = create(&ada, "Reader of people", &["users:read"]).await;
    let role = id(&role.assert_status(201));
    let bob = with_role(&app, &ada, &role).await;
    let own: Value = bob.client.get(bob.path()).send().await.json();
    assert_eq!(
        (&own["role"], &own["role_id"]),
        (&json!("custom"), &json!(role))
    );
    bob.client
        .get("/api/v1/users")
        .send()
        .await
        .assert_status(200);
    bob.client.get(PATH).send().await.assert_status(200);
    for path in ["/api/v1/workspaces/current", "/api/v1/api-keys"] {
        bob.client
            .get(path)
            .send()
            .await
            .assert_error(403, "scope_missing");
    }
    create(&bob, "x", &[])
        .await
        .assert_error(403, "scope_missing");

    // What it lists changes for whoever has it: the old token counts no more, the next one says so.
    ada.client
        .put(format!("{PATH}/{role}"))
        .json(&json!({ "name": "Reader of the workspace", "scopes": ["workspace:read"] }))
        .send()
        .await
        .assert_status(200);
    bob.client
        .get("/api/v1/users")
        .send()
        .await
        .assert_error(401, "token_revoked");
    let again = Person::of(&app, &login(&app, &bob.email, PASSWORD).await);
    again
        .client
        .get("/api/v1/users")
        .send()
        .await
        .assert_error(403, "scope_missing");
    let seen = again.client.get("/api/v1/workspaces/current").send();
    seen.await.assert_status(200);

    let path = format!("{PATH}/{role}");
    ada.client
        .delete(&path)
        .send()
        .await
        .assert_error(409, "role_in_use");
    ada.client
        .put(bob.path())
        .json(&json!({ "role": "analyst" }))
        .send()
        .await
        .assert_status(200);
    ada.client.delete(&path).send().await.assert_status(204);
    ada.client
        .get(&path)
        .send()
        .await
        .assert_error(404, "role_not_found");
}

#[actix_web::test]
async fn nobody_hands_on_or_reaches_what_they_do_not_have() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let managing = ["users:read", "users:write", "leads:read"];
    let manager = id(&create(&ada, "Manager", &managing).await.assert_status(201));
    let sender = id(&create(&ada, "Sender", &["campaigns:send"])
        .await
        .assert_status(201));
    let bob = with_role(&app, &ada, &manager).await;
    create(&bob, "More", &["campaigns:send"])
        .await
        .assert_error(403, "scope_missing");
    let less = id(&create(&bob, "Less", &["leads:read"])
        .await
        .assert_status(201));
    let put = |path: String, body: Value| bob.client.put(path).json(&body).send();
    let more = json!({ "name": "Sender", "scopes": ["leads:read"] });
    put(format!("{PATH}/{sender}"), more)
        .await
        .assert_error(403, "role_above_own");
    bob.client
        .delete(format!("{PATH}/{sender}"))
        .send()
        .await
        .assert_error(403, "role_above_own");
    let carl = member(&app, &ada, "customer").await;
    let give =
        |role: &str, id: Option<&str>| put(carl.path(), json!({ "role": role, "role_id": id }));
    give("custom", Some(&sender))
        .await
        .assert_error(403, "role_above_own");
    give("marketer", None)
        .await
        .assert_error(403, "role_above_own");
    give("custom", Some(&less)).await.assert_status(200);
    put(ada.path(), json!({ "role": "customer" }))
        .await
        .assert_error(403, "role_above_own");
}

#[actix_web::test]
async fn roles_stay_in_their_workspace_and_have_names_of_their_own() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    let role = id(&create(&ada, "Reader", &["leads:read"])
        .await
        .assert_status(201));
    create(&ada, "READER", &[])
        .await
        .assert_error(409, "role_name_taken");
    create(&eve, "Reader", &[]).await.assert_status(201);
    let path = format!("{PATH}/{role}");
    eve.client
        .get(&path)
        .send()
        .await
        .assert_error(404, "role_not_found");
    eve.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "role_not_found");
    let body = json!({ "name": "Mine", "scopes": [] });
    eve.client
        .put(&path)
        .json(&body)
        .send()
        .await
        .assert_error(404, "role_not_found");
    let given = json!({
        "name": "x", "email": "x@example.com", "password": PASSWORD,
        "role": "custom", "role_id": role,
    });
    let refused = eve.client.post("/api/v1/users").json(&given).send().await;
    let refused = refused.assert_error(422, "invalid_input");
    assert_eq!(refused.errors[0].pointer, "/role_id");
    for body in [
        json!({ "role": "custom" }),
        json!({ "role": "analyst", "role_id": role }),
    ] {
        let refused = ada.client.put(ada.path()).json(&body).send().await;
        refused.assert_error(422, "invalid_input");
    }
    ada.client
        .put(&path)
        .header("if-match", "\"7\"")
        .json(&json!({ "name": "Reader", "scopes": [] }))
        .send()
        .await
        .assert_error(412, "edited_meanwhile");
    create(&ada, "x", &["everything"])
        .await
        .assert_error(422, "invalid_input");
}
