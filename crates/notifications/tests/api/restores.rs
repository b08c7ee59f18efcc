//! Databases that were restored, copied or promoted, and the starts that only look like it.

use std::sync::Arc;

use chrono::Duration;
use common::auth::Role;
use deadpool_redis::redis;
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{Int8, Text};
use notifications::Notifications;
use notifications::operator::{self, ReleaseError, Word};
use serde_json::{Value, json};
use testkit::{Database, Servers, Setup, TestService, eventually};
use uuid::Uuid;

use crate::support::{Campaign, Post, World, person, setup};

const PEOPLE: [&str; 3] = ["a@example.com", "b@example.com", "c@example.com"];

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = Int8)]
    number: i64,
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: Uuid,
}

#[derive(diesel::QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    setting: String,
}

fn instance(database: &Database) -> Uuid {
    let row: Id = diesel::sql_query("SELECT id FROM instance")
        .get_result(&mut database.connect())
        .expect("the instance can be read");
    row.id
}

fn mark(database: &Database) -> i64 {
    let row: Vec<Number> = diesel::sql_query("SELECT mark AS number FROM instance")
        .load(&mut database.connect())
        .expect("the instance can be read");
    row.first().map_or(0, |row| row.number)
}

/// The database knows which one it is. The service answers before that, and a backup of then would
/// be at home anywhere.
async fn looked_at(database: &Database) {
    eventually("a first look", || async { mark(database) > 0 }).await;
}

