//! `POST /api/v1/analytics`

use chrono::Duration;
use common::auth::{Role, Service};
use common::{CampaignId, EventId, LeadId, WorkspaceId};
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::Setup;

use crate::support::{App, Receipt, count, events, send, sent};

#[tokio::test]
async fn one_event_and_a_list_are_stored_before_the_answer() {
    let app = App::start().await;
    assert_eq!(sent(&app, json!({ "type": "view" })).await, (1, 0, 0));
    assert_eq!(sent(&app, events(1000, "click")).await, (1000, 0, 0));
    assert_eq!(count(&app, "events WHERE type = 'view'"), 1);
    assert_eq!(count(&app, "events WHERE type = 'click'"), 1000);
    assert_eq!(count(&app, "events_default"), 0);
}

#[tokio::test]
async fn every_field_is_stored_as_it_was_sent() {
    let app = App::start().await;
    let (campaign, lead) = (CampaignId::new(), LeadId::new());
    let event = json!({
        "id": EventId::new(), "type": "goal", "occurred_at": "2026-01-02T03:04:05.678901Z",
        "campaign_id": campaign, "lead_id": lead, "anonymous_id": "visitor é 1",
        "url": "https://shop.example/ä?b=c#d",
        "properties": { "plan": "gold \" \\ \u{1f600}", "n": [1, 2.5, null, true], "big": 12345678901234567890u64 },
    });
    assert_eq!(sent(&app, event).await, (1, 0, 0));
    let same = format!(
        "events WHERE occurred_at = '2026-01-02T03:04:05.678901Z' AND campaign_id = '{campaign}'
         AND lead_id = '{lead}' AND anonymous_id = 'visitor é 1' AND type = 'goal'
         AND url = 'https://shop.example/ä?b=c#d' AND workspace_id = '{}'
         AND properties ->> 'plan' = 'gold \" \\ \u{1f600}' AND properties -> 'n' = '[1, 2.5, null, true]'
         AND properties ->> 'big' = '12345678901234567890' AND verdict = 'human'",
        app.workspace
    );
    assert_eq!(count(&app, &same), 1);
}

#[tokio::test]
async fn an_id_counts_once_in_a_request_and_across_requests_and_days() {
    let app = App::start().await;
    let (a, b) = (EventId::new(), EventId::new());
    let body = |ids: &[Value]| {
        let events: Vec<_> = ids
            .iter()
            .map(|id| json!({ "id": id, "type": "view" }))
            .collect();
        json!({ "events": events })
    };
    assert_eq!(
        sent(&app, body(&[json!(a), json!(a), json!("order-1")])).await,
        (2, 1, 0)
    );
    app.clock.advance(Duration::days(3));
    assert_eq!(
        sent(&app, body(&[json!(b), json!(a), json!("order-1")])).await,
        (1, 2, 0)
    );
    assert_eq!(count(&app, "events"), 3);
}

#[tokio::test]
async fn requests_at_once_with_the_same_ids_store_each_once() {
    let app = App::start().await;
    let other = Setup::default().beside(&app).start().await;
    let workspace = app.workspace;
    let ids: Vec<_> = (0..200).map(|_| EventId::new()).collect();
    let requests = (0..16).map(|n| {
        let app = if n % 2 == 0 { &app } else { &other };
        // Each in another order, so that writers meet from both sides.
        let mut ids = ids.clone();
        ids.rotate_left(n * 12);
        let events: Vec<_> = ids
            .iter()
            .map(|id| json!({ "id": id, "type": "view" }))
            .collect();
        async move { send_as(app, workspace, json!({ "events": events })).await }
    });
    let mut accepted = 0;
    for receipt in join_all(requests).await {
        assert_eq!(receipt.accepted + receipt.duplicates, 200);
        accepted += receipt.accepted;
    }
    assert_eq!(accepted, 200);
    assert_eq!(count(&app, "events"), 200);
}

async fn send_as(app: &App, workspace: WorkspaceId, body: Value) -> Receipt {
    app.as_role_in(workspace, Role::Owner)
        .post("/api/v1/analytics")
        .json(&body)
        .send()
        .await
        .assert_status(202)
        .json()
}

#[tokio::test]
async fn another_workspace_may_use_the_same_id() {
    let app = App::start().await;
    let event = json!({ "id": EventId::new(), "type": "view" });
    assert_eq!(sent(&app, event.clone()).await, (1, 0, 0));
    let theirs = send_as(&app, WorkspaceId::new(), event).await;
    assert_eq!((theirs.accepted, theirs.duplicates), (1, 0));
}

