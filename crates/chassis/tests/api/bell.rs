use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::{Clock, Host};
use common::WorkspaceId;
use common::auth::{Role, Service};
use testkit::{Servers, Setup, eventually};
use tokio_util::sync::CancellationToken;

use crate::probe::{Error, Probe, database, starting, tell};

/// A host whose bell runs on the given Redis until `stop`.
async fn with_bell(
    database: &testkit::Database,
    redis: &str,
    stop: &CancellationToken,
) -> (Host, tokio::task::JoinHandle<anyhow::Result<()>>) {
    let starting = starting(database, &Clock::System, Some(redis.to_owned())).await;
    let host = starting.host.clone();
    let openapi = utoipa::openapi::OpenApi::default();
    let running = starting.run(stop.clone(), openapi, |_: &mut _| {});
    let local = tokio::task::spawn_local(running);
    (host, local)
}

/// Whether an event that `host` commits wakes one who waits for an hour.
async fn wakes(host: &Host, waiting: &Host) {
    let (bell, woken) = (waiting.bell.clone(), Arc::new(AtomicBool::new(false)));
    let heard = Arc::clone(&woken);
    let waiter = tokio::spawn(async move {
        bell.wait(Service::Commerce, Duration::from_secs(3600))
            .await;
        heard.store(true, Ordering::SeqCst);
    });
    // Whoever rings before the other listens is not heard; consumers poll for that.
    eventually("the bell is heard", || async {
        let told = host
            .db
            .transaction(|conn| tell(conn, WorkspaceId::new(), "x").map_err(Error::from));
        told.await.expect("committed");
        woken.load(Ordering::SeqCst)
    })
    .await;
    waiter.await.expect("it was woken");
}

#[actix_web::test]
async fn a_commit_wakes_who_waits_in_another_process() {
    let (database, stop) = (database(), CancellationToken::new());
    let redis = Servers::shared().redis.url();
    let (one, first) = with_bell(&database, &redis, &stop).await;
    let (two, second) = with_bell(&database, &redis, &stop).await;
    wakes(&one, &two).await;
    stop.cancel();
    for running in [first, second] {
        running.await.expect("no panic").expect("a clean end");
    }
}

#[actix_web::test]
async fn the_bell_rings_again_after_redis_was_away() {
    let mut servers = Servers::private();
    let (database, stop) = (database(), CancellationToken::new());
    let redis = servers.redis.url();
    let (one, first) = with_bell(&database, &redis, &stop).await;
    let (two, second) = with_bell(&database, &redis, &stop).await;
    wakes(&one, &two).await;
    servers.redis.stop_immediate();
    // Nobody is held up by that.
    let told = one
        .db
        .transaction(|conn| tell(conn, WorkspaceId::new(), "x").map_err(Error::from));
    told.await.expect("committed");
    servers.redis.start_again().expect("Redis starts again");
    wakes(&one, &two).await;
    stop.cancel();
    for running in [first, second] {
        running.await.expect("no panic").expect("a clean end");
    }
}

#[actix_web::test]
async fn without_redis_a_service_is_degraded_and_works() {
    let app = Setup::default()
        .with("REDIS_URL", "redis://127.0.0.1:1")
        .start::<Probe>()
        .await;
    let health: chassis::health::Health = app
        .anonymous()
        .get("/health/ready")
        .send()
        .await
        .assert_status(200)
        .json();
    assert_eq!(health.status, "degraded");
    assert!(!health.parts["redis"].ok && !health.parts["redis"].required);
    let note = serde_json::json!({ "text": "hello" });
    let posted = app.as_role(Role::Owner).post("/api/v1/notes").json(&note);
    posted.send().await.assert_status(201);
}