/// Redis remembers a mark later than what the database holds now. Marks alone do not tell: each new
/// connection makes one too, and tells nobody.
async fn remembered(database: &Database) {
    looked_at(database).await;
    let now = mark(database);
    let key = format!("clarion:ledger:{}", instance(database));
    let client = redis::Client::open(Servers::shared().redis.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let connection = connection.expect("Redis answers");
    eventually("a later mark", || async {
        let mut get = redis::cmd("GET");
        let asked = get.arg(&key).query_async(&mut connection.clone()).await;
        let mark: Option<i64> = asked.expect("a mark, or none yet");
        mark.is_some_and(|mark| mark > now)
    })
    .await;
}

impl World {
    /// A campaign that is backed up with nobody mailed, and then sent to everybody.
    async fn backed_up_and_sent(&self) -> (Campaign<'_>, Vec<u8>) {
        let campaign = self.campaign().await;
        campaign.order("pause").await;
        campaign.hand_over(&PEOPLE.map(person)).await;
        campaign.order("complete").await;
        looked_at(&self.app.database).await;
        let dump = self.app.database.dump();
        campaign.order("resume").await;
        campaign.until("everybody is mailed", |s| s.settled).await;
        (campaign, dump)
    }

    /// Its service stopped and another one started as `setup` says, for the same workspace.
    async fn started_again(mut self, setup: Setup<'_>) -> Self {
        self.app.stop();
        let mut app = setup.start::<Notifications>().await;
        app.workspace = self.app.workspace;
        Self {
            app,
            post: self.post,
        }
    }

    async fn health(&self) -> Value {
        let answer = self.app.anonymous().get("/health").send().await;
        answer.assert_status(200).json()
    }

    /// Why its ledger is held.
    async fn held(&self) -> Option<String> {
        let health = self.health().await;
        let part = &health["parts"]["ledger"];
        // Before the first look nothing is said of it.
        assert_eq!(part["ok"] != false, health["status"] == "ok", "{health}");
        part["detail"].as_str().map(str::to_owned)
    }

    async fn is_held_because(&self, reason: &str) {
        eventually(reason, || async {
            self.held().await.is_some_and(|why| why.contains(reason))
        })
        .await;
    }

    fn release(&self, word: Word) -> i64 {
        let (mut conn, now) = (self.app.connect(), self.app.clock.now());
        operator::release(&mut conn, word, "ada", now).expect("it is held")
    }
}

#[actix_web::test]
async fn what_an_old_backup_has_pending_is_not_sent_again_without_the_operators_word() {
    let world = World::start().await;
    let (campaign, dump) = world.backed_up_and_sent().await;
    let id = campaign.id;
    assert_eq!(world.post.count(), 3);
    remembered(&world.app.database).await;
    let database = Arc::clone(&world.app.database);
    let mut world = world;
    world.app.stop();
    database.restore(&dump);
    let again = setup(&world.post).beside(&world.app);
    let world = world.started_again(again).await;
    let campaign = Campaign::known(&world, id);

    world.is_held_because("behind what was seen").await;
    campaign.order("resume").await;
    assert_eq!(campaign.settlement().await.pending, 3, "as the backup says");
    eventually("the campaign says why", || async {
        let events = world.app.events();
        events.iter().any(|kind| kind == "campaign.held")
    })
    .await;
    assert_eq!(campaign.limits().await, ["ledger_held"]);
    let ready = world.app.anonymous().get("/health/ready").send().await;
    ready.assert_status(200);
    let metrics = world.app.anonymous().get("/metrics").send().await;
    let metrics = metrics.assert_status(200).text();
    assert!(metrics.contains("clarion_ledger_held{service=\"notifications\"} 1"));

    // Others still hand over, and a receipt is taken in.
    world.app.clock.advance(Duration::seconds(1));
    campaign.hand_over(&[person("late@example.com")]).await;
    let receipt = json!({
        "to": "receipt@example.com", "subject": "Yours",
        "content": { "format": "text", "body": "Thanks" },
    });
    let client = world.app.as_role(Role::Owner);
    let posted = client.post("/api/v1/messages").json(&receipt).send().await;
    posted.assert_status(202);
    two_rounds(&world).await;
    assert_eq!(world.post.count(), 3, "nothing more arrived");

    assert_eq!(world.release(Word::AsAmbiguous), 4);
    world.post.mail_to("receipt@example.com").await;
    let settlement = campaign.settlement().await;
    assert_eq!((settlement.ambiguous, settlement.pending), (4, 0));
    assert!(settlement.settled);
    campaign.hand_over(&[person("later@example.com")]).await;
    assert_eq!(campaign.settlement().await.ambiguous, 5, "in doubt as well");
    eventually("it is held no more", || async {
        world.held().await.is_none()
    })
    .await;
    assert_eq!(world.post.count(), 4);

    let retry = json!({ "campaign_id": id, "outcome": "ambiguous" });
    let retried = client
        .post("/api/v1/messages/retry")
        .json(&retry)
        .send()
        .await;
    retried.assert_status(200);
    world.post.mail_to("later@example.com").await;
    campaign
        .until("all went by that word", |s| s.accepted == 5)
        .await;
}

/// The senders' loop has run twice more: who had something to send would have sent it.
async fn two_rounds(world: &World) {
    for _ in 0..2 {
        let before = last_beat(&world.app.database);
        eventually("a beat", || async {
            last_beat(&world.app.database) != before
        })
        .await;
    }
}

fn last_beat(database: &Database) -> String {
    let rows: Vec<Setting> =
        diesel::sql_query("SELECT coalesce(max(seen_at)::text, '') AS setting FROM replicas")
            .load(&mut database.connect())
            .expect("replicas can be read");
    rows[0].setting.clone()
}

#[actix_web::test]
async fn a_backup_in_another_database_or_cluster_is_held_and_sends_when_told_to() {
    let world = World::start().await;
    let (campaign, dump) = world.backed_up_and_sent().await;
    let id = campaign.id;
    let post = &world.post;
    let copy = Arc::new(Database::of_dump::<Notifications>(Servers::shared(), &dump));
    let elsewhere = Servers::private();
    let moved = Arc::new(Database::of_dump::<Notifications>(&elsewhere, &dump));
    let on_copy = setup(post).on_database(copy);
    let world = world.started_again(on_copy).await;
    world.is_held_because("this one is a copy").await;
    let on_moved = setup(&world.post).on_database(moved);
    let world = world.started_again(on_moved).await;
    world.is_held_because("another Postgres cluster").await;
    let campaign = Campaign::known(&world, id);
    campaign.order("resume").await;
    assert_eq!(world.post.count(), 3);

    assert_eq!(world.release(Word::Resend), 0);

    campaign.until("they are sent again", |s| s.settled).await;
    assert_eq!(world.post.count(), 6);
    let mut conn = world.app.connect();
    let holds = operator::holds(&mut conn).expect("they can be read");
    assert_eq!(holds[0].released_by.as_deref(), Some("ada"));
    assert_eq!(holds[0].released_how.as_deref(), Some("resend"));
    let again = operator::release(&mut conn, Word::Resend, "ada", world.app.clock.now());
    assert!(matches!(again, Err(ReleaseError::NotHeld)));
}

#[actix_web::test]
async fn restarts_replicas_and_a_lost_redis_hold_nothing() {
    let world = World::start().await;
    let start = || async {
        setup(&world.post)
            .beside(&world.app)
            .start::<Notifications>()
            .await
    };
    let (second, third) = tokio::join!(start(), start());
    remembered(&world.app.database).await;
    drop((second, third));
    let again = setup(&world.post).beside(&world.app);
    let world = world.started_again(again).await;
    let without = setup(&world.post)
        .beside(&world.app)
        .with("REDIS_URL", "redis://127.0.0.1:9");
    let world = world.started_again(without).await;

    let campaign = world.campaign().await;
    campaign.hand_over(&PEOPLE.map(person)).await;

    campaign.until("all are mailed", |s| s.accepted == 3).await;
    let mut conn = world.app.connect();
    let holds = operator::holds(&mut conn).expect("they can be read");
    assert!(holds.is_empty(), "{holds:?}");
}

/// At its next start Postgres recovers what is there to a new timeline, as it does when a backup is
/// recovered to a point in time or a replica is promoted.
fn recover_at_next_start(servers: &Servers) {
    use diesel::Connection;
    let mut admin = diesel::PgConnection::establish(&servers.postgres.url()).expect("Postgres");
    let sql = "ALTER SYSTEM SET restore_command = 'false'";
    diesel::sql_query(sql).execute(&mut admin).expect("ours");
    let rows: Vec<Setting> =
        diesel::sql_query("SELECT current_setting('data_directory') AS setting")
            .load(&mut admin)
            .expect("ours");
    let signal = std::path::Path::new(&rows[0].setting).join("recovery.signal");
    std::fs::write(signal, "").expect("the folder is ours");
}

#[actix_web::test]
async fn a_crash_of_postgres_holds_nothing_and_a_new_timeline_does_at_once() {
    let mut servers = Servers::private();
    let post = Post::start();
    let database = Arc::new(Database::new::<Notifications>(&servers));
    let app: TestService<_> = setup(&post).on_database(database).start().await;
    let world = World { app, post };
    let campaign = world.campaign().await;
    servers.postgres.stop_immediate();
    servers.postgres.start_again().expect("it recovers");
    eventually("its connections are back", || async {
        let ready = world.app.anonymous().get("/health/ready").send().await;
        ready.status == 200
    })
    .await;
    campaign.hand_over(&[person("first@example.com")]).await;
    world.post.mail_to("first@example.com").await;
    assert_eq!(world.held().await, None);

    recover_at_next_start(&servers);
    servers.postgres.stop_immediate();
    servers.postgres.start_again().expect("it recovers");

    world.is_held_because("from timeline 1 to 2").await;
    campaign.hand_over(&[person("second@example.com")]).await;
    assert_eq!(world.release(Word::Resend), 0);
    world.post.mail_to("second@example.com").await;
    assert_eq!(world.post.count(), 2);
}

#[actix_web::test]
async fn a_page_that_is_handed_over_while_its_campaign_is_doubted_is_in_doubt_too() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    let mut operator = world.app.connect();
    let mut say = |sql: &str| operator.batch_execute(sql).expect("SQL");
    say("BEGIN; UPDATE campaigns SET restored_at = now()");
    let page = json!({
        "workspace_id": world.app.workspace,
        "recipients": [{ "recipient": person("grace@example.com") }],
    });
    let client = world.campaigns();
    let path = format!("/internal/campaigns/{}/recipients", campaign.id);
    let handing = client.post(path).json(&page).send();
    let doubting = async {
        eventually("the page waits for the operator", || async {
            waiting(&world.app.database) == 1
        })
        .await;
        say("COMMIT");
    };

    let (handed, ()) = tokio::join!(handing, doubting);

    handed.assert_error(503, "unavailable");
    assert_eq!(campaign.settlement().await.audience, 0);
    campaign.hand_over(&[person("grace@example.com")]).await;
    assert_eq!(campaign.settlement().await.ambiguous, 1);
    assert_eq!(world.post.count(), 0);
}

/// Connections to a database that wait to lock a campaign for a page; others wait for one too.
fn waiting(database: &Database) -> i64 {
    let rows: Vec<Number> = diesel::sql_query(
        "SELECT count(*) AS number FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
           AND query LIKE '%pending = pending + $%'",
    )
    .load(&mut database.connect())
    .expect("activity can be read");
    rows[0].number
}