#[tokio::test]
async fn a_bad_event_is_named_and_the_others_are_stored() {
    let app = App::start().await;
    let body = json!({ "events": [
        { "type": "view" },
        { "type": 7 },
        { "type": "view", "color": "red" },
        { "type": "view", "url": "x".repeat(3000) },
        { "type": "view", "properties": { "a": "\u{0}" } },
        { "type": "goal" },
    ]});
    let receipt: Receipt = send(&app, body).await.assert_status(202).json();
    assert_eq!(receipt.accepted, 2);
    let named: Vec<_> = receipt.rejected.iter().map(|event| event.index).collect();
    assert_eq!(named, [1, 2, 3, 4]);
    for (event, part) in receipt.rejected.iter().zip([
        "events/1/type",
        "`color`",
        "events/3/url",
        "events/4/properties",
    ]) {
        assert_eq!(event.code, "invalid_event");
        assert!(event.detail.contains(part), "{event:?}");
    }
    assert_eq!(count(&app, "events"), 2);
}

#[tokio::test]
async fn what_cannot_be_used_at_all_is_refused_whole() {
    let app = App::start().await;
    let owner = app.as_role(Role::Owner);
    let post = |body: &str| owner.post("/api/v1/analytics").body(body.to_owned()).send();
    for (body, status, code) in [
        ("", 400, "malformed_body"),
        ("{\"type\":", 400, "malformed_body"),
        ("PK\u{3}\u{4}", 400, "malformed_body"),
        ("[]", 422, "invalid_input"),
        ("{\"kind\":\"view\"}", 422, "invalid_input"),
        (
            "{\"type\":\"view\",\"url\":\"a\\u0000b\"}",
            422,
            "invalid_input",
        ),
        (
            "{\"type\":\"view\",\"lead_id\":\"x\"}",
            422,
            "invalid_input",
        ),
    ] {
        post(body).await.assert_error(status, code);
    }
    let problem = post("{\"type\":\"view\",\"occurred_at\":5}").await;
    assert_eq!(
        problem.assert_error(422, "invalid_input").errors[0].pointer,
        "/occurred_at"
    );
    let deep = format!(
        "{{\"type\":\"view\",\"properties\":{}",
        "{\"a\":".repeat(10_000)
    );
    let deep = format!("{deep}1{}", "}".repeat(10_001));
    let problem = post(&deep).await.assert_error(422, "invalid_input");
    assert_eq!(problem.errors[0].pointer, "/properties");
    let large = format!("{{\"type\":\"{}\"}}", "x".repeat(3 * 1024 * 1024));
    post(&large).await.assert_error(413, "body_too_large");
    let many = send(&app, events(1001, "view"))
        .await
        .assert_error(422, "invalid_input");
    assert_eq!(many.errors[0].pointer, "/events");
    assert_eq!(count(&app, "events"), 0);
}

#[tokio::test]
async fn whoever_may_not_write_is_turned_away() {
    let app = App::start().await;
    let body = json!({ "type": "view" });
    let post = |client: testkit::Client| client.post("/api/v1/analytics").json(&body).send();
    post(app.anonymous())
        .await
        .assert_error(401, "token_missing");
    post(app.as_role(Role::Analyst))
        .await
        .assert_error(403, "scope_missing");
    post(app.as_service(Service::Campaigns))
        .await
        .assert_error(401, "token_invalid");
    assert_eq!(count(&app, "events"), 0);
}

#[tokio::test]
async fn an_empty_list_is_taken_and_stores_nothing() {
    let app = App::start().await;
    assert_eq!(sent(&app, json!({ "events": [] })).await, (0, 0, 0));
    assert_eq!(count(&app, "ingest_batches"), 0);
}

#[tokio::test]
async fn the_metrics_count_what_happened() {
    let app = App::start().await;
    let id = EventId::new();
    sent(
        &app,
        json!({ "events": [{ "id": id, "type": "view" }, { "id": id, "type": "view" }, {}] }),
    )
    .await;
    let metrics = app.anonymous().get("/metrics").send().await.text();
    for outcome in ["accepted", "duplicate", "rejected"] {
        let line = format!(
            "clarion_analytics_events_total{{outcome=\"{outcome}\",service=\"analytics\"}} 1"
        );
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(metrics.contains("clarion_analytics_batch_rows_count{service=\"analytics\"} 1"));
}
