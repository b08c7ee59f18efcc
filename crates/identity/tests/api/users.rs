use chrono::Duration;
use serde_json::{Value, json};

use crate::sessions;
use crate::support::{App, PASSWORD, Person, login, member, register};

#[actix_web::test]
async fn members_are_listed_by_pages() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    register(&app, "eve@example.com").await;
    for _ in 0..3 {
        member(&app, &ada, "analyst").await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/users?limit=2{cursor}");
        let page: Value = ada.client.get(path).send().await.assert_status(200).json();
        let items = page["items"].as_array().expect("items").clone();
        seen.extend(items.into_iter().map(|item| item["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 4, "and not the stranger");
    assert_eq!(seen[0], ada.id.as_str());
    let problem = ada
        .client
        .get("/api/v1/users?limit=0&cursor=x")
        .send()
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(problem.errors.len(), 2);
}

#[actix_web::test]
async fn people_of_another_workspace_do_not_exist() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let eve = register(&app, "eve@example.com").await;
    for path in [
        eve.path(),
        format!("/api/v1/users/{}", common::UserId::new()),
    ] {
        ada.client
            .get(&path)
            .send()
            .await
            .assert_error(404, "user_not_found");
        ada.client
            .put(&path)
            .json(&json!({ "name": "Mallory" }))
            .send()
            .await
            .assert_error(404, "user_not_found");
        ada.client
            .delete(&path)
            .send()
            .await
            .assert_error(404, "user_not_found");
    }
    ada.client
        .get("/api/v1/users/not-an-id")
        .send()
        .await
        .assert_error(404, "not_found");
    eve.client.get(eve.path()).send().await.assert_status(200);
}

#[actix_web::test]
async fn who_may_not_read_members_may_read_themselves() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    for role in ["marketer", "analyst", "customer"] {
        let bob = member(&app, &ada, role).await;
        bob.client.get(bob.path()).send().await.assert_status(200);
        for path in ["/api/v1/users".to_owned(), ada.path()] {
            bob.client
                .get(path)
                .send()
                .await
                .assert_error(403, "scope_missing");
        }
        bob.client
            .put(ada.path())
            .json(&json!({ "name": "Mallory" }))
            .send()
            .await
            .assert_error(403, "scope_missing");
        bob.client
            .delete(bob.path())
            .send()
            .await
            .assert_error(403, "scope_missing");
        bob.client
            .put(bob.path())
            .json(&json!({ "role": "owner" }))
            .send()
            .await
            .assert_error(403, "scope_missing");
        let renamed: Value = bob
            .client
            .put(bob.path())
            .json(&json!({ "name": "Bob" }))
            .send()
            .await
            .assert_status(200)
            .json();
        assert_eq!(
            (&renamed["name"], &renamed["role"]),
            (&json!("Bob"), &json!(role))
        );
    }
}

#[actix_web::test]
async fn nobody_gives_or_touches_more_than_they_are() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "admin").await;
    bob.client
        .post("/api/v1/users")
        .json(&json!({ "name": "Eve", "email": "eve@example.com", "password": PASSWORD, "role": "owner" }))
        .send()
        .await
        .assert_error(403, "role_above_own");
    for body in [json!({ "role": "analyst" }), json!({ "name": "Mallory" })] {
        bob.client
            .put(ada.path())
            .json(&body)
            .send()
            .await
            .assert_error(403, "role_above_own");
    }
    bob.client
        .put(bob.path())
        .json(&json!({ "role": "owner" }))
        .send()
        .await
        .assert_error(403, "role_above_own");
    bob.client
        .delete(ada.path())
        .send()
        .await
        .assert_error(403, "role_above_own");
    let unchanged: Value = ada.client.get(ada.path()).send().await.json();
    assert_eq!(
        (&unchanged["role"], &unchanged["name"]),
        (&json!("owner"), &json!("Ada"))
    );
}

#[actix_web::test]
async fn the_last_owner_stays() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    ada.client
        .delete(ada.path())
        .send()
        .await
        .assert_error(409, "last_owner");
    ada.client
        .put(ada.path())
        .json(&json!({ "role": "admin" }))
        .send()
        .await
        .assert_error(409, "last_owner");

    let bob = member(&app, &ada, "owner").await;
    // Each removes the other: one of them comes too late.
    let (one, two) = futures::join!(
        ada.client.delete(bob.path()).send(),
        bob.client.delete(ada.path()).send()
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 204);
    assert!(statuses[1] >= 400, "{statuses:?}");
}

#[actix_web::test]
async fn a_removed_person_is_gone_with_their_tokens() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    ada.client
        .delete(bob.path())
        .send()
        .await
        .assert_status(204);
    ada.client
        .get(bob.path())
        .send()
        .await
        .assert_error(404, "user_not_found");
    login(&app, &bob.email, PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
    app.anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": bob.refresh }))
        .send()
        .await
        .assert_error(401, "refresh_token_invalid");
    // Their address is free again.
    register(&app, &bob.email).await;
}

