use common::auth::Role;
use common::{ListId, WorkspaceId};
use serde_json::{Value, json};

use crate::support::{fields, get, given_lead, given_list, given_segment, id, marketer, start};

#[actix_web::test]
async fn a_preview_counts_and_shows() {
    let app = start().await;
    for n in 0..8 {
        given_lead(
            &app,
            json!({ "email": format!("lead{n}@example.com"), "score": n }),
        )
        .await;
    }
    let rule = json!({ "field": "score", "op": "gte", "value": 2 });
    let sent = marketer(&app)
        .post("/api/v1/segments/preview")
        .json(&json!({ "rule": rule }))
        .send();
    let preview: Value = sent.await.assert_status(200).json();
    assert_eq!(preview["count"], 6);
    assert_eq!(preview["sample"].as_array().map(Vec::len), Some(5));
    assert!(preview["took_ms"].is_i64());
}

#[actix_web::test]
async fn a_segment_lives_its_life() {
    let app = start().await;
    let rule = json!({ "field": "company", "op": "eq", "value": "Acme" });
    let segment = given_segment(&app, rule.clone()).await;
    let (path, client) = (format!("/api/v1/segments/{segment}"), marketer(&app));
    assert_eq!(get(&app, &path).await["rule"], rule);
    let stale = client
        .patch(&path)
        .header("if-match", "\"7\"")
        .json(&json!({ "name": "B" }));
    stale.send().await.assert_error(412, "version_mismatch");
    client
        .patch(&path)
        .json(&json!({ "name": "B" }))
        .send()
        .await
        .assert_status(200);
    let bad = json!({ "rule": { "field": "company", "op": "gt", "value": 3 } });
    let refused = client
        .patch(&path)
        .json(&bad)
        .send()
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(refused.errors[0].pointer, "/rule/value");
    assert_eq!(fields(&get(&app, "/api/v1/segments").await, "name"), ["B"]);
    client.delete(&path).send().await.assert_status(204);
    client
        .delete(&path)
        .send()
        .await
        .assert_error(404, "segment_not_found");
    client
        .get(&path)
        .send()
        .await
        .assert_error(404, "segment_not_found");
    client
        .patch(&path)
        .json(&json!({}))
        .send()
        .await
        .assert_error(404, "segment_not_found");
}

#[actix_web::test]
async fn segments_do_not_lead_back_to_themselves() {
    let app = start().await;
    let client = marketer(&app);
    let a = given_segment(&app, json!({ "field": "score", "op": "gt", "value": 1 })).await;
    let names = |id: &str| json!({ "field": "segment", "op": "eq", "value": id });
    let b = given_segment(&app, json!({ "not": names(&a) })).await;

    for rule in [
        names(&b),
        names(&a),
        json!({ "any": [names(&b), { "field": "score", "op": "exists" }] }),
    ] {
        let body = json!({ "rule": rule });
        let refused = client
            .patch(format!("/api/v1/segments/{a}"))
            .json(&body)
            .send()
            .await;
        assert!(
            refused
                .assert_error(422, "invalid_input")
                .detail
                .contains("back to itself")
        );
    }
    client
        .delete(format!("/api/v1/segments/{a}"))
        .send()
        .await
        .assert_error(409, "segment_in_use");

    given_lead(&app, json!({ "email": "low@example.com", "score": 1 })).await;
    given_lead(&app, json!({ "email": "high@example.com", "score": 2 })).await;
    let in_b = get(&app, &format!("/api/v1/leads?segment_id={b}")).await;
    assert_eq!(fields(&in_b, "email"), ["low@example.com"]);
}

#[actix_web::test]
async fn segments_of_segments_do_not_explode() {
    let app = start().await;
    let leaf = json!({ "field": "score", "op": "gt", "value": 1 });
    let mut inner = given_segment(&app, json!({ "any": vec![leaf.clone(); 30] })).await;
    let thrice = |id: &str| json!({ "any": vec![json!({ "field": "segment", "op": "eq", "value": id }); 3] });
    for _ in 0..2 {
        inner = given_segment(&app, thrice(&inner)).await;
    }
    let body = json!({ "name": "Too large", "rule": { "all": [thrice(&inner), thrice(&inner)] } });
    let refused = marketer(&app)
        .post("/api/v1/segments")
        .json(&body)
        .send()
        .await;
    assert!(
        refused
            .assert_error(422, "invalid_input")
            .detail
            .contains("1000 parts")
    );
}

