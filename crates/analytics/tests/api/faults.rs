//! Full queues, a Postgres that goes away, and rows that it refuses.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::auth::Role;
use common::{CampaignId, EventId};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Value, json};
use testkit::{Client, Servers, Setup, eventually};

use crate::support::{App, BROWSER, Mail, browse, count, events, send};

/// Holds every writer up until it is dropped.
pub(crate) struct Stall(PgConnection);

impl Stall {
    pub(crate) fn of(app: &App) -> Self {
        let mut conn = app.connect();
        conn.batch_execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
            .expect("the table can be locked");
        Self(conn)
    }

    pub(crate) fn end(mut self) {
        self.0
            .batch_execute("ROLLBACK")
            .expect("the lock is given back");
    }
}

async fn metric(app: &App, line: &str) -> bool {
    let metrics = app.anonymous().get("/metrics").send().await.text();
    metrics.lines().any(|found| found == line)
}

pub(crate) async fn queued(app: &App, lane: &str, rows: usize) {
    let line =
        format!("clarion_analytics_queue_rows{{lane=\"{lane}\",service=\"analytics\"}} {rows}");
    eventually(&line, || metric(app, &line)).await;
}

#[tokio::test]
async fn a_full_queue_says_so_at_once_and_takes_nothing() {
    let app: App = Setup::default()
        .with("ANALYTICS_QUEUE_ROWS", "10")
        .start()
        .await;
    let stall = Stall::of(&app);
    let (first, second) = (send(&app, events(6, "view")), send(&app, events(4, "view")));
    let third = async {
        queued(&app, "events", 10).await;
        let answer = send(&app, events(3, "goal")).await;
        assert_eq!(answer.header("retry-after"), Some("1"));
        answer.assert_error(429, "queue_full");
        stall.end();
    };
    let (first, second, ()) = futures::join!(first, second, third);
    first.assert_status(202);
    second.assert_status(202);
    assert_eq!(count(&app, "events WHERE type = 'view'"), 10);
    assert_eq!(count(&app, "events WHERE type = 'goal'"), 0);
    send(&app, events(3, "goal")).await.assert_status(202);
}

#[tokio::test]
async fn whoever_follows_a_link_goes_on_although_the_queue_is_full() {
    let app: App = Setup::default()
        .with("ANALYTICS_QUEUE_REQUESTS", "1")
        .start()
        .await;
    let (one, two) = (
        Mail::of(&app, CampaignId::new()),
        Mail::of(&app, CampaignId::new()),
    );
    let (one, two) = (one.link(&app, 0), two.link(&app, 0));
    let stall = Stall::of(&app);
    let second = async {
        queued(&app, "hits", 1).await;
        browse(&app, &two).await.assert_status(302);
        stall.end();
    };
    let (first, ()) = futures::join!(browse(&app, &one), second);
    first.assert_status(302);
    assert_eq!(count(&app, "events"), 1);
    let lost = "clarion_analytics_hits_lost_total{kind=\"click\",service=\"analytics\"} 1";
    assert!(metric(&app, lost).await);
}

#[tokio::test]
async fn nobody_who_follows_a_link_waits_for_a_slow_database() {
    let app = App::start().await;
    let mail = Mail::of(&app, CampaignId::new());
    let stall = Stall::of(&app);
    browse(&app, &mail.link(&app, 0)).await.assert_status(302);
    let waiting = "pg_locks WHERE NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(count(&app, waiting), 1, "its row still waits");
    let late = "clarion_analytics_hits_late_total{kind=\"click\",service=\"analytics\"} 1";
    assert!(metric(&app, late).await);
    stall.end();
    queued(&app, "hits", 0).await;
    assert_eq!(count(&app, "events WHERE type = 'click'"), 1);
}

