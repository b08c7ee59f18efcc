//! Counters of landing pages.

use std::sync::Arc;

use analytics::Analytics;
use analytics::visits::Visits;
use chassis::Db;
use chassis::bell::Ringer;
use chassis::redis::Redis;
use common::WorkspaceId;
use common::values::Secret;
use deadpool_redis::redis;
use serde_json::Value;
use testkit::{Database, Servers, Setup, eventually};

use crate::support::{App, BROWSER, count};

async fn visit(app: &App, page: &str) -> i64 {
    let request = app.anonymous().post(format!("/visits/{page}"));
    let answer = request.header("user-agent", BROWSER).send().await;
    let answer: Value = answer.assert_status(200).json();
    answer["visits"].as_i64().expect("a number")
}

/// A service that does not flush by itself, and what flushes for it.
async fn stage(servers: &Servers, database: &Arc<Database>) -> (App, Visits) {
    let app: App = Setup::on(servers)
        .on_database(Arc::clone(database))
        .with("ANALYTICS_VISITS_FLUSH_SECONDS", "3600")
        .start()
        .await;
    let redis = Redis::new(&Secret::new(servers.redis.url()), None).expect("a URL of a Redis");
    let db = Db::new(&database.url, "analytics", 2, Ringer::default());
    let visits = Visits::of(Some(redis), db, app.clock.clone()).await;
    (app, visits.expect("the database says which it is"))
}

fn stored(app: &App, page: &str, visits: i64) -> bool {
    count(
        app,
        &format!("page_visits WHERE page = '{page}' AND visits = {visits}"),
    ) == 1
}

async fn in_redis(servers: &Servers, command: &str) {
    let redis = Redis::new(&Secret::new(servers.redis.url()), None).expect("a URL of a Redis");
    let mut connection = redis.get().await.expect("Redis answers");
    let done: Result<(), _> = redis::cmd(command).query_async(&mut connection).await;
    done.expect(command);
}

#[tokio::test]
async fn a_lost_redis_loses_what_came_since_the_last_flush() {
    let servers = Servers::private();
    let database = Arc::new(Database::new::<Analytics>(&servers));
    let (app, visits) = stage(&servers, &database).await;
    for expected in 1..=5 {
        assert_eq!(visit(&app, "spring").await, expected);
    }
    assert_eq!(count(&app, "page_visits"), 0, "Redis counts");
    assert_eq!(visits.flush().await.expect("a flush"), 1);
    assert!(stored(&app, "spring", 5));
    assert_eq!(visits.flush().await.expect("nothing is left"), 0);
    assert_eq!(visit(&app, "spring").await, 6);
    assert_eq!(visit(&app, "autumn").await, 1);
    in_redis(&servers, "FLUSHALL").await;
    assert_eq!(
        visit(&app, "spring").await,
        6,
        "as at the last flush, and this one"
    );
    assert_eq!(visit(&app, "autumn").await, 1);
    assert_eq!(visits.flush().await.expect("a flush"), 2);
    assert!(stored(&app, "spring", 6) && stored(&app, "autumn", 1));
}

#[tokio::test]
async fn without_redis_the_database_counts_and_nothing_is_forgotten() {
    let mut servers = Servers::private();
    let database = Arc::new(Database::new::<Analytics>(&servers));
    let (app, visits) = stage(&servers, &database).await;
    for expected in 1..=3 {
        assert_eq!(visit(&app, "spring").await, expected);
    }
    visits.flush().await.expect("a flush");
    servers.redis.stop_immediate();
    for expected in 4..=5 {
        assert_eq!(visit(&app, "spring").await, expected);
    }
    assert!(visits.flush().await.is_err(), "Redis is away");
    servers.redis.start_again().expect("Redis starts again");
    let reachable = async || visits.flush().await.is_ok();
    eventually("Redis answers again", reachable).await;
    visit(&app, "spring").await;
    eventually("it is counted", async || {
        visits.flush().await.expect("a flush");
        stored(&app, "spring", 6)
    })
    .await;
    assert_eq!(visit(&app, "spring").await, 7);
}

#[tokio::test]
async fn a_flush_that_was_cut_off_is_added_once() {
    let servers = Servers::shared();
    let database = Arc::new(Database::new::<Analytics>(servers));
    let (app, visits) = stage(servers, &database).await;
    for _ in 0..4 {
        visit(&app, "spring").await;
    }
    // It reaches the database, and Redis never hears of it.
    let mut conn = database.connect();
    let namespace = analytics::store::visits::namespace(&mut conn).expect("a name");
    let redis = Redis::new(&Secret::new(servers.redis.url()), None).expect("a URL of a Redis");
    let mut connection = redis.get().await.expect("Redis answers");
    let key = format!("clarion:{{visits:{namespace}}}:new");
    let mut get = redis::cmd("HGET");
    let id: String = get
        .arg(&key)
        .arg("#id")
        .query_async(&mut connection)
        .await
        .expect("an id");
    let nobody = WorkspaceId(uuid::Uuid::nil());
    let counted = [((nobody, "spring".to_owned()), 4)];
    let id = id.parse().expect("a UUID");
    let sums = analytics::store::visits::flush(&mut conn, id, &counted, app.clock.now());
    assert_eq!(sums.expect("it is added")[0].1, 4);
    assert_eq!(visits.flush().await.expect("a flush"), 1);
    assert!(stored(&app, "spring", 4), "once");
    assert_eq!(visit(&app, "spring").await, 5);
}

#[tokio::test]
async fn replicas_count_together_and_flush_when_they_stop() {
    let setup = || Setup::default().with("ANALYTICS_VISITS_FLUSH_SECONDS", "3600");
    let mut app: App = setup().start().await;
    let replica: App = setup().beside(&app).start().await;
    let page = format!("p{}", WorkspaceId::new());
    let hits = (0..20).map(|n| visit(if n % 2 == 0 { &app } else { &replica }, &page));
    let mut seen = futures::future::join_all(hits).await;
    seen.sort_unstable();
    assert_eq!(
        seen,
        (1..=20).collect::<Vec<_>>(),
        "each of them another number"
    );
    app.stop();
    drop(replica);
    assert!(stored(&app, &page, 20));
}
