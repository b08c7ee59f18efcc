//! The servers that `clarion up` stands on: private ones, or those that it was told of.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use laptop::{Postgres, PostgresOptions, Redis, RedisOptions};
use mailbox::Mailbox;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Settings;

/// The database that the services share on the private Postgres.
const DATABASE: &str = "clarion";

/// Running servers; a private one is stopped with this.
#[derive(Debug)]
pub(super) struct Servers {
    /// With the rights to make roles and schemas.
    pub(super) admin_url: Secret,
    pub(super) redis_url: Secret,
    pub(super) smtp_url: Secret,
    /// Where the mailbox's pages are, when there is one.
    pub(super) mailbox: Option<SocketAddr>,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    receiver: Option<Receiver>,
}

#[derive(Debug)]
struct Receiver {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Servers {
    /// Starts what no URL was given for, all at the same time.
    pub(super) async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let folder = std::path::absolute(&settings.data_dir)?;
        let (postgres, redis, mailbox) = tokio::try_join!(
            postgres(settings.database_url.is_none(), folder.join("postgres")),
            redis(settings.redis_url.is_none(), folder.join("redis")),
            mailbox(settings.smtp_url.is_none(), folder.join("mailbox")),
        )?;
        let given = |secret: &Option<Secret>| secret.clone().unwrap_or_else(|| Secret::new(""));
        let mut servers = Self {
            admin_url: given(&settings.database_url),
            redis_url: given(&settings.redis_url),
            smtp_url: given(&settings.smtp_url),
            mailbox: None,
            postgres,
            redis,
            receiver: None,
        };
        if let Some(postgres) = &servers.postgres {
            servers.admin_url = Secret::new(postgres.database_url(DATABASE));
        }
        if let Some(redis) = &servers.redis {
            servers.redis_url = Secret::new(redis.url());
        }
        if let Some(mailbox) = mailbox {
            servers.smtp_url = Secret::new(format!("smtp://{}?tls=none", mailbox.smtp_addr()));
            servers.mailbox = mailbox.http_addr();
            servers.receiver = Some(Receiver::start(mailbox));
        }
        Ok(servers)
    }

    /// Resolves when a private server ends by itself.
    pub(super) fn failed(&self) -> impl Future<Output = anyhow::Error> + use<> {
        let postgres = self.postgres.as_ref().map(Postgres::exited);
        let redis = self.redis.as_ref().map(Redis::exited);
        async move {
            let why = tokio::select! {
                why = or_never(postgres) => why,
                why = or_never(redis) => why,
            };
            anyhow::anyhow!("{why}")
        }
    }

    /// Stops the private servers, the mailbox first.
    pub(super) async fn stop(self) {
        if let Some(Receiver { stop, task }) = self.receiver {
            stop.cancel();
            task.await.ok();
        }
        let stopped = tokio::task::spawn_blocking(move || {
            if let Some(redis) = self.redis {
                redis.stop();
            }
            if let Some(postgres) = self.postgres {
                postgres.stop();
            }
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "a private server was not stopped in order");
        }
    }
}

async fn or_never<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

impl Receiver {
    fn start(mailbox: Mailbox) -> Self {
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = mailbox.run(token).await {
                tracing::error!(%error, "the mailbox ended");
            }
        });
        Self { stop, task }
    }
}

async fn postgres(wanted: bool, folder: PathBuf) -> anyhow::Result<Option<Postgres>> {
    if !wanted {
        return Ok(None);
    }
    let started = tokio::task::spawn_blocking(move || {
        let postgres = Postgres::start(PostgresOptions::new(folder))?;
        make_database(&postgres.url()).context("cannot make the database")?;
        anyhow::Ok(postgres)
    });
    started.await?.map(Some)
}

/// Makes the services' database at the first start.
fn make_database(url: &str) -> anyhow::Result<()> {
    let mut conn = PgConnection::establish(url)?;
    let found = sql_query(format!(
        "SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"
    ));
    if found.execute(&mut conn)? == 0 {
        conn.batch_execute(&format!("CREATE DATABASE {DATABASE}"))?;
    }
    Ok(())
}

async fn redis(wanted: bool, folder: PathBuf) -> anyhow::Result<Option<Redis>> {
    if !wanted {
        return Ok(None);
    }
    let options = RedisOptions::new(folder);
    Ok(Some(
        tokio::task::spawn_blocking(|| Redis::start(options)).await??,
    ))
}

async fn mailbox(wanted: bool, folder: PathBuf) -> anyhow::Result<Option<Mailbox>> {
    if !wanted {
        return Ok(None);
    }
    let settings = mailbox::Settings {
        data_dir: Some(folder),
        ..mailbox::Settings::default()
    };
    Ok(Some(Mailbox::bind(settings).await?))
}
