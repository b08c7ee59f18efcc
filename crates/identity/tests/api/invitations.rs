use chrono::Duration;
use serde_json::{Value, json};
use testkit::Response;

use crate::mails;
use crate::support::{App, PASSWORD, Person, login, member, register};

async fn invite(by: &Person, email: &str, role: &str) -> Response {
    by.client
        .post("/api/v1/invitations")
        .json(&json!({ "email": email, "role": role }))
        .send()
        .await
}

async fn accept(app: &App, body: Value) -> Response {
    app.anonymous()
        .post("/api/v1/invitations/accept")
        .json(&body)
        .send()
        .await
}

#[actix_web::test]
async fn somebody_new_comes_by_an_invitation() {
    let app = App::start().await;
    mails::take(&app).await;
    let ada = register(&app, "ada@example.com").await;
    let made: Value = invite(&ada, "bob@example.com", "marketer")
        .await
        .assert_status(201)
        .json();
    assert_eq!(made["role"], "marketer");
    let mail = mails::nth(&app, "bob@example.com", 1).await;
    assert_eq!(mail.data["workspace"], "My workspace");
    let token = mails::secret(&mail);

    let refused = accept(&app, json!({ "token": token })).await;
    let refused = refused.assert_error(422, "invalid_input");
    let pointers: Vec<_> = refused
        .errors
        .iter()
        .map(|error| error.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/name", "/password"]);
    let body = json!({ "token": token, "name": "Bob", "password": PASSWORD });
    let joined: Value = accept(&app, body.clone()).await.assert_status(200).json();
    assert_eq!(joined["user"]["role"], "marketer");
    // Whoever reads the mail has the address.
    assert_eq!(joined["user"]["email_verified"], true);
    accept(&app, body).await.assert_error(422, "link_invalid");
    let bob = Person::of(&app, &login(&app, "bob@example.com", PASSWORD).await);
    let own: Value = bob
        .client
        .get(bob.path())
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(own["role"], "marketer");
    let left: Value = ada.client.get("/api/v1/invitations").send().await.json();
    assert_eq!(left["items"], json!([]));
}

#[actix_web::test]
async fn somebody_known_joins_another_workspace_and_switches() {
    let app = App::start().await;
    mails::take(&app).await;
    let ada = register(&app, "ada@example.com").await;
    let bob = register(&app, "bob@example.com").await;
    // What somebody belonged to first comes first.
    app.clock.advance(Duration::seconds(1));
    invite(&ada, "Bob@example.com", "analyst")
        .await
        .assert_status(201);
    let token = mails::secret(&mails::nth(&app, "Bob@example.com", 1).await);
    let joined: Value = accept(&app, json!({ "token": token }))
        .await
        .assert_status(200)
        .json();
    assert_eq!(joined["user"]["id"], bob.id.as_str());
    invite(&ada, "bob@example.com", "analyst")
        .await
        .assert_error(409, "member_already");

    let all: Value = bob.client.get("/api/v1/workspaces").send().await.json();
    let items = all["items"].as_array().expect("items");
    let shown: Vec<_> = items
        .iter()
        .map(|item| (&item["role"], &item["current"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("owner"), &json!(true)),
            (&json!("analyst"), &json!(false))
        ]
    );
    let other = joined["workspace"]["id"].as_str().expect("an id");
    let switched = bob
        .client
        .post(format!("/api/v1/workspaces/{other}/switch"))
        .send()
        .await
        .assert_status(200);
    let there = Person::of(&app, &switched);
    let seen: Value = there
        .client
        .get("/api/v1/workspaces/current")
        .send()
        .await
        .json();
    assert_eq!(seen["id"], other);
    there
        .client
        .get("/api/v1/users")
        .send()
        .await
        .assert_error(403, "scope_missing");
    // The token for the first workspace goes on.
    bob.client
        .get("/api/v1/users")
        .send()
        .await
        .assert_status(200);
    let eve = register(&app, "eve@example.com").await;
    for id in [other.to_owned(), common::WorkspaceId::new().to_string()] {
        eve.client
            .post(format!("/api/v1/workspaces/{id}/switch"))
            .send()
            .await
            .assert_error(404, "workspace_not_found");
    }
}

#[actix_web::test]
async fn an_invitation_ends_when_it_is_withdrawn_replaced_or_old() {
    let app = App::start().await;
    mails::take(&app).await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    let body = |token: String| json!({ "token": token, "name": "Bob", "password": PASSWORD });
    let made: Value = invite(&ada, "bob@example.com", "analyst").await.json();
    let first = mails::secret(&mails::nth(&app, "bob@example.com", 1).await);
    let path = format!(
        "/api/v1/invitations/{}",
        made["id"].as_str().expect("an id")
    );
    eve.client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "invitation_not_found");
    ada.client.delete(&path).send().await.assert_status(204);
    accept(&app, body(first))
        .await
        .assert_error(422, "link_invalid");

    invite(&ada, "bob@example.com", "analyst")
        .await
        .assert_status(201);
    let second = mails::secret(&mails::nth(&app, "bob@example.com", 2).await);
    invite(&ada, "bob@example.com", "analyst")
        .await
        .assert_status(201);
    let third = mails::secret(&mails::nth(&app, "bob@example.com", 3).await);
    accept(&app, body(second))
        .await
        .assert_error(422, "link_invalid");
    app.clock.advance(Duration::days(7));
    accept(&app, body(third))
        .await
        .assert_error(422, "link_invalid");
    login(&app, "bob@example.com", PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
}

#[actix_web::test]
async fn nobody_invites_above_themselves_or_without_the_scope() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let admin = member(&app, &ada, "admin").await;
    let analyst = member(&app, &ada, "analyst").await;
    invite(&admin, "x@example.com", "owner")
        .await
        .assert_error(403, "role_above_own");
    invite(&analyst, "x@example.com", "customer")
        .await
        .assert_error(403, "scope_missing");
    invite(&ada, "no address", "analyst")
        .await
        .assert_error(422, "invalid_input");
    invite(&ada, "x@example.com", "custom")
        .await
        .assert_error(422, "invalid_input");
    app.anonymous()
        .get("/api/v1/invitations")
        .send()
        .await
        .assert_error(401, "token_missing");
}
