//! Funnels, retention, attribution, sessions and goals, told as stories. That they are right in
//! general is for `brute` to say.

use analytics::jobs::roll_up;
use analytics::store::rollups;
use chrono::{DateTime, Duration, Utc};
use common::auth::Role;
use common::{CampaignId, LeadId, WorkspaceId};
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};
use testkit::Response;

use crate::support::{App, Mail, browse, sent};

async fn report(app: &App, path: &str) -> Response {
    let analyst = app.as_role(Role::Analyst);
    analyst
        .get(format!("/api/v1/analytics/{path}"))
        .send()
        .await
}

async fn answered(app: &App, path: &str) -> Value {
    report(app, path).await.assert_status(200).json()
}

/// What somebody did so many minutes ago.
fn did(app: &App, who: &str, kind: &str, minutes_ago: i64) -> Value {
    json!({ "type": kind, "anonymous_id": who, "occurred_at": ago(app, minutes_ago) })
}

fn ago(app: &App, minutes: i64) -> DateTime<Utc> {
    app.clock.now() - Duration::minutes(minutes)
}

#[tokio::test]
async fn a_funnel_counts_who_took_the_steps_in_order_and_in_time() {
    let app = App::start().await;
    let day = 1440;
    let mut events = vec![
        did(&app, "all", "view", 100),
        did(&app, "all", "click", 90),
        did(&app, "all", "goal", 80),
        did(&app, "backwards", "view", 50),
        did(&app, "backwards", "click", 60),
        did(&app, "slow", "view", 9 * day),
        did(&app, "slow", "click", day),
        did(&app, "again", "view", 9 * day),
        did(&app, "again", "view", 2 * day),
        did(&app, "again", "click", day),
    ];
    let mut named = did(&app, "all", "track", 70);
    named["name"] = json!("Signed Up");
    events.push(named);
    sent(&app, json!({ "events": events })).await;
    let funnel = answered(&app, "funnel?steps=view,click,goal").await;
    assert_eq!(
        funnel["steps"],
        json!([
            { "type": "view", "people": 4, "rate": 1.0 },
            { "type": "click", "people": 2, "rate": 0.5 },
            { "type": "goal", "people": 1, "rate": 0.25 },
        ])
    );
    let wide = answered(&app, "funnel?steps=view,click&window_days=30").await;
    assert_eq!(wide["steps"][1]["people"], 3);
    let named = answered(&app, "funnel?steps=view,track:Signed%20Up").await;
    assert_eq!(
        named["steps"][1],
        json!({ "type": "track", "name": "Signed Up", "people": 1, "rate": 0.25 })
    );
    let other = answered(&app, "funnel?steps=view,track:Signed%20Out").await;
    assert_eq!(other["steps"][1]["people"], 0);
}

#[tokio::test]
async fn a_busy_hour_is_packed_in_pieces() {
    let app = App::start().await;
    let (people, hour) = (60_000, rollups::hour(ago(&app, 120)));
    // Everybody looks, and half of them buy a minute later.
    let events = format!(
        "INSERT INTO events (workspace_id, id, type, occurred_at, received_at, visitor, verdict, reasons, rules_version)
         SELECT '{}', gen_random_uuid(), CASE step WHEN 1 THEN 'view' ELSE 'goal' END,
             at + step * interval '1 minute', at, person, 'human', '{{}}', 2
         FROM generate_series(1, {people}) AS person, generate_series(1, 1 + person % 2) AS step,
             LATERAL (SELECT '{hour}'::timestamptz + person * interval '50 ms' AS at) AS of_person",
        app.workspace
    );
    let mut conn = app.connect();
    conn.batch_execute(&events).expect("they are written");
    rollups::touch(&mut conn, [(app.workspace, hour)].into_iter()).expect("it is marked");
    roll_up::all(&mut conn, app.clock.now()).expect("it counts");
    let pieces: i64 = diesel::dsl::sql::<BigInt>("SELECT count(DISTINCT piece) FROM rollup_steps")
        .get_result(&mut conn)
        .expect("a number");
    assert_eq!(pieces, 2);
    let funnel = answered(&app, "funnel?steps=view,goal").await;
    assert_eq!(funnel["steps"][0]["people"], people);
    assert_eq!(funnel["steps"][1]["people"], people / 2);
}

