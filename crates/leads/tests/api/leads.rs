use common::WorkspaceId;
use common::auth::Role;
use serde_json::{Value, json};

use crate::support::{
    fields, get, given_lead, given_list, given_segment, id, join, marketer, start,
};

#[actix_web::test]
async fn a_lead_lives_its_life() {
    let app = start().await;
    let body = json!({
        "email": "Ada@Example.com", "first_name": " Ada ", "status": "qualified", "score": 7,
        "timezone": "Europe/London", "locale": "en-GB", "tags": ["vip", "vip", "math"],
        "attributes": { "plan": "pro", "address": { "city": "London" } },
    });
    let lead = given_lead(&app, body).await;
    assert_eq!(lead["email"], "Ada@Example.com");
    assert_eq!(lead["first_name"], "Ada");
    assert_eq!(lead["tags"], json!(["vip", "math"]));

    let path = format!("/api/v1/leads/{}", id(&lead));
    assert_eq!(get(&app, &path).await, lead);
    let patch = json!({ "score": null, "company": "Analytical", "attributes": { "plan": null, "address": { "zip": "1" } } });
    let changed = marketer(&app)
        .patch(&path)
        .json(&patch)
        .send()
        .await
        .assert_status(200);
    let changed: Value = changed.json();
    assert_eq!(changed["score"], 0);
    assert_eq!(changed["company"], "Analytical");
    assert_eq!(
        changed["attributes"],
        json!({ "address": { "city": "London", "zip": "1" } })
    );

    marketer(&app).delete(&path).send().await.assert_status(204);
    marketer(&app)
        .get(&path)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    marketer(&app)
        .delete(&path)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    assert_eq!(
        app.events(),
        ["lead.created", "lead.updated", "lead.deleted"]
    );
}

#[actix_web::test]
async fn an_address_is_one_person_however_it_is_spelled() {
    let app = start().await;
    given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let other = given_lead(&app, json!({ "email": "bob@example.com" })).await;

    let again = json!({ "email": "ADA@example.com" });
    let client = marketer(&app);
    client
        .post("/api/v1/leads")
        .json(&again)
        .send()
        .await
        .assert_error(409, "lead_exists");
    let path = format!("/api/v1/leads/{}", id(&other));
    client
        .patch(&path)
        .json(&again)
        .send()
        .await
        .assert_error(409, "lead_exists");
    assert_eq!(get(&app, &path).await["email"], "bob@example.com");
}

#[actix_web::test]
async fn every_bad_field_is_named_at_once() {
    let app = start().await;
    let body = json!({
        "email": "nobody", "first_name": "Ada\r\nBcc: eve@example.com", "last_name": "x".repeat(201),
        "status": "hot", "timezone": "Mars/Olympus", "locale": "English (US)",
        "tags": ["a\nb"], "attributes": { "": 1 },
    });
    let problem = marketer(&app)
        .post("/api/v1/leads")
        .json(&body)
        .send()
        .await;
    let problem = problem.assert_error(422, "invalid_input");
    let mut pointers: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
    pointers.sort_unstable();
    let expected = [
        "/attributes",
        "/email",
        "/first_name",
        "/last_name",
        "/locale",
        "/status",
        "/tags",
        "/timezone",
    ];
    assert_eq!(pointers, expected);
    assert!(app.events().is_empty());
}

