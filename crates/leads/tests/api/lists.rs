use common::auth::Role;
use common::{LeadId, WorkspaceId};
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use crate::support::{
    fields, get, given_lead, given_list, given_segment, id, join, marketer, start,
};

#[actix_web::test]
async fn a_list_lives_its_life() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let (path, client) = (format!("/api/v1/lists/{list}"), marketer(&app));
    let patch = json!({ "name": "Weekly", "description": "Every Monday" });
    let stale = client
        .patch(&path)
        .header("if-match", "\"9\"")
        .json(&patch)
        .send()
        .await;
    stale.assert_error(412, "version_mismatch");
    let changed: Value = client
        .patch(&path)
        .json(&patch)
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(changed["description"], "Every Monday");
    assert_eq!(
        fields(&get(&app, "/api/v1/lists").await, "name"),
        ["Weekly"]
    );

    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    join(&app, &list, &lead, "unconfirmed").await;
    let counted = get(&app, &path).await;
    assert_eq!(
        counted["members"],
        json!({ "confirmed": 0, "unconfirmed": 1, "unsubscribed": 0 })
    );

    client.delete(&path).send().await.assert_status(204);
    client
        .get(&path)
        .send()
        .await
        .assert_error(404, "list_not_found");
    client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "list_not_found");
    client
        .patch(&path)
        .json(&json!({}))
        .send()
        .await
        .assert_error(404, "list_not_found");
    client
        .post("/api/v1/lists")
        .json(&json!({ "name": " " }))
        .send()
        .await
        .assert_error(422, "invalid_input");
}

#[actix_web::test]
async fn a_list_that_a_segment_names_stays() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    given_segment(
        &app,
        json!({ "not": { "field": "list", "op": "eq", "value": list } }),
    )
    .await;
    let deleted = marketer(&app)
        .delete(format!("/api/v1/lists/{list}"))
        .send()
        .await;
    assert!(
        deleted
            .assert_error(409, "list_in_use")
            .detail
            .contains("A segment")
    );
}

#[actix_web::test]
async fn members_come_by_id_or_by_address_and_every_change_is_in_the_ledger() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let (path, client) = (format!("/api/v1/lists/{list}/members"), marketer(&app));
    let ada = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    given_lead(&app, json!({ "email": "bob@example.com" })).await;

    let body = json!({ "email": "BOB@example.com", "status": "unconfirmed", "wording": "Yes, write to me." });
    let bob: Value = client
        .post(&path)
        .json(&body)
        .send()
        .await
        .assert_status(201)
        .json();
    assert_eq!(bob["status"], "unconfirmed");
    join(&app, &list, &ada, "confirmed").await;
    join(&app, &list, &ada, "confirmed").await;
    assert_eq!(
        fields(&get(&app, &path).await, "email"),
        ["ada@example.com", "bob@example.com"]
    );
    let confirmed = get(&app, &format!("{path}?status=confirmed")).await;
    assert_eq!(fields(&confirmed, "email"), ["ada@example.com"]);

    let member = format!("{path}/{}", id(&ada));
    let patch = json!({ "status": "unsubscribed" });
    client
        .patch(&member)
        .json(&patch)
        .send()
        .await
        .assert_status(200);
    client.delete(&member).send().await.assert_status(204);
    client
        .delete(&member)
        .send()
        .await
        .assert_error(404, "member_not_found");
    client
        .patch(&member)
        .json(&patch)
        .send()
        .await
        .assert_error(404, "member_not_found");

    let timeline = get(&app, &format!("/api/v1/leads/{}/timeline", id(&ada))).await;
    let items = timeline["items"].as_array().expect("items");
    let statuses: Vec<_> = items
        .iter()
        .filter_map(|item| item["detail"]["status"].as_str())
        .collect();
    assert_eq!(
        statuses.len(),
        3,
        "confirmed once, unsubscribed, removed: {statuses:?}"
    );
    assert!(app.events().contains(&"lead.unsubscribed".to_owned()));
}

#[actix_web::test]
async fn who_is_not_there_cannot_join() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let (path, client) = (format!("/api/v1/lists/{list}/members"), marketer(&app));
    let stranger = given_lead(&app, json!({ "email": "ada@example.com" })).await;

    let nobody = json!({ "lead_id": LeadId::new() });
    client
        .post(&path)
        .json(&nobody)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    let nobody = json!({ "email": "nobody@example.com" });
    client
        .post(&path)
        .json(&nobody)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    for body in [
        json!({}),
        json!({ "email": "x" }),
        json!({ "lead_id": stranger["id"], "email": "ada@example.com" }),
    ] {
        client
            .post(&path)
            .json(&body)
            .send()
            .await
            .assert_error(422, "invalid_input");
    }
    let other = app.as_role_in(WorkspaceId::new(), Role::Owner);
    let theirs: Value = other
        .post("/api/v1/lists")
        .json(&json!({ "name": "Theirs" }))
        .send()
        .await
        .json();
    let path = format!("/api/v1/lists/{}/members", id(&theirs));
    let body = json!({ "lead_id": stranger["id"] });
    other
        .post(&path)
        .json(&body)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    client
        .post(&path)
        .json(&body)
        .send()
        .await
        .assert_error(404, "list_not_found");
}

#[actix_web::test]
async fn the_ledger_only_grows() {
    let app = start().await;
    let list = given_list(&app, "News").await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    join(&app, &list, &lead, "confirmed").await;
    for sql in [
        "UPDATE consents SET status = 'removed'",
        "DELETE FROM consents",
    ] {
        let error = app.connect().batch_execute(sql).expect_err("refused");
        assert!(error.to_string().contains("only grows"), "{error}");
    }
}

#[actix_web::test]
async fn a_person_knows_the_lists_they_are_on() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let path = format!("/api/v1/leads/{}/lists", id(&lead));
    assert_eq!(get(&app, &path).await["items"], json!([]));
    for (name, status) in [("Weekly", "confirmed"), ("Offers", "unsubscribed")] {
        let list = given_list(&app, name).await;
        join(&app, &list, &lead, status).await;
    }
    let page = get(&app, &path).await;
    assert_eq!(fields(&page, "name"), ["Offers", "Weekly"]);
    assert_eq!(fields(&page, "status"), ["unsubscribed", "confirmed"]);
    let stranger = app.as_role_in(WorkspaceId::new(), Role::Marketer);
    stranger
        .get(&path)
        .send()
        .await
        .assert_error(404, "lead_not_found");
}
