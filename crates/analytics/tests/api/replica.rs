//! Reports from a streaming replica.

use std::sync::Arc;
use std::time::Duration as Elapsed;

use analytics::Analytics;
use chrono::Duration;
use common::auth::Role;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use serde_json::Value;
use testkit::{Database, Servers, Setup, eventually};

use crate::support::{App, events, sent};

const STALENESS: &str = "x-clarion-staleness-ms";

/// How many events an overview counts, and how old it says that it is at most.
async fn overview(app: &App) -> (i64, Option<u64>) {
    let analyst = app.as_role(Role::Analyst);
    let answer = analyst.get("/api/v1/analytics/overview").send().await;
    let answer = answer.assert_status(200);
    let age = answer.header(STALENESS);
    let age = age.map(|age| age.parse().expect("milliseconds"));
    let body: Value = answer.json();
    (body["events"].as_i64().expect("a number"), age)
}

/// What `/health` says of the replica.
async fn health(app: &App) -> Value {
    let health: Value = app.anonymous().get("/health").send().await.json();
    health["parts"]["replica"].clone()
}

async fn detail(app: &App) -> String {
    let health = health(app).await;
    health["detail"].as_str().unwrap_or_default().to_owned()
}

/// A service that reads from `url` what may be so old.
async fn reading(servers: &Servers, database: &Arc<Database>, url: &str, most_ms: u64) -> App {
    Setup::on(servers)
        .on_database(Arc::clone(database))
        .with("DATABASE_REPLICA_URL", url)
        .with("DATABASE_REPLICA_MAX_STALENESS_MS", most_ms.to_string())
        .start()
        .await
}

#[tokio::test]
async fn reports_come_from_a_replica_while_it_keeps_up_and_from_the_database_otherwise() {
    let servers = Servers::private();
    let database = Arc::new(Database::new::<Analytics>(&servers));
    let mut replica = servers.replica();
    let url = database.url_on(&replica).expose().to_owned();
    let patient = reading(&servers, &database, &url, 3_600_000).await;
    let mut strict = reading(&servers, &database, &url, 1_000).await;
    strict.workspace = patient.workspace;
    sent(&patient, events(3, "view")).await;
    patient.clock.advance(Duration::seconds(1));
    strict.clock.advance(Duration::seconds(1));
    for app in [&patient, &strict] {
        let replicated = async || matches!(overview(app).await, (3, Some(_)));
        eventually("the replica answers with what was sent", replicated).await;
    }
    let exported = patient
        .as_role(Role::Analyst)
        .get("/api/v1/analytics/export?format=ndjson")
        .send()
        .await;
    assert!(exported.header(STALENESS).is_some());
    assert_eq!(exported.text().lines().count(), 3);
    assert_eq!(health(&patient).await["ok"], true);

    // It stands still: what may be old is answered as it was, and says so.
    let mut on_replica = PgConnection::establish(&replica.url()).expect("a replica answers");
    on_replica
        .batch_execute("SELECT pg_wal_replay_pause()")
        .expect("a superuser may");
    let paused = async || {
        let state = sql_query("SELECT pg_get_wal_replay_pause_state() AS state");
        let mut conn = PgConnection::establish(&replica.url()).expect("a replica answers");
        let state: State = state.get_result(&mut conn).expect("a state");
        state.state == "paused"
    };
    eventually("replay is paused", paused).await;
    sent(&patient, events(2, "view")).await;
    patient.clock.advance(Duration::seconds(1));
    strict.clock.advance(Duration::seconds(1));
    let older = async || {
        let (count, age) = overview(&patient).await;
        assert_eq!(count, 3, "the replica stands still");
        age.expect("the replica answers") >= 1_500
    };
    eventually("the answer says how old it is", older).await;
    let fresh = async || overview(&strict).await == (5, None);
    eventually("what may not be old is asked of the database", fresh).await;
    let behind = async || detail(&strict).await == "is more than 1000 ms behind";
    eventually("its health says why", behind).await;

    on_replica
        .batch_execute("SELECT pg_wal_replay_resume()")
        .expect("a superuser may");
    for app in [&patient, &strict] {
        let caught_up = async || matches!(overview(app).await, (5, Some(_)));
        eventually("the replica has caught up", caught_up).await;
    }

    // It goes away in the middle: nobody notices.
    replica.stop_immediate();
    for _ in 0..5 {
        assert_eq!(overview(&strict).await.0, 5);
    }
    for app in [&patient, &strict] {
        let primary = async || overview(app).await == (5, None);
        eventually("the database answers instead", primary).await;
    }
    replica.start_again().expect("the replica starts again");
    let back = async || matches!(overview(&strict).await, (5, Some(_)));
    eventually("the replica answers again", back).await;
    let metrics = strict.anonymous().get("/metrics").send().await.text();
    for by in ["replica", "primary"] {
        let line = format!("clarion_reads_total{{by=\"{by}\",service=\"analytics\"}}");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Text)]
    state: String,
}

#[tokio::test]
async fn what_is_no_replica_of_this_database_is_not_asked() {
    let (servers, others) = (Servers::private(), Servers::private());
    let database = Arc::new(Database::new::<Analytics>(&servers));
    let itself = reading(&servers, &database, database.url.expose(), 60_000).await;
    let no_replica = async || detail(&itself).await.contains("no replica");
    eventually("the database itself is no replica", no_replica).await;
    let elsewhere = Arc::new(Database::new::<Analytics>(&others));
    let foreign = others.replica();
    let url = elsewhere.url_on(&foreign);
    let strange = reading(&servers, &database, url.expose(), 60_000).await;
    let another = async || detail(&strange).await == "is a replica of another database";
    eventually("it is seen whose replica it is", another).await;
    let away = reading(&servers, &database, "postgres://a:b@127.0.0.1:1/c", 60_000).await;
    let absent = async || health(&away).await["ok"] == false;
    eventually("it is seen that nobody is there", absent).await;
    for app in [&itself, &strange, &away] {
        sent(app, events(1, "view")).await;
        app.clock.advance(Duration::seconds(1));
        let started = std::time::Instant::now();
        assert_eq!(overview(app).await, (1, None));
        assert!(started.elapsed() < Elapsed::from_secs(20), "nobody waits");
    }
}