#[actix_web::test]
async fn what_cannot_be_a_lead_is_refused() {
    let app = start().await;
    let refused = |body: &'static str| {
        let request = marketer(&app)
            .post("/api/v1/leads")
            .header("content-type", "application/json");
        async move { request.body(body).send().await }
    };
    refused("{").await.assert_error(400, "malformed_body");
    refused("{}").await.assert_error(422, "invalid_input");
    let unknown = refused(r#"{"email":"a@example.com","admin":true}"#).await;
    assert!(
        unknown
            .assert_error(422, "invalid_input")
            .detail
            .contains("admin")
    );
    let wrong = refused(r#"{"email":"a@example.com","score":"ten"}"#).await;
    assert_eq!(
        wrong.assert_error(422, "invalid_input").errors[0].pointer,
        "/score"
    );
    let nul = refused(r#"{"email":"a@example.com","attributes":{"a":"\u0000"}}"#).await;
    assert_eq!(
        nul.assert_error(422, "invalid_input").errors[0].pointer,
        "/attributes/a"
    );
    let nothing = get(&app, "/api/v1/leads").await;
    assert_eq!(nothing["items"], json!([]));
}

#[actix_web::test]
async fn an_edit_of_an_old_version_is_refused() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let (path, client) = (format!("/api/v1/leads/{}", id(&lead)), marketer(&app));
    let seen = client.get(&path).send().await.assert_status(200);
    let etag = seen.header("etag").expect("an ETag").to_owned();

    let first = client
        .patch(&path)
        .header("if-match", &etag)
        .json(&json!({ "company": "A" }));
    assert_ne!(
        first.send().await.assert_status(200).header("etag"),
        Some(etag.as_str())
    );
    let second = client
        .patch(&path)
        .header("if-match", &etag)
        .json(&json!({ "company": "B" }));
    second.send().await.assert_error(412, "version_mismatch");
    assert_eq!(get(&app, &path).await["company"], "A");
}

#[actix_web::test]
async fn another_workspace_sees_and_changes_nothing() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let list = given_list(&app, "News").await;
    let segment = given_segment(&app, json!({ "field": "score", "op": "exists" })).await;
    let other = app.as_role_in(WorkspaceId::new(), Role::Owner);

    let lead_path = format!("/api/v1/leads/{}", id(&lead));
    other
        .get(&lead_path)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    other
        .patch(&lead_path)
        .json(&json!({ "score": 1 }))
        .send()
        .await
        .assert_error(404, "lead_not_found");
    other
        .delete(&lead_path)
        .send()
        .await
        .assert_error(404, "lead_not_found");
    other
        .get(format!("{lead_path}/timeline"))
        .send()
        .await
        .assert_error(404, "lead_not_found");
    for (path, code) in [
        (format!("/api/v1/lists/{list}"), "list_not_found"),
        (format!("/api/v1/lists/{list}/members"), "list_not_found"),
        (format!("/api/v1/segments/{segment}"), "segment_not_found"),
        (format!("/api/v1/leads?list_id={list}"), "list_not_found"),
        (
            format!("/api/v1/leads?segment_id={segment}"),
            "segment_not_found",
        ),
        (
            format!("/api/v1/leads/export?segment_id={segment}"),
            "segment_not_found",
        ),
    ] {
        other.get(path).send().await.assert_error(404, code);
    }
    let seen: Value = other
        .get("/api/v1/leads")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(seen["items"], json!([]));
}

#[actix_web::test]
async fn a_caller_needs_the_scope() {
    let app = start().await;
    app.anonymous()
        .get("/api/v1/leads")
        .send()
        .await
        .assert_error(401, "token_missing");
    let (analyst, customer) = (app.as_role(Role::Analyst), app.as_role(Role::Customer));
    analyst.get("/api/v1/leads").send().await.assert_status(200);
    let body = json!({ "email": "ada@example.com" });
    analyst
        .post("/api/v1/leads")
        .json(&body)
        .send()
        .await
        .assert_error(403, "scope_missing");
    customer
        .get("/api/v1/leads/export")
        .send()
        .await
        .assert_error(403, "scope_missing");
    app.as_role(Role::Owner)
        .post("/internal/audience/count")
        .json(&json!({}))
        .send()
        .await
        .assert_error(403, "services_only");
}

#[actix_web::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let app = start().await;
    for n in 0..7 {
        given_lead(&app, json!({ "email": format!("lead{n}@example.com") })).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&app, &format!("/api/v1/leads?limit=3{cursor}")).await;
        seen.extend(fields(&page, "email"));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let newest_first: Vec<_> = (0..7)
        .rev()
        .map(|n| format!("lead{n}@example.com"))
        .collect();
    assert_eq!(seen, newest_first);
    let client = marketer(&app);
    client
        .get("/api/v1/leads?limit=501")
        .send()
        .await
        .assert_error(422, "invalid_input");
    client
        .get("/api/v1/leads?cursor=zzz")
        .send()
        .await
        .assert_error(422, "invalid_input");
    client
        .get("/api/v1/leads?colour=red")
        .send()
        .await
        .assert_error(422, "invalid_input");
    client
        .get("/api/v1/leads?status=hot")
        .send()
        .await
        .assert_error(422, "invalid_input");
    client
        .get("/api/v1/leads/not-an-id")
        .send()
        .await
        .assert_error(404, "not_found");
}

