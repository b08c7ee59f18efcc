//! Hits of the past, judged by the rules of today.

use analytics::jobs::roll_up;
use analytics::rescore::{Rescored, rescore};
use chrono::{Duration, NaiveDate};
use common::CampaignId;
use common::auth::Role;
use diesel::prelude::*;
use diesel::sql_query;
use serde_json::{Value, json};

use crate::support::{App, BROWSER, Mail, browse, count, sent, verdicts, visit, write_key};

fn run(app: &App) -> Rescored {
    let (from, to) = (NaiveDate::MIN, NaiveDate::MAX);
    rescore(&mut app.connect(), from, to, |_, _| {}).expect("hits are judged")
}

fn execute(app: &App, sql: &str) {
    sql_query(sql).execute(&mut app.connect()).expect(sql);
}

async fn views(app: &App) -> (Value, Value) {
    let analyst = app.as_role(Role::Analyst);
    let overview: Value = analyst
        .get("/api/v1/analytics/overview")
        .send()
        .await
        .json();
    (overview["clicks"].clone(), overview["machine"].clone())
}

#[tokio::test]
async fn what_was_judged_right_stays_as_it_is() {
    let app = App::start().await;
    let (one, two) = (
        Mail::of(&app, CampaignId::new()),
        Mail::of(&app, CampaignId::new()),
    );
    for link in 0..3 {
        browse(&app, &one.link(&app, link)).await;
    }
    browse(&app, &two.link(&app, 0)).await;
    visit(&app, &two.pixel(&app), "Mozilla/5.0").await;
    visit(&app, &two.link(&app, 0), "").await;
    let head = app
        .anonymous()
        .head(two.pixel(&app))
        .header("user-agent", BROWSER);
    head.send().await;
    sent(&app, json!({ "type": "click" })).await;
    let (_, key) = write_key(&app, json!({ "name": "Shop" })).await;
    let page = json!({ "writeKey": key, "anonymousId": "a", "properties": { "head": true }, "context": { "userAgent": BROWSER } });
    app.anonymous()
        .post("/v1/p")
        .json(&page)
        .send()
        .await
        .assert_status(200);
    let before = verdicts(&app);
    assert_eq!(before.len(), 9);
    assert_eq!(
        run(&app),
        Rescored {
            looked_at: 8,
            changed: 0
        }
    );
    assert_eq!(verdicts(&app), before);
}

#[tokio::test]
async fn what_was_judged_wrong_is_judged_anew_and_counted_anew() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    for link in 0..2 {
        browse(&app, &mail.link(&app, link)).await;
    }
    visit(
        &app,
        &Mail::of(&app, CampaignId::new()).link(&app, 0),
        "curl/8.5.0",
    )
    .await;
    browse(&app, &Mail::of(&app, CampaignId::new()).link(&app, 0)).await;
    // As rules of the past, which knew neither programs nor bursts and took browsers for bots.
    execute(
        &app,
        "UPDATE events SET rules_version = 0, reasons = '{}', verdict = 'human' WHERE verdict <> 'human'",
    );
    execute(
        &app,
        "UPDATE events SET rules_version = 0, reasons = '{old}', verdict = 'bot' WHERE id = (SELECT max(id::text)::uuid FROM events)",
    );
    roll_up::all(&mut app.connect(), app.clock.now()).expect("it counts");
    app.clock.advance(Duration::seconds(1));
    assert_eq!(views(&app).await, (json!(3), json!(1)));
    assert_eq!(
        run(&app),
        Rescored {
            looked_at: 4,
            changed: 4
        }
    );
    assert_eq!(views(&app).await, (json!(1), json!(3)));
    assert_eq!(
        count(
            &app,
            "events WHERE reasons = '{link_burst}' AND verdict = 'scanner'"
        ),
        2
    );
    assert_eq!(
        count(
            &app,
            "events WHERE reasons = '{http_library}' AND verdict = 'bot'"
        ),
        1
    );
    assert_eq!(count(&app, "events WHERE rules_version = 0"), 0);
    roll_up::all(&mut app.connect(), app.clock.now()).expect("it counts");
    assert_eq!(views(&app).await, (json!(1), json!(3)));
    assert_eq!(
        run(&app),
        Rescored {
            looked_at: 4,
            changed: 0
        }
    );
}

#[tokio::test]
async fn many_hits_are_judged_in_parts() {
    let app = App::start().await;
    execute(
        &app,
        &format!(
            "INSERT INTO events (workspace_id, id, type, occurred_at, received_at, user_agent, verdict, reasons, rules_version)
             SELECT '{}', gen_random_uuid(), 'view', now(), date_trunc('day', now()) + n * interval '1 millisecond',
                 'Googlebot/2.1', 'human', '{{}}', 0
             FROM generate_series(1, 4500) AS n",
            app.workspace
        ),
    );
    assert_eq!(
        run(&app),
        Rescored {
            looked_at: 4500,
            changed: 4500
        }
    );
    assert_eq!(
        count(
            &app,
            "events WHERE verdict = 'bot' AND reasons = '{crawler}' AND rules_version = 2"
        ),
        4500
    );
}