#[tokio::test]
async fn cohorts_show_who_came_back() {
    let app = App::start().await;
    let at = |day: u32| format!("2026-03-{day:02}T12:00:00Z");
    let view = |who: &str, day: u32| json!({ "type": "view", "anonymous_id": who, "occurred_at": at(day) });
    let events = [
        view("a", 1),
        view("b", 1),
        view("a", 2),
        view("a", 3),
        view("c", 2),
        view("c", 2),
    ];
    sent(&app, json!({ "events": events })).await;
    let answer = answered(
        &app,
        "retention?from=2026-03-01T00:00:00Z&to=2026-03-04T00:00:00Z",
    )
    .await;
    assert_eq!(
        answer["cohorts"],
        json!([
            { "at": "2026-03-01T00:00:00Z", "people": 2, "returned": [1, 1] },
            { "at": "2026-03-02T00:00:00Z", "people": 1, "returned": [0] },
            { "at": "2026-03-03T00:00:00Z", "people": 0, "returned": [] },
        ])
    );
}

#[tokio::test]
async fn an_order_is_owed_to_the_campaigns_that_led_to_it_less_what_was_refunded() {
    let app = App::start().await;
    let lead = LeadId::new();
    let campaigns = [CampaignId::new(), CampaignId::new()];
    for campaign in campaigns {
        let mail = Mail {
            lead,
            ..Mail::of(&app, campaign)
        };
        browse(&app, &mail.link(&app, 0)).await.assert_status(302);
        app.clock.advance(Duration::hours(1));
    }
    let order = |kind: &str, amount: i64| {
        json!({
            "type": kind, "lead_id": lead,
            "properties": { "amount": amount, "currency": "EUR", "order_id": "o1" },
        })
    };
    sent(&app, order("order", 1001)).await;
    app.clock.advance(Duration::hours(1));
    sent(&app, order("refund", 500)).await;
    sent(
        &app,
        json!({ "type": "goal", "name": "stranger", "anonymous_id": "x" }),
    )
    .await;
    app.clock.advance(Duration::seconds(1));
    let earned = |answer: &Value, campaign: CampaignId| {
        let mut found = answer["campaigns"].as_array().into_iter().flatten();
        let found = found.find(|credit| credit["campaign_id"] == json!(campaign));
        found.map(|credit| {
            (
                credit["conversions"].as_f64(),
                credit["revenue"][0]["amount"].as_i64(),
            )
        })
    };
    let last = answered(&app, "attribution").await;
    assert_eq!(last["model"], "last");
    assert_eq!(earned(&last, campaigns[0]), None);
    assert_eq!(earned(&last, campaigns[1]), Some((Some(1.0), Some(501))));
    assert_eq!(
        last["unattributed"],
        json!({ "conversions": 1.0, "revenue": [] })
    );
    let linear = answered(&app, "attribution?model=linear").await;
    assert_eq!(earned(&linear, campaigns[0]), Some((Some(0.5), Some(251))));
    assert_eq!(earned(&linear, campaigns[1]), Some((Some(0.5), Some(250))));
    let only = answered(
        &app,
        &format!("attribution?model=linear&campaign_id={}", campaigns[0]),
    )
    .await;
    assert_eq!(only["campaigns"].as_array().map(Vec::len), Some(1));
    let overview = answered(&app, "overview").await;
    assert_eq!(
        overview["revenue"],
        json!([{ "amount": 501, "currency": "EUR" }])
    );
    assert_eq!(overview["conversions"], 2);
}