#[actix_web::test]
async fn filters_combine() {
    let app = start().await;
    let ada = json!({ "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "status": "customer", "tags": ["vip"] });
    let ada = given_lead(&app, ada).await;
    let bob = json!({ "email": "bob_1@example.com", "company": "100% Acme", "status": "customer" });
    given_lead(&app, bob).await;
    given_lead(&app, json!({ "email": "bobx1@example.com" })).await;
    let list = given_list(&app, "News").await;
    join(&app, &list, &ada, "confirmed").await;
    let segment = given_segment(
        &app,
        json!({ "field": "tags", "op": "contains", "value": "vip" }),
    )
    .await;

    let emails =
        async |query: &str| fields(&get(&app, &format!("/api/v1/leads?{query}")).await, "email");
    assert_eq!(emails("q=ADA%20love").await, ["ada@example.com"]);
    assert_eq!(emails("q=bob_1").await, ["bob_1@example.com"]);
    assert_eq!(emails("q=100%25").await, ["bob_1@example.com"]);
    assert_eq!(emails("status=customer").await.len(), 2);
    assert_eq!(emails("status=customer&tag=vip").await, ["ada@example.com"]);
    assert_eq!(
        emails(&format!("list_id={list}")).await,
        ["ada@example.com"]
    );
    assert_eq!(
        emails(&format!("segment_id={segment}")).await,
        ["ada@example.com"]
    );
    assert_eq!(
        emails(&format!("segment_id={segment}&q=bob")).await,
        [""; 0]
    );
}

#[actix_web::test]
async fn an_export_is_safe_to_open_and_comes_back_unchanged() {
    let app = start().await;
    let lead = json!({
        "email": "ada@example.com", "first_name": "=HYPERLINK(1)", "phone": "+49 1", "company": "A, \"B\"",
        "tags": ["x", "y"], "attributes": { "plan": "pro", "n": 3 }, "score": -5,
    });
    given_lead(&app, lead).await;
    given_lead(&app, json!({ "email": "bob@example.com" })).await;

    let sent = marketer(&app)
        .get("/api/v1/leads/export")
        .send()
        .await
        .assert_status(200);
    assert_eq!(sent.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = sent.text();
    assert!(text.contains(",'=HYPERLINK(1),"), "{text}");
    assert!(text.contains(",'+49 1,\"A, \"\"B\"\"\","), "{text}");
    assert_eq!(text.lines().count(), 3);

    let again = crate::support::import(&app, "", text).await;
    assert_eq!(crate::support::counts(&again), [2, 0, 0, 2, 0]);
    let only = marketer(&app)
        .get("/api/v1/leads/export?q=bob")
        .send()
        .await
        .assert_status(200);
    assert_eq!(only.text().lines().count(), 2);
}

#[actix_web::test]
async fn a_timeline_tells_what_happened() {
    let app = start().await;
    let lead = given_lead(&app, json!({ "email": "ada@example.com" })).await;
    let list = given_list(&app, "News").await;
    app.clock.advance(chrono::Duration::hours(1));
    join(&app, &list, &lead, "confirmed").await;
    app.clock.advance(chrono::Duration::hours(1));
    let suppression = json!({ "address": "ada@example.com", "reason": "complaint" });
    marketer(&app)
        .post("/api/v1/suppressions")
        .json(&suppression)
        .send()
        .await
        .assert_status(201);

    let timeline = get(&app, &format!("/api/v1/leads/{}/timeline", id(&lead))).await;
    assert_eq!(
        fields(&timeline, "kind"),
        ["suppressed", "consent", "created"]
    );
    let consent = &timeline["items"][1]["detail"];
    assert_eq!(consent["list_id"], json!(list));
    assert!(
        consent["actor"]
            .as_str()
            .is_some_and(|actor| actor.starts_with("user:"))
    );
}
