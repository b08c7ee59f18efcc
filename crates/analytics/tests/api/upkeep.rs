//! What the service does by itself.

use std::time::{Duration as Elapsed, Instant};

use analytics::jobs::maintain::{Past, drop_old, maintain, make_ahead};
use analytics::jobs::roll_up;
use analytics::store::rollups;
use chrono::Duration;
use common::EventId;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde_json::{Value, json};

use crate::support::{App, count, events, sent};

fn day(app: &App, ahead: i64) -> String {
    let day = app.clock.now() + Duration::days(ahead);
    format!("events_{}", day.format("%Y%m%d"))
}

#[tokio::test]
async fn partitions_exist_a_week_ahead() {
    let app = App::start().await;
    for ahead in -1..=7 {
        assert_eq!(count(&app, &day(&app, ahead)), 0);
    }
    sent(&app, events(3, "view")).await;
    app.clock.advance(Duration::days(7));
    sent(&app, events(2, "view")).await;
    assert_eq!(
        (count(&app, &day(&app, -7)), count(&app, &day(&app, 0))),
        (3, 2)
    );
}

#[tokio::test]
async fn an_event_without_a_partition_is_kept_and_moved_when_there_is_one() {
    let app = App::start().await;
    app.clock.advance(Duration::days(20));
    sent(&app, events(5, "view")).await;
    assert_eq!(count(&app, "events_default"), 5);
    let mut conn = app.connect();
    make_ahead(&mut conn, app.clock.now()).expect("partitions are made");
    assert_eq!(
        (count(&app, "events_default"), count(&app, &day(&app, 0))),
        (0, 5)
    );
    make_ahead(&mut conn, app.clock.now()).expect("nothing is left to do");
    assert_eq!(count(&app, "events"), 5);
}

#[tokio::test]
async fn days_past_their_retention_are_dropped() {
    let app = App::start().await;
    sent(&app, events(4, "view")).await;
    app.clock.advance(Duration::days(3));
    sent(&app, events(1, "view")).await;
    let mut conn = app.connect();
    assert_eq!(
        drop_old(&mut conn, app.clock.now(), 0, Past::Drop),
        Ok(0),
        "0 keeps all"
    );
    assert_eq!(
        drop_old(&mut conn, app.clock.now(), 3, Past::Drop),
        Ok(1),
        "the day before the first"
    );
    assert_eq!(count(&app, "events"), 5);
    assert_eq!(drop_old(&mut conn, app.clock.now(), 2, Past::Drop), Ok(1));
    assert_eq!(count(&app, "events"), 1);
}

#[tokio::test]
async fn days_past_their_retention_may_be_set_aside_instead() {
    let app = App::start().await;
    sent(&app, events(4, "view")).await;
    let name = day(&app, 0);
    app.clock.advance(Duration::days(3));
    sent(&app, events(1, "view")).await;
    let mut conn = app.connect();
    let now = app.clock.now();
    assert_eq!(drop_old(&mut conn, now, 2, Past::Detach), Ok(2));
    assert_eq!(count(&app, "events"), 1);
    assert_eq!(count(&app, &format!("past_{name}")), 4);
    assert_eq!(drop_old(&mut conn, now, 2, Past::Detach), Ok(0), "once");
    make_ahead(&mut conn, now).expect("partitions are made beside it");
    // Nobody drops what was set aside.
    assert_eq!(drop_old(&mut conn, now, 2, Past::Drop), Ok(0));
    assert_eq!(count(&app, &format!("past_{name}")), 4);
}

