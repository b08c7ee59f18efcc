//! `GET /api/v1/analytics/export`

use std::collections::BTreeSet;

use chrono::Duration;
use common::auth::Role;
use common::{CampaignId, WorkspaceId};
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, Mail, browse, events, sent};

async fn export(app: &App, query: &str) -> Response {
    let analyst = app.as_role(Role::Analyst);
    analyst
        .get(format!("/api/v1/analytics/export{query}"))
        .send()
        .await
}

fn lines(answer: &Response) -> Vec<Value> {
    let text = answer.text();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

#[tokio::test]
async fn every_event_of_a_period_is_in_the_file_once() {
    let app = App::start().await;
    for _ in 0..4 {
        sent(&app, events(1000, "view")).await;
    }
    app.clock.advance(Duration::seconds(1));
    sent(&app, events(500, "goal")).await;
    app.clock.advance(Duration::seconds(1));
    let answer = export(&app, "?format=ndjson").await.assert_status(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"events.ndjson\"")
    );
    let lines = lines(&answer);
    let ids: BTreeSet<_> = lines
        .iter()
        .map(|line| line["id"].as_str().unwrap_or_default())
        .collect();
    assert_eq!((lines.len(), ids.len()), (4500, 4500));
    assert!(
        lines[4000..].iter().all(|line| line["type"] == "goal"),
        "in the order they were received"
    );
    let text = export(&app, "").await.assert_status(200).text();
    assert_eq!(text.lines().count(), 4501);
}

#[tokio::test]
async fn a_row_has_all_that_is_kept() {
    let app = App::start().await;
    let event = json!({
        "type": "track", "name": "=1+1", "user_id": "u, \"1\"", "anonymous_id": "a",
        "url": "https://shop.example/?utm_source=news", "properties": { "amount": 5, "currency": "EUR", "order_id": "o" },
    });
    sent(&app, event).await;
    let mail = Mail::of(&app, CampaignId::new());
    browse(&app, &mail.link(&app, 2)).await;
    app.clock.advance(Duration::seconds(1));
    let all = lines(&export(&app, "?format=ndjson").await);
    assert_eq!(all.len(), 2);
    let (track, click) = match all[0]["type"] == "track" {
        true => (&all[0], &all[1]),
        false => (&all[1], &all[0]),
    };
    assert_eq!(track["properties"]["order_id"], "o");
    assert_eq!(
        (&track["name"], &track["amount"], &track["utm_source"]),
        (&json!("=1+1"), &json!(5), &json!("news"))
    );
    assert_eq!(
        (&click["link"], &click["lead_id"], &click["device"]),
        (&json!(2), &json!(mail.lead), &json!("desktop"))
    );
    assert_eq!(click["verdict"], "human");
    let text = export(&app, &format!("?format=csv&campaign_id={}", mail.campaign))
        .await
        .text();
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("id,type,name,occurred_at,"), "{text}");
    let text = export(&app, "").await.text();
    assert!(
        text.contains(",'=1+1,") && text.contains("\"u, \"\"1\"\"\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_holds_its_period_and_workspace_only() {
    let app = App::start().await;
    let old = app.clock.now() - Duration::days(40);
    sent(&app, json!({ "type": "view", "occurred_at": old })).await;
    app.clock.advance(Duration::seconds(1));
    assert_eq!(lines(&export(&app, "?format=ndjson").await).len(), 0);
    let from = (old - Duration::days(1)).format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(
        lines(&export(&app, &format!("?format=ndjson&from={from}")).await).len(),
        1
    );
    let theirs = app.as_role_in(WorkspaceId::new(), Role::Owner);
    let path = format!("/api/v1/analytics/export?format=ndjson&from={from}");
    assert_eq!(
        lines(&theirs.get(path).send().await.assert_status(200)).len(),
        0
    );
    for query in ["?format=xml", "?from=yesterday", "?color=red"] {
        export(&app, query).await.assert_error(422, "invalid_input");
    }
    let customer = app.as_role(Role::Customer);
    customer
        .get("/api/v1/analytics/export")
        .send()
        .await
        .assert_error(403, "scope_missing");
}

/// Asks for a file and leaves it unread but for its beginning.
async fn begun(app: &App, format: &str) -> reqwest::Response {
    let url = format!("{}/api/v1/analytics/export?format={format}", app.url());
    let now = app.clock.now().timestamp();
    let token = testkit::Issuer::shared().user(app.workspace, Role::Analyst, now);
    let client = reqwest::Client::new();
    let answer = client.get(url).bearer_auth(token).send().await;
    let mut answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer
        .chunk()
        .await
        .expect("it goes on")
        .expect("something");
    answer
}

#[tokio::test]
async fn no_more_of_a_file_is_read_than_somebody_takes() {
    let app = App::start().await;
    // 40 MB, which no socket's buffers hold.
    let rows = 20_000;
    diesel::RunQueryDsl::execute(
        diesel::sql_query(format!(
            "INSERT INTO events (workspace_id, id, type, occurred_at, received_at, name, verdict, reasons, rules_version)
             SELECT '{}', gen_random_uuid(), 'track', '{now}', '{now}', repeat('x', 2000), 'human', '{{}}', 2
             FROM generate_series(1, {rows})",
            app.workspace,
            now = app.clock.now(),
        )),
        &mut app.connect(),
    )
    .expect("rows are written");
    app.clock.advance(Duration::seconds(1));
    let mut answers = [begun(&app, "csv").await, begun(&app, "ndjson").await];
    // Whoever would read ahead has had the time for all of it after this.
    for format in ["csv", "ndjson"] {
        assert!(export(&app, &format!("?format={format}")).await.body.len() > 40_000_000);
    }
    // Nor does it hold up anybody: it has no transaction open.
    diesel::RunQueryDsl::execute(diesel::sql_query("TRUNCATE events"), &mut app.connect())
        .expect("nobody holds the table");
    for answer in &mut answers {
        let mut taken = 0;
        while let Some(chunk) = answer.chunk().await.expect("it goes on") {
            taken += chunk.len();
        }
        assert!(taken < 25_000_000, "{taken} bytes were read ahead");
    }
}