#[actix_web::test]
async fn a_password_is_changed_by_its_owner_who_knows_it() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    let change = json!({ "password": "a new one, longer" });
    let problem = bob
        .client
        .put(bob.path())
        .json(&change)
        .send()
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/current_password");
    for body in [
        json!({ "password": "a new one, longer", "current_password": "not mine at all" }),
        json!({ "email": "new@example.com", "current_password": "not mine at all" }),
    ] {
        bob.client
            .put(bob.path())
            .json(&body)
            .send()
            .await
            .assert_error(422, "invalid_input");
    }
    for body in [change, json!({ "email": "hers@example.com" })] {
        ada.client
            .put(bob.path())
            .json(&body)
            .send()
            .await
            .assert_error(403, "not_yourself");
    }

    let change = json!({
        "password": "a new one, longer", "email": "bob@example.com", "current_password": PASSWORD
    });
    bob.client
        .put(bob.path())
        .json(&change)
        .send()
        .await
        .assert_status(200);
    login(&app, "bob@example.com", PASSWORD)
        .await
        .assert_error(401, "wrong_credentials");
    login(&app, "bob@example.com", "a new one, longer")
        .await
        .assert_status(200);
    app.anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": bob.refresh }))
        .send()
        .await
        .assert_error(401, "refresh_token_invalid");
}

#[actix_web::test]
async fn an_address_is_not_taken_from_another() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    register(&app, "eve@example.com").await;
    ada.client
        .put(ada.path())
        .json(&json!({ "email": "EVE@example.com", "current_password": PASSWORD }))
        .send()
        .await
        .assert_error(409, "email_taken");
    ada.client
        .post("/api/v1/users")
        .json(&json!({ "name": "E", "email": "eve@example.com", "password": PASSWORD, "role": "analyst" }))
        .send()
        .await
        .assert_error(409, "email_taken");
    let problem = ada
        .client
        .post("/api/v1/users")
        .json(&json!({ "name": "", "email": "x", "password": "short", "role": "analyst" }))
        .send()
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(problem.errors.len(), 3);
}

#[actix_web::test]
async fn an_edit_of_what_was_changed_meanwhile_is_refused() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let read = ada.client.get(ada.path()).send().await;
    let seen = read.header("etag").expect("an ETag").to_owned();
    app.clock.advance(Duration::seconds(1));
    let edit = |name: &str| {
        ada.client
            .put(ada.path())
            .header("if-match", &seen)
            .json(&json!({ "name": name }))
    };
    let edited = edit("Grace").send().await.assert_status(200);
    assert_ne!(edited.header("etag"), Some(seen.as_str()));
    edit("Mallory")
        .send()
        .await
        .assert_error(412, "edited_meanwhile");
}

#[actix_web::test]
async fn a_workspace_is_renamed_by_who_may() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let bob = member(&app, &ada, "marketer").await;
    let path = "/api/v1/workspaces/current";
    let read = bob.client.get(path).send().await.assert_status(200);
    let seen = read.header("etag").expect("an ETag").to_owned();
    bob.client
        .put(path)
        .json(&json!({ "name": "Bob's" }))
        .send()
        .await
        .assert_error(403, "scope_missing");
    ada.client
        .put(path)
        .json(&json!({ "name": "" }))
        .send()
        .await
        .assert_error(422, "invalid_input");
    let rename = || {
        ada.client
            .put(path)
            .header("if-match", &seen)
            .json(&json!({ "name": "Engines" }))
    };
    rename().send().await.assert_status(200);
    rename().send().await.assert_error(412, "edited_meanwhile");
    let read: Value = bob.client.get(path).send().await.json();
    assert_eq!(read["name"], "Engines");
    assert!(app.events().contains(&"workspace.renamed".to_owned()));
}

#[actix_web::test]
async fn a_method_that_an_address_does_not_have_is_refused_in_words() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    for (method, path) in [
        (reqwest::Method::PATCH, "/api/v1/users"),
        (reqwest::Method::GET, "/api/v1/login"),
        (reqwest::Method::GET, "/api/v1/api-keys/1"),
    ] {
        ada.client
            .request(method, path)
            .send()
            .await
            .assert_error(405, "method_not_allowed");
    }
}

#[actix_web::test]
async fn an_admin_ends_every_sign_in_of_a_member_in_this_workspace() {
    let app = App::start().await;
    let ada = register(&app, "ada@example.com").await;
    let admin = member(&app, &ada, "admin").await;
    let bob = member(&app, &ada, "marketer").await;
    let browser = sessions::sign_in(&app, &bob.email).await;
    // Bob's own workspace is nobody else's business.
    let own = bob.client.post("/api/v1/workspaces");
    let own: Value = own
        .json(&json!({ "name": "Bob's" }))
        .send()
        .await
        .assert_status(201)
        .json();
    let id = own["id"].as_str().expect("an id");
    let path = format!("/api/v1/workspaces/{id}/switch");
    let elsewhere = bob.client.post(path).send().await.assert_status(200);
    let elsewhere = Person::of(&app, &elsewhere);

    let path = |of: &Person| format!("{}/sessions", of.path());
    let end = |by: &Person, of: &Person| by.client.delete(path(of)).send();
    end(&bob, &admin).await.assert_error(403, "scope_missing");
    end(&admin, &ada).await.assert_error(403, "role_above_own");
    let stranger = register(&app, "eve@example.com").await;
    end(&stranger, &bob)
        .await
        .assert_error(404, "user_not_found");
    sessions::look(&app, &browser).await.assert_status(200);

    end(&admin, &bob).await.assert_status(204);
    sessions::look(&app, &browser)
        .await
        .assert_error(401, "session_missing");
    bob.client
        .get(bob.path())
        .send()
        .await
        .assert_error(401, "token_revoked");
    app.anonymous()
        .post("/api/v1/token/refresh")
        .json(&json!({ "refresh_token": bob.refresh }))
        .send()
        .await
        .assert_error(401, "refresh_token_invalid");
    let still = elsewhere.client.get(elsewhere.path()).send().await;
    still.assert_status(200);
    admin.client.get(ada.path()).send().await.assert_status(200);
    // They are members as before.
    login(&app, &bob.email, PASSWORD).await.assert_status(200);
}