#[tokio::test]
async fn ids_and_batches_are_forgotten_after_their_time() {
    let app = App::start().await;
    let event = json!({ "id": EventId::new(), "type": "view" });
    assert_eq!(sent(&app, event.clone()).await, (1, 0, 0));
    let mut conn = app.connect();
    let mut upkeep = |days: i64| {
        app.clock.advance(Duration::days(days));
        maintain(&mut conn, app.clock.now(), 730, Past::Drop).expect("upkeep succeeds");
    };
    upkeep(0);
    assert_eq!(
        (count(&app, "event_ids"), count(&app, "ingest_batches")),
        (1, 1)
    );
    upkeep(6);
    assert_eq!(
        (count(&app, "event_ids"), count(&app, "ingest_batches")),
        (1, 0)
    );
    upkeep(2);
    assert_eq!(count(&app, "event_ids"), 0);
}

#[tokio::test]
async fn it_stops_at_once_when_nothing_is_in_hand() {
    let mut app = App::start().await;
    sent(&app, events(1, "view")).await;
    let started = Instant::now();
    app.stop();
    assert!(
        started.elapsed() < Elapsed::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn every_public_path_is_documented() {
    let app = App::start().await;
    let document: Value = app.anonymous().get("/openapi.json").send().await.json();
    for (path, method) in [
        ("/api/v1/analytics", "post"),
        ("/api/v1/analytics/overview", "get"),
        ("/api/v1/analytics/timeseries", "get"),
        ("/api/v1/analytics/links", "get"),
        ("/c/{token}", "get"),
        ("/o/{token}.gif", "get"),
        ("/visits/{page}", "post"),
        ("/api/v1/write-keys", "post"),
        ("/api/v1/write-keys", "get"),
        ("/api/v1/write-keys/{id}", "patch"),
        ("/api/v1/write-keys/{id}", "delete"),
        ("/v1/batch", "post"),
        ("/api/v1/analytics/funnel", "get"),
        ("/api/v1/analytics/retention", "get"),
        ("/api/v1/analytics/attribution", "get"),
        ("/api/v1/analytics/sessions", "get"),
        ("/api/v1/analytics/countries", "get"),
        ("/api/v1/analytics/goals", "get"),
        ("/api/v1/analytics/goals", "post"),
        ("/api/v1/analytics/goals/{id}", "patch"),
        ("/api/v1/analytics/devices", "get"),
        ("/api/v1/analytics/channels", "get"),
        ("/api/v1/analytics/export", "get"),
        ("/api/v1/analytics/shares", "post"),
        ("/api/v1/live", "get"),
        ("/s/{token}/{report}", "get"),
        ("/t.js", "get"),
        ("/v1/import", "post"),
        ("/v1/identify", "post"),
        ("/v1/projects/{write_key}/settings", "get"),
    ] {
        assert!(
            document["paths"][path][method].is_object(),
            "{method} {path} in {document}"
        );
    }
    // Whoever makes a client of it finds everything that it names.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().expect("a name");
        let schema = &document["components"]["schemas"][name];
        assert!(schema.is_object(), "{name} is named and not there");
    }
}

#[tokio::test]
async fn an_hour_is_counted_once_it_is_calm() {
    let app = App::start().await;
    let (now, hour) = (app.clock.now(), rollups::hour(app.clock.now()));
    let touch = |conn: &mut PgConnection| {
        rollups::touch(conn, [(app.workspace, hour)].into_iter()).expect("it is marked");
    };
    let marks = |conn: &mut PgConnection| -> i64 {
        diesel::dsl::sql::<BigInt>("SELECT count(*) FROM rollup_dirty")
            .get_result(conn)
            .expect("a number")
    };
    let round = |conn: &mut PgConnection| roll_up::round(conn, now).expect("a round");
    // One transaction, in which nobody else counts.
    app.connect()
        .test_transaction::<_, diesel::result::Error, _>(|conn| {
            touch(conn);
            touch(conn);
            assert_eq!((round(conn), marks(conn)), (0, 1), "events still come");
            touch(conn);
            assert_eq!((round(conn), marks(conn)), (0, 1), "one came since");
            assert_eq!((round(conn), marks(conn)), (1, 0), "it is calm");
            touch(conn);
            assert_eq!(
                (round(conn), marks(conn)),
                (1, 0),
                "the only mark is a new one"
            );
            Ok(())
        });
}
