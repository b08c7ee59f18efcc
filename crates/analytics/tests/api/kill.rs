//! The process killed under load, and a disk without room: nothing that was answered is missing.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use analytics::Analytics;
use common::auth::Role;
use common::{EventId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Int4, Text};
use serde_json::{Value, json};
use testkit::{Client, Database, Issuer, Servers, eventually};

/// The service as a process of its own, always at the same address.
struct Process {
    child: Child,
    client: Client,
}

impl Process {
    async fn start(database: &Database, servers: &Servers, address: SocketAddr) -> Self {
        let nobody = "http://127.0.0.1:9";
        let issuer = Issuer::shared();
        let child = Command::new(env!("CARGO_BIN_EXE_analytics"))
            .env_clear()
            .current_dir("/")
            .env("ANALYTICS_HTTP_ADDR", address.to_string())
            .env("DATABASE_URL", database.url.expose())
            .env("DATABASE_POOL", "4")
            .env("REDIS_URL", servers.redis.url())
            .env("IDENTITY_URL", issuer.url())
            .env("LEADS_URL", nobody)
            .env("CLARION_PUBLIC_URL", "http://clarion.test")
            .env("CLARION_SERVICE_SECRET", "s")
            .env("CLARION_LINK_SECRET", "l")
            .env("CLARION_LOG", "error")
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let client = Client::new(format!("http://{address}"), None);
        let process = Self { child, client };
        eventually("the process is ready", || ready(&process.client)).await;
        process
    }

    /// `kill -9`
    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn ready(client: &Client) -> bool {
    let answer = client.get("/health/ready").try_send().await;
    answer.is_ok_and(|answer| answer.status == 200)
}

/// What the senders share.
#[derive(Debug, Default)]
struct Shared {
    done: AtomicBool,
    /// Events that were answered.
    answered: AtomicU64,
}

/// Sends lists of `size` events until told to end, whatever happens to the service; answers the
/// names that were accepted. With ids, a list is sent again until it is answered.
async fn send_on(client: Client, size: usize, with_ids: bool, shared: Arc<Shared>) -> Vec<String> {
    let mut accepted = Vec::new();
    while !shared.done.load(Ordering::Relaxed) {
        let names: Vec<_> = (0..size).map(|_| EventId::new().to_string()).collect();
        let event = |name: &String| match with_ids {
            true => json!({ "type": "load", "anonymous_id": name, "id": name }),
            false => json!({ "type": "load", "anonymous_id": name }),
        };
        let body = json!({ "events": names.iter().map(event).collect::<Vec<_>>() });
        loop {
            let answer = client
                .post("/api/v1/analytics")
                .json(&body)
                .try_send()
                .await;
            match answer {
                Ok(answer) if answer.status == 202 => {
                    shared.answered.fetch_add(size as u64, Ordering::Relaxed);
                    accepted.extend(names);
                    break;
                }
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                // It was killed.
                Err(_) => eventually("the service is there again", || ready(&client)).await,
            }
            if !with_ids || shared.done.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    accepted
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    times: i64,
}

/// How often each name is stored.
fn stored(database: &Database) -> HashMap<String, i64> {
    let rows: Vec<Stored> = sql_query(
        "SELECT anonymous_id AS name, count(*) AS times FROM events WHERE type = 'load' GROUP BY 1",
    )
    .load(&mut database.connect())
    .expect("events can be read");
    rows.into_iter().map(|row| (row.name, row.times)).collect()
}

/// Counts: everything that was answered is there, and nothing is there twice.
fn account(database: &Database, answered: &[String]) {
    let stored = stored(database);
    let missing = answered
        .iter()
        .filter(|name| !stored.contains_key(*name))
        .count();
    assert_eq!(
        missing,
        0,
        "of {} answered events are missing",
        answered.len()
    );
    let twice = stored.values().filter(|times| **times > 1).count();
    assert_eq!(
        twice,
        0,
        "of {} stored events are there twice",
        stored.len()
    );
}

fn senders(client: &Client, shared: &Arc<Shared>) -> Vec<tokio::task::JoinHandle<Vec<String>>> {
    let kinds = [
        (1, false),
        (1, true),
        (20, false),
        (20, true),
        (100, false),
        (100, true),
    ];
    kinds
        .into_iter()
        .map(|(size, ids)| tokio::spawn(send_on(client.clone(), size, ids, Arc::clone(shared))))
        .collect()
}

async fn answered(senders: Vec<tokio::task::JoinHandle<Vec<String>>>) -> Vec<String> {
    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.await.expect("a sender ends"));
    }
    all
}

fn owner(address: SocketAddr) -> Client {
    let now = chrono::Utc::now().timestamp();
    let token = Issuer::shared().user(WorkspaceId::new(), Role::Owner, now);
    Client::new(format!("http://{address}"), Some(token))
}

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_has_every_event_that_it_answered() {
    const KILLS: u64 = 5;
    let servers = Servers::shared();
    let database = Database::new::<Analytics>(servers);
    let address = free_address();
    let mut process = Process::start(&database, servers, address).await;
    let shared = Arc::new(Shared::default());
    let senders = senders(&owner(address), &shared);
    for _ in 0..KILLS {
        // Sometime, wherever the writers are then.
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        let goal = shared.answered.load(Ordering::Relaxed) + 200 + random % 1_500;
        eventually("events flow", async || {
            shared.answered.load(Ordering::Relaxed) >= goal
        })
        .await;
        process.kill();
        process = Process::start(&database, servers, address).await;
    }
    shared.done.store(true, Ordering::Relaxed);
    let answered = answered(senders).await;
    assert!(answered.len() as u64 >= KILLS * 200);
    account(&database, &answered);
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Int4)]
    pid: i32,
}