#[actix_web::test]
async fn a_segment_does_not_grow_under_those_that_name_it() {
    let app = start().await;
    let leaf = json!({ "field": "score", "op": "gt", "value": 1 });
    let inner = given_segment(&app, leaf.clone()).await;
    let name = json!({ "field": "segment", "op": "eq", "value": inner });
    given_segment(&app, json!({ "any": vec![name; 20] })).await;
    let body = json!({ "rule": { "any": vec![leaf; 100] } });
    let refused = marketer(&app)
        .patch(format!("/api/v1/segments/{inner}"))
        .json(&body)
        .send()
        .await;
    assert!(
        refused
            .assert_error(422, "invalid_input")
            .detail
            .contains("names this one")
    );
}

#[actix_web::test]
async fn a_rule_names_only_what_exists() {
    let app = start().await;
    let other = app.as_role_in(WorkspaceId::new(), Role::Owner);
    let theirs: Value = other
        .post("/api/v1/lists")
        .json(&json!({ "name": "Theirs" }))
        .send()
        .await
        .json();
    let mine = given_list(&app, "Mine").await;
    let rule = json!({ "any": [
        { "field": "list", "op": "in", "value": [theirs["id"], ListId::new(), mine] },
        { "field": "segment", "op": "eq", "value": ListId::new() },
    ]});
    let sent = marketer(&app)
        .post("/api/v1/segments/preview")
        .json(&json!({ "rule": rule }))
        .send();
    let problem = sent.await.assert_error(422, "invalid_input");
    assert_eq!(problem.errors.len(), 3, "{problem:?}");
    assert!(
        problem
            .errors
            .iter()
            .all(|error| error.detail.contains("does not exist"))
    );
    assert!(problem.detail.contains(&id(&theirs)));
}

#[actix_web::test]
async fn a_rule_ten_thousand_deep_is_refused() {
    let app = start().await;
    let deep = format!(
        r#"{{"rule":{}{{"field":"score","op":"exists"}}{}}}"#,
        r#"{"not":"#.repeat(10_000),
        "}".repeat(10_000)
    );
    let request = marketer(&app)
        .post("/api/v1/segments/preview")
        .header("content-type", "application/json");
    let refused = request
        .body(deep)
        .send()
        .await
        .assert_error(422, "invalid_input");
    assert!(refused.detail.contains("deep"), "{refused:?}");
    let deep = (0..60).fold(
        json!({ "field": "score", "op": "exists" }),
        |inner, _| json!({ "not": inner }),
    );
    let sent = marketer(&app)
        .post("/api/v1/segments/preview")
        .json(&json!({ "rule": deep }))
        .send();
    assert!(
        sent.await
            .assert_error(422, "invalid_input")
            .detail
            .contains("32 deep")
    );
    get(&app, "/api/v1/leads").await;
}

#[actix_web::test]
async fn what_a_rule_says_is_never_sql() {
    let app = start().await;
    given_lead(
        &app,
        json!({ "email": "ada@example.com", "attributes": { "a'b": "x" } }),
    )
    .await;
    let evil = "x' OR '1'='1";
    for (rule, expected) in [
        (json!({ "field": "company", "op": "eq", "value": evil }), 0),
        (
            json!({ "field": "company", "op": "contains", "value": "%" }),
            0,
        ),
        (
            json!({ "field": "attributes.a'b", "op": "eq", "value": "x" }),
            1,
        ),
        (
            json!({ "field": "attributes.x') OR true --", "op": "exists" }),
            0,
        ),
        (
            json!({ "field": "tags", "op": "in", "value": ["\"", "{", evil] }),
            0,
        ),
    ] {
        let sent = marketer(&app)
            .post("/api/v1/segments/preview")
            .json(&json!({ "rule": rule }))
            .send();
        let preview: Value = sent.await.assert_status(200).json();
        assert_eq!(preview["count"], expected, "{rule}");
    }
}