#[tokio::test]
async fn whoever_is_quiet_for_long_comes_anew() {
    let app = App::start().await;
    let events = [
        did(&app, "a", "view", 200),
        did(&app, "a", "view", 190),
        did(&app, "a", "goal", 170),
        did(&app, "a", "view", 100),
        did(&app, "b", "view", 100),
        did(&app, "b", "open", 90),
    ];
    sent(&app, json!({ "events": events })).await;
    let found = answered(&app, "sessions").await;
    assert_eq!(
        (&found["sessions"], &found["bounced"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(found["seconds_per_session"], json!(600.0));
    assert_eq!(
        found["views_per_session"]
            .as_f64()
            .map(|views| (views * 3.0).round()),
        Some(4.0)
    );
    assert_eq!(
        answered(&app, "sessions?gap_minutes=90").await["sessions"],
        2
    );
}

#[tokio::test]
async fn goals_are_counted_by_name() {
    let app = App::start().await;
    let goal = |who: &str, name: &str| json!({ "type": "goal", "name": name, "anonymous_id": who });
    let events = [
        goal("a", "signup"),
        goal("a", "signup"),
        goal("b", "signup"),
        goal("b", "call"),
    ];
    sent(&app, json!({ "events": events })).await;
    app.clock.advance(Duration::seconds(1));
    let expected = json!([
        { "name": "signup", "reached": 3, "people": 2 },
        { "name": "call", "reached": 1, "people": 1 },
    ]);
    assert_eq!(answered(&app, "goals").await["items"], expected);
    assert_eq!(
        answered(&app, "goals?limit=1").await["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_day_is_the_zones_day() {
    let app = App::start().await;
    let view = |at: &str| json!({ "type": "view", "anonymous_id": "a", "occurred_at": at });
    // 2026-03-29 has 23 hours in Berlin.
    let events = [
        view("2026-03-28T22:59:00Z"),
        view("2026-03-28T23:00:00Z"),
        view("2026-03-29T21:59:00Z"),
        view("2026-03-29T22:00:00Z"),
    ];
    sent(&app, json!({ "events": events })).await;
    let path =
        "timeseries?from=2026-03-27T23:00:00Z&to=2026-03-30T22:00:00Z&timezone=Europe/Berlin";
    let series = answered(&app, path).await;
    let points: Vec<_> = series["points"]
        .as_array()
        .expect("points")
        .iter()
        .map(|point| {
            (
                point["at"].as_str().unwrap_or_default().to_owned(),
                point["views"].as_i64().unwrap_or(-1),
            )
        })
        .collect();
    let expected = [
        ("2026-03-27T23:00:00Z", 1),
        ("2026-03-28T23:00:00Z", 2),
        ("2026-03-29T22:00:00Z", 1),
    ];
    assert_eq!(points, expected.map(|(at, views)| (at.to_owned(), views)));
}

#[tokio::test]
async fn a_question_about_people_without_an_answer_is_refused() {
    let app = App::start().await;
    for (path, pointer) in [
        ("funnel", "query/steps"),
        ("funnel?steps=view", "query/steps"),
        ("funnel?steps=view,,goal", "query/steps"),
        ("funnel?steps=[1]", "query/steps"),
        ("funnel?steps=a,b,c,d,e,f,g,h,i,j,k", "query/steps"),
        ("funnel?steps=view,goal&window_days=0", "query/window_days"),
        (
            "funnel?steps=view,goal&from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "query/from",
        ),
        ("retention?interval=hour", "query/interval"),
        ("retention?start=view,goal", "query/start"),
        ("retention?back=", "query/back"),
        ("retention?timezone=Mars/Olympus", "query/timezone"),
        ("retention?from=2001-01-01T00:00:00Z", "query/interval"),
        ("timeseries?timezone=CET%2B1", "query/timezone"),
        ("attribution?window_days=366", "query/window_days"),
        ("attribution?half_life_days=0", "query/half_life_days"),
        ("attribution?model=best", "query"),
        ("sessions?gap_minutes=0", "query/gap_minutes"),
        ("goals?limit=501", "query/limit"),
        ("devices?limit=0", "query/limit"),
        ("channels?color=red", "query"),
    ] {
        let problem = report(&app, path).await.assert_error(422, "invalid_input");
        assert_eq!(problem.errors[0].pointer, pointer, "{path}");
    }
    let customer = app.as_role(Role::Customer);
    for path in [
        "funnel?steps=view,goal",
        "retention",
        "attribution",
        "sessions",
        "goals",
        "devices",
        "channels",
    ] {
        let path = format!("/api/v1/analytics/{path}");
        customer
            .get(path)
            .send()
            .await
            .assert_error(403, "scope_missing");
    }
}

#[tokio::test]
async fn another_workspaces_people_are_nobody_here() {
    let app = App::start().await;
    let events = [did(&app, "a", "view", 20), did(&app, "a", "goal", 10)];
    sent(&app, json!({ "events": events })).await;
    let theirs = app.as_role_in(WorkspaceId::new(), Role::Owner);
    for (path, pointer) in [
        ("funnel?steps=view,goal", "/steps/0/people"),
        ("sessions", "/sessions"),
        ("overview", "/events"),
        ("attribution", "/unattributed/conversions"),
    ] {
        let path = format!("/api/v1/analytics/{path}");
        let answer: Value = theirs.get(path).send().await.assert_status(200).json();
        assert_eq!(
            answer.pointer(pointer).and_then(Value::as_f64),
            Some(0.0),
            "{answer}"
        );
    }
    for path in ["goals", "devices", "channels"] {
        let answer: Value = theirs
            .get(format!("/api/v1/analytics/{path}"))
            .send()
            .await
            .json();
        assert_eq!(answer["items"], json!([]));
    }
}