/// Lets no file of this Postgres grow past so many bytes, as a full disk would.
fn limit_files(servers: &Servers, database: &Database, bytes: &str) {
    let backends: Vec<Backend> = sql_query(
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )
    .load(&mut database.connect())
    .expect("sessions are listed");
    let pids = backends.iter().map(|backend| backend.pid);
    for pid in std::iter::once(servers.postgres.pid()).chain(pids) {
        // A session may have ended in between.
        let Ok(process) = std::fs::metadata(format!("/proc/{pid}")) else {
            continue;
        };
        // Whoever runs it may limit it, and lift what is no hard limit.
        Command::new("prlimit")
            .args([
                "--pid",
                &pid.to_string(),
                &format!("--fsize={bytes}:unlimited"),
            ])
            .uid(process.uid())
            .gid(process.gid())
            .current_dir("/")
            .stderr(Stdio::null())
            .status()
            .expect("prlimit is part of util-linux");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_events_and_loses_none() {
    let servers = Servers::private();
    let database = Database::new::<Analytics>(&servers);
    let address = free_address();
    let process = Process::start(&database, &servers, address).await;
    let client = owner(address);
    let shared = Arc::new(Shared::default());
    let senders = senders(&client, &shared);
    let flows = async |goal: u64| {
        eventually("events flow", async || {
            shared.answered.load(Ordering::Relaxed) >= goal
        })
        .await;
    };
    flows(500).await;
    // Today's events take more than one piece of the log does, which must not run out of room:
    // Postgres ends itself then, and another test is about that.
    sql_query(
        "INSERT INTO events (workspace_id, id, type, occurred_at, received_at, verdict, reasons,
             rules_version, url)
         SELECT gen_random_uuid(), gen_random_uuid(), 'view', now(), now(), 'human', '{}', 1,
             string_agg(md5(random()::text), '')
         FROM generate_series(1, 20000) AS n, generate_series(1, 30) AS m GROUP BY n",
    )
    .execute(&mut database.connect())
    .expect("there is room yet");
    limit_files(&servers, &database, "17000000");
    let view = json!({ "events": vec![json!({ "type": "view", "properties": { "text": "x".repeat(500) } }); 100] });
    let refused = async || {
        let answer = client.post("/api/v1/analytics").json(&view).send().await;
        answer.status == 503
    };
    eventually("it says that it cannot take events now", refused).await;
    let answer: Value = client
        .get("/health/live")
        .send()
        .await
        .assert_status(200)
        .json();
    assert!(answer.is_object());
    limit_files(&servers, &database, "unlimited");
    flows(shared.answered.load(Ordering::Relaxed) + 500).await;
    shared.done.store(true, Ordering::Relaxed);
    let answered = answered(senders).await;
    account(&database, &answered);
    drop(process);
}
