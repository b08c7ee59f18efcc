//! How a service ends, and what it shows of itself meanwhile.

use std::future::pending;
use std::time::{Duration, Instant};

use common::LeadId;
use common::auth::Role;
use diesel::connection::SimpleConnection;
use testkit::{Client, Servers, Setup, TestService, eventually};
use tokio_util::sync::CancellationToken;

use crate::probe::{GATE, Probe, clock, database, starting};

#[actix_web::test]
async fn a_request_in_hand_ends_and_no_new_one_is_taken() {
    let mut app = TestService::<Probe>::start().await;
    let mut gate = app.connect();
    gate.batch_execute(&format!("SELECT pg_advisory_lock({GATE})"))
        .unwrap();
    let held = tokio::spawn(app.anonymous().get("/held").send());
    eventually("the request is in hand", || async {
        waits_for_the_gate(&app)
    })
    .await;

    let address = app.address;
    let stopping = std::thread::spawn(move || {
        app.stop();
        app
    });
    let stranger = || Client::new(format!("http://{address}"), None);
    eventually("new connections are refused", || async {
        stranger().get("/health/live").try_send().await.is_err()
    })
    .await;
    assert!(!held.is_finished());

    gate.batch_execute(&format!("SELECT pg_advisory_unlock({GATE})"))
        .unwrap();
    let answer = held.await.expect("no panic").assert_status(200);
    assert_eq!(answer.text(), "let go");
    stopping.join().expect("it stopped");
}

pub(crate) fn waits_for_the_gate(app: &TestService<Probe>) -> bool {
    use diesel::prelude::*;
    let sql = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    diesel::sql_query(sql)
        .execute(&mut app.connect())
        .expect("the locks can be seen")
        > 0
}

#[actix_web::test]
async fn readiness_fails_before_the_door_closes() {
    let app = Setup::default()
        .with("STOP_NOTICE_SECONDS", "3600")
        .start::<Probe>()
        .await;
    let ready = || app.anonymous().get("/health/ready").send();
    ready().await.assert_status(200);
    app.begin_to_stop();
    eventually("readiness fails", || async { ready().await.status == 503 }).await;
    // Who has not heard of it yet is served.
    app.anonymous()
        .get("/health/live")
        .send()
        .await
        .assert_status(200);
    let path = format!("/api/v1/notes/{}", LeadId::new());
    app.as_role(Role::Owner)
        .get(path)
        .send()
        .await
        .assert_status(200);
    // Nobody waits for the rest of the hour.
    std::mem::forget(app);
}

#[actix_web::test]
async fn a_task_that_ends_by_itself_ends_the_service() {
    let database = database();
    let mut starting = starting(&database, &clock(), None).await;
    starting.spawn("brief", async {});
    let stop = CancellationToken::new();
    let openapi = utoipa::openapi::OpenApi::default();
    let ended = starting.run(stop, openapi, |_: &mut _| {}).await;
    let error = ended.expect_err("a failure").to_string();
    assert!(error.contains("brief"), "{error}");
}

#[actix_web::test]
async fn a_task_that_does_not_end_is_cut_at_the_deadline() {
    let database = database();
    let mut starting = starting(&database, &clock(), None).await;
    starting.spawn("stubborn", pending());
    let stop = CancellationToken::new();
    stop.cancel();
    let started = Instant::now();
    let openapi = utoipa::openapi::OpenApi::default();
    starting
        .run(stop, openapi, |_: &mut _| {})
        .await
        .expect("a clean end");
    let took = started.elapsed();
    // The deadline of these hosts is five seconds, for the listener and the tasks together.
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(9),
        "{took:?}"
    );
}

#[actix_web::test]
async fn a_taken_port_is_named() {
    let taken = TestService::<Probe>::start().await;
    let mut base = crate::probe::base(&taken.database, &clock(), None);
    base.listen = chassis::settings::Listen::Address(taken.address);
    let bound = <Probe as chassis::Service>::bind(base).await;
    let error = bound.expect_err("the port is taken").to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {}", taken.address)),
        "{error}"
    );
}

#[actix_web::test]
async fn metrics_count_requests_by_route_and_not_by_what_strangers_write() {
    let app = TestService::<Probe>::start().await;
    let owner = app.as_role(Role::Owner);
    for _ in 0..3 {
        let path = format!("/api/v1/notes/{}", LeadId::new());
        owner.get(path).send().await.assert_status(200);
    }
    for number in 0..5 {
        let method = format!("X{number}").parse().expect("a method");
        owner
            .request(method, format!("/nowhere/{number}"))
            .send()
            .await
            .assert_status(404);
    }
    let answer = app
        .anonymous()
        .get("/metrics")
        .send()
        .await
        .assert_status(200);
    assert!(
        answer
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/plain"))
    );
    let text = answer.text();
    let count = "clarion_http_request_duration_seconds_count{method=\"GET\",\
                 route=\"/api/v1/notes/{id}\",status=\"200\",service=\"commerce\"} 3";
    assert!(text.contains(count), "{text}");
    assert!(
        text.contains("method=\"other\",route=\"unmatched\"") && !text.contains("X0"),
        "{text}"
    );
    assert!(
        text.contains("clarion_db_connections{state=\"open\",service=\"commerce\"}"),
        "{text}"
    );
}

#[actix_web::test]
async fn health_names_the_parts_and_goes_down_with_postgres() {
    let mut servers = Servers::private();
    let app = Setup::on(&servers).start::<Probe>().await;
    let look = |path: &'static str| app.anonymous().get(path).send();
    let health: chassis::health::Health = look("/health").await.assert_status(200).json();
    assert_eq!(
        (health.status.as_str(), health.service.as_str()),
        ("ok", "commerce")
    );
    assert!(health.parts["postgres"].required && health.parts["redis"].ok);

    servers.postgres.stop_immediate();
    let started = Instant::now();
    let health: chassis::health::Health = look("/health/ready").await.assert_status(503).json();
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(health.status, "down");
    look("/health/live").await.assert_status(200);
    let note = serde_json::json!({ "text": "hello" });
    let posted = app
        .as_role(Role::Owner)
        .post("/api/v1/notes")
        .json(&note)
        .send()
        .await;
    assert!(posted.header("retry-after").is_some());
    posted.assert_error(503, "unavailable");

    servers
        .postgres
        .start_again()
        .expect("Postgres starts again");
    eventually("it recovers", || async {
        look("/health/ready").await.status == 200
    })
    .await;
}
