//! Two replicas of the whole platform on one Postgres and one Redis, and a sink that counts.

use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::dto::dispatch::Settlement;
use laptop::{Postgres, PostgresOptions, Redis, RedisOptions};
use mailbox::{Faults, Mailbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::bench::platform::{OWNER, folder, platform_command, ready_url};
use crate::demo::api::{Account, Api};
use crate::process::Running;

pub(super) const REPLICAS: usize = 2;
/// Of each replica to the sink, and so messages that can be in `DATA` at one time.
pub(super) const CONNECTIONS: u64 = 8;
/// How long a replica may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Created {
    id: String,
}

#[derive(Deserialize)]
struct Import {
    status: String,
    created: usize,
}

pub(super) struct World {
    replicas: Vec<Option<Replica>>,
    pub(super) postgres: Postgres,
    redis: Redis,
    sink: Sink,
    folder: TempDir,
}

struct Replica {
    running: Running,
    api: Api,
}

/// The mail server, in a thread of its own; it counts whom it said yes to.
struct Sink {
    handle: mailbox::Handle,
    url: String,
    stop: CancellationToken,
}

impl Sink {
    fn start() -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let settings = mailbox::Settings {
                    http_addr: None,
                    ..mailbox::Settings::default()
                };
                let bound = Mailbox::bind(settings).await;
                let started = bound.map(|mailbox| {
                    let known = (mailbox.handle(), mailbox.smtp_addr());
                    (known, mailbox)
                });
                match started {
                    Ok((known, mailbox)) => {
                        sender.send(Ok(known)).ok();
                        mailbox.run(token).await.ok();
                    }
                    Err(error) => drop(sender.send(Err(error))),
                }
            });
        });
        let (handle, address) = receiver.recv().context("the sink ended")??;
        let url = format!("smtp://{address}?tls=none");
        Ok(Self { handle, url, stop })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = folder()?;
        let postgres = PostgresOptions::new(folder.path().join("postgres"));
        let redis = RedisOptions::new(folder.path().join("redis"));
        let (postgres, redis) = tokio::task::spawn_blocking(|| {
            anyhow::Ok((Postgres::start(postgres)?, Redis::start(redis)?))
        })
        .await??;
        let mut world = Self {
            replicas: (0..REPLICAS).map(|_| None).collect(),
            postgres,
            redis,
            sink: Sink::start()?,
            folder,
        };
        for at in 0..REPLICAS {
            world.start_replica(at).await?;
        }
        Ok(world)
    }

    fn home(&self, replica: usize) -> std::path::PathBuf {
        self.folder.path().join(format!("replica{replica}"))
    }

    /// Starts a replica (again) and waits until it is ready.
    pub(super) async fn start_replica(&mut self, at: usize) -> anyhow::Result<()> {
        let home = self.home(at);
        let data = home.join("data");
        fs::create_dir_all(&data)?;
        let secrets = data.join("secrets.json");
        if at > 0 && !secrets.exists() {
            // One installation: the replicas share its secrets.
            fs::copy(self.home(0).join("data/secrets.json"), &secrets)?;
        }
        let (ready, log) = (home.join("ready"), home.join("log"));
        let mut command = platform_command(&home)?;
        command
            .env("DATABASE_URL", self.postgres.url())
            .env("REDIS_URL", self.redis.url())
            .env("SMTP_URL", &self.sink.url)
            .env("SMTP_CONNECTIONS", CONNECTIONS.to_string())
            .env("SMTP_TIMEOUT_SECONDS", "1")
            .env("SMTP_RETRY_SCALE", "0.02")
            .env("LEDGER_LEASE_SECONDS", "3")
            .env("CLARION_LOG", "error")
            .stdout(File::create(&ready)?)
            .stderr(File::options().create(true).append(true).open(&log)?);
        let mut running = Running::start("clarion up", command)?;
        let url = running
            .until(Duration::from_millis(10), async || ready_url(&ready))
            .await
            .with_context(|| tail(&log))?;
        let (email, password) = (OWNER.0.to_owned(), OWNER.1.to_owned());
        let began = Instant::now();
        let api = loop {
            let account = Account {
                email: email.clone(),
                password: password.clone(),
            };
            match Api::sign_in(&url, Some(account)).await {
                Ok(api) => break api,
                Err(error) => ensure!(began.elapsed() < PATIENCE, "cannot sign in: {error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.replicas[at] = Some(Replica { running, api });
        Ok(())
    }

    /// `kill -9`
    pub(super) fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        if let Some(replica) = self.replicas[at].take() {
            let pid = Pid::from_raw(replica.running.pid().cast_signed());
            kill(pid, Signal::SIGKILL).context("cannot kill a replica")?;
        }
        Ok(())
    }

    pub(super) async fn crash_postgres(&mut self, pause: Duration) -> anyhow::Result<()> {
        self.postgres.stop_immediate();
        tokio::time::sleep(pause).await;
        tokio::task::block_in_place(|| self.postgres.start_again())?;
        Ok(())
    }

    pub(super) async fn crash_redis(&mut self, pause: Duration) -> anyhow::Result<()> {
        self.redis.stop_immediate();
        tokio::time::sleep(pause).await;
        tokio::task::block_in_place(|| self.redis.start_again())?;
        Ok(())
    }

    pub(super) fn sink(&self) -> &mailbox::Handle {
        &self.sink.handle
    }

    /// Lets the sink misbehave for a while.
    pub(super) async fn suffer(&self, faults: Faults, pause: Duration) {
        self.sink.handle.set_faults(faults);
        tokio::time::sleep(pause).await;
        self.sink.handle.set_faults(Faults::default());
    }

    /// Imports the people and starts the campaign; answers its id.
    pub(super) async fn campaign(&self, people: usize) -> anyhow::Result<String> {
        let first = self.replicas.first().and_then(Option::as_ref);
        let api = &first.context("no replica runs")?.api;
        let list: Created = api
            .post("/api/v1/lists", &json!({ "name": "Everybody" }))
            .await?;
        let mut csv = String::from("email,first_name\n");
        for number in 0..people {
            csv.push_str(&format!("p{number}@chaos.example,Grace\n"));
        }
        let path = format!("/api/v1/leads/imports?list_id={}", list.id);
        let import: Created = api.post_csv(&path, csv.into_bytes()).await?;
        let path = format!("/api/v1/leads/imports/{}", import.id);
        loop {
            let now: Import = api.get(&path).await?;
            match now.status.as_str() {
                "done" => {
                    ensure!(now.created == people, "{} were imported", now.created);
                    break;
                }
                "queued" | "running" => tokio::time::sleep(Duration::from_millis(50)).await,
                other => anyhow::bail!("the import is {other}"),
            }
        }
        let campaign = json!({
            "name": "Chaos",
            "subject": "Hello {{ lead.first_name }}",
            "from": { "name": "Ada", "email": "ada@chaos.example" },
            "content": { "format": "markdown", "body": "Hello {{ lead.first_name }}\n\n[Leave]({{ unsubscribe_url }})" },
            "audience": { "list_ids": [list.id] },
        });
        let campaign: Created = api.post("/api/v1/campaigns", &campaign).await?;
        let start = format!("/api/v1/campaigns/{}/start", campaign.id);
        let _: serde_json::Value = api
            .post_once(&start, &json!({ "accept_warnings": true }))
            .await?;
        Ok(campaign.id)
    }

    /// What any replica says, if one answers.
    pub(super) async fn settlement(&self, campaign: &str) -> Option<Settlement> {
        let path = format!("/api/v1/campaigns/{campaign}/settlement");
        for replica in self.replicas.iter().flatten() {
            let asked = replica.api.get(&path);
            let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
            if let Ok(Ok(settlement)) = answer {
                return Some(settlement);
            }
        }
        None
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}