#[tokio::test]
async fn rows_that_postgres_refuses_cost_their_own_request_only() {
    let app: App = Setup::default()
        .with("ANALYTICS_WRITERS", "1")
        .start()
        .await;
    let mut conn = app.connect();
    conn.batch_execute("ALTER TABLE events ADD CHECK (type <> 'poison')")
        .expect("a new constraint");
    let stall = Stall::of(&app);
    let first = send(&app, events(1, "view"));
    let others = async {
        queued(&app, "events", 1).await;
        let release = async {
            queued(&app, "events", 6).await;
            stall.end();
        };
        let id = EventId::new();
        let again =
            json!({ "events": [{ "id": id, "type": "goal" }, { "id": id, "type": "goal" }] });
        futures::join!(send(&app, again), send(&app, events(3, "poison")), release)
    };
    let (first, (good, bad, ())) = futures::join!(first, others);
    first.assert_status(202);
    let receipt: Value = good.assert_status(202).json();
    assert_eq!(
        (&receipt["accepted"], &receipt["duplicates"]),
        (&json!(1), &json!(1))
    );
    bad.assert_error(500, "internal");
    assert_eq!(count(&app, "events"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_crash_and_every_event_that_was_answered_is_there_once() {
    let mut servers = Servers::private();
    let app: App = Setup::on(&servers).system_clock().start().await;
    let done = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..6)
        .map(|n| {
            tokio::spawn(keep_sending(
                app.as_role(Role::Owner),
                n % 2 == 0,
                Arc::clone(&done),
            ))
        })
        .collect();
    for round in 1..=2 {
        let flows = async || count(&app, "events WHERE type = 'load'") >= round * 200;
        eventually("events flow", flows).await;
        servers.postgres.stop_immediate();
        let refused = async || send(&app, events(1, "view")).await.status == 503;
        eventually("it says that the database is away", refused).await;
        let mail = Mail::of(&app, CampaignId::new());
        browse(&app, &mail.link(&app, 0)).await.assert_status(302);
        servers
            .postgres
            .start_again()
            .expect("Postgres starts again");
        let back = async || send(&app, events(1, "view")).await.status == 202;
        eventually("it takes events again", back).await;
    }
    let late = async || count(&app, "events WHERE type = 'click'") == 2;
    eventually("clicks of the outage are recorded", late).await;
    done.store(true, Ordering::Relaxed);
    let mut answered = HashSet::new();
    for sender in senders {
        answered.extend(sender.await.expect("a sender ends"));
    }
    let stored = stored_names(&app);
    let missing: Vec<_> = answered
        .iter()
        .filter(|name| !stored.contains_key(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} are missing",
        missing.len(),
        answered.len()
    );
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    // Six senders with five events each may have been cut off before their answers.
    assert!(answered.len() >= 170, "{} were answered", answered.len());
}

/// Sends lists of five events, each with a name of its own, until told to end; answers the names
/// that were accepted. With ids, a list that was not answered is sent again.
async fn keep_sending(client: Client, with_ids: bool, done: Arc<AtomicBool>) -> Vec<String> {
    let mut accepted = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let names: Vec<_> = (0..5).map(|_| EventId::new().to_string()).collect();
        let event = |name: &String| match with_ids {
            true => json!({ "type": "load", "anonymous_id": name, "id": name }),
            false => json!({ "type": "load", "anonymous_id": name }),
        };
        let body = json!({ "events": names.iter().map(event).collect::<Vec<_>>() });
        loop {
            let request = client.post("/api/v1/analytics").json(&body);
            let answer = request.try_send().await.expect("the service stays up");
            if answer.status == 202 {
                accepted.extend(names);
                break;
            }
            assert_eq!(answer.status, 503, "{}", answer.text());
            let ready = async || client.get("/health/ready").send().await.status == 200;
            eventually("the service is ready again", ready).await;
            if !with_ids {
                break;
            }
        }
    }
    accepted
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    times: i64,
}

fn stored_names(app: &App) -> std::collections::HashMap<String, i64> {
    let names: Vec<Name> = sql_query(
        "SELECT anonymous_id AS name, count(*) AS times FROM events WHERE type = 'load' GROUP BY 1",
    )
    .load(&mut app.connect())
    .expect("events can be read");
    names.into_iter().map(|row| (row.name, row.times)).collect()
}

#[tokio::test]
async fn a_click_is_recorded_when_the_writers_connection_was_cut() {
    let app = App::start().await;
    let campaign = CampaignId::new();
    browse(&app, &Mail::of(&app, campaign).link(&app, 0))
        .await
        .assert_status(302);
    sql_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
        .execute(&mut app.connect())
        .expect("a role may end its own sessions");
    let mail = Mail::of(&app, campaign);
    let answer = app
        .anonymous()
        .get(mail.link(&app, 0))
        .header("user-agent", BROWSER);
    answer.send().await.assert_status(302);
    assert_eq!(count(&app, "events WHERE type = 'click'"), 2);
}
