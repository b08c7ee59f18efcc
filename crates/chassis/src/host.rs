//! What a running service is made of, and how it starts and stops.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use common::auth::Service as ServiceName;
use diesel_migrations::EmbeddedMigrations;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::auth::Verifier;
use crate::bell::{Bell, Ringer};
use crate::client::{Peer, ServiceTokens};
use crate::health::Parts;
use crate::http::server;
use crate::metrics::Metrics;
use crate::redis::Redis;
use crate::refusals::Refusals;
use crate::settings::{Base, Environment, Reader};
use crate::tls::{Authority, Certificate};
use crate::{Clock, Db, client, idempotency, migrate, outbox};

/// A service of the house: what `main`, `clarion up` and the tests need to know of it.
pub trait Service: Sized {
    const NAME: ServiceName;
    /// The port it listens on when nothing says otherwise.
    const PORT: u16;
    type Settings;

    /// Its migrations, applied after the chassis's own.
    fn migrations() -> EmbeddedMigrations;
    /// Reads its settings; problems are recorded in `read`.
    fn settings(read: &mut Reader<'_>) -> Self::Settings;
    /// The common part of its settings; `clarion up` hands in a listener, tests a clock.
    fn base(settings: &mut Self::Settings) -> &mut Base;
    /// Migrates, connects and opens the listener. Peers need not be up yet.
    fn bind(settings: Self::Settings) -> impl Future<Output = anyhow::Result<Self>>;
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Serves until `stop`, then ends what is in hand. Ends early only with an error.
    fn run(self, stop: CancellationToken) -> impl Future<Output = anyhow::Result<()>>;
}

/// What every handler and every background task of a service may use. Clones share everything.
#[derive(Clone, Debug)]
pub struct Host {
    pub service: ServiceName,
    pub environment: Environment,
    pub db: Db,
    pub redis: Option<Redis>,
    pub bell: Bell,
    pub metrics: Metrics,
    /// What it says of itself at `/health`.
    pub parts: Parts,
    pub verifier: Arc<Verifier>,
    pub clock: Clock,
    /// For other services; see [`client::inside`].
    pub http: reqwest::Client,
    pub tokens: Arc<ServiceTokens>,
    pub stop: CancellationToken,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) workers: usize,
    pub(crate) drain: Duration,
    notice: Duration,
}

/// A host that has not started to serve: it gathers background tasks.
pub struct Starting {
    pub host: Host,
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Arc<Certificate>>,
    tasks: Tasks,
}

type Tasks = Vec<(
    &'static str,
    std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
)>;

impl std::fmt::Debug for Starting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Starting({} on {})", self.host.service, self.address)
    }
}

impl Starting {
    /// Applies migrations, opens the listener and the pools.
    pub async fn new(base: Base, migrations: EmbeddedMigrations) -> anyhow::Result<Self> {
        let (identity, clock) = (base.identity_url.clone(), base.clock.clone());
        let remote = |http| Verifier::remote(http, &identity, clock);
        Self::verifying(base, migrations, remote).await
    }

    /// The same with a verifier of one's own, for `identity`, which holds the keys.
    pub async fn with_verifier(
        base: Base,
        migrations: EmbeddedMigrations,
        verifier: Verifier,
    ) -> anyhow::Result<Self> {
        Self::verifying(base, migrations, |_| verifier).await
    }

    async fn verifying(
        base: Base,
        migrations: EmbeddedMigrations,
        verifier: impl FnOnce(reqwest::Client) -> Verifier,
    ) -> anyhow::Result<Self> {
        let certificate = base.certificate.map(Certificate::open).transpose()?;
        let authority = base.authority.map(Authority::open).transpose()?;
        let redis = base.redis_url.as_ref();
        let redis = redis.map(|url| Redis::new(url, authority.as_ref()));
        let redis = redis.transpose()?;
        let http = client::inside(authority.as_ref())?;
        let verifier = verifier(http.clone());
        let (url, service) = (base.database_url.clone(), base.service);
        tokio::task::spawn_blocking(move || migrate::run(&url, service, migrations)).await??;
        let (listener, address) = base.listen.open()?;
        let (ringer, bell, stop) = (Ringer::default(), Bell::default(), CancellationToken::new());
        let tokens = ServiceTokens::new(
            http.clone(),
            &base.identity_url,
            service,
            &base.service_secret,
        );
        let host = Host {
            service,
            environment: base.environment,
            db: Db::new(
                &base.database_url,
                service.as_str(),
                base.database_pool,
                ringer.clone(),
            ),
            redis: redis.clone(),
            bell: bell.clone(),
            metrics: Metrics::new(service.as_str()),
            parts: Parts::default(),
            verifier: Arc::new(verifier),
            clock: base.clock,
            http,
            tokens: Arc::new(tokens),
            stop: stop.clone(),
            refusals: Arc::default(),
            workers: base.workers.max(1),
            drain: base.drain,
            notice: base.notice,
        };
        let mut starting = Self {
            host,
            listener,
            address,
            certificate: certificate.clone(),
            tasks: Vec::new(),
        };
        if let Some(certificate) = certificate {
            starting.spawn("certificate", certificate.watch(stop.clone()));
        }
        if let Some(authority) = authority {
            starting.spawn("authority", authority.watch(stop.clone()));
        }
        if let Some(redis) = redis {
            let revocations = Arc::clone(starting.host.verifier.revocations());
            let following = revocations.follow(redis.clone(), stop.clone());
            starting.spawn("revocations", following);
            starting.spawn("bell", bell.run(service, ringer, redis, stop));
        }
        let housekeeper = starting.host.clone();
        starting.spawn("housekeeping", housekeeper.housekeeping());
        Ok(starting)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a background task. It must end when `host.stop` says so; one that ends by itself
    /// ends the service with a failure.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push((name, Box::pin(task)));
    }

    /// Serves `routes` until `stop`; then readiness fails, after the notice the listener drains,
    /// and both it and the tasks end within one deadline.
    pub async fn run(
        self,
        stop: CancellationToken,
        openapi: utoipa::openapi::OpenApi,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self {
            host,
            listener,
            certificate,
            tasks,
            ..
        } = self;
        let tls = certificate.map(|it| it.server_inside()).transpose()?;
        let (own_stop, service) = (host.stop.clone(), host.service);
        let (notice, drain, close) = (host.notice, host.drain, CancellationToken::new());
        let mut running = JoinSet::new();
        for (name, task) in tasks {
            running.spawn(async move {
                task.await;
                name
            });
        }
        let server = server::serve(host, listener, tls, openapi, routes, close.clone());
        tokio::pin!(server);
        let failure = tokio::select! {
            () = stop.cancelled() => None,
            ended = &mut server => Some(anyhow::anyhow!("the HTTP server of {service} ended: {ended:?}")),
            Some(ended) = running.join_next() => Some(anyhow::anyhow!("a task of {service} ended: {ended:?}")),
        };
        own_stop.cancel();
        if failure.is_none() {
            // Still serving: whoever balances over us has not heard of it yet.
            tokio::time::timeout(notice, &mut server).await.ok();
        }
        let deadline = tokio::time::Instant::now() + drain;
        close.cancel();
        if failure.is_none() {
            server.await?;
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            tracing::warn!(%service, "work in hand did not end in time and was cut");
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Host {
    /// Another service, at `url`.
    pub fn peer(&self, service: ServiceName, url: Url) -> Arc<Peer> {
        Arc::new(Peer::new(
            service,
            url,
            self.http.clone(),
            Arc::clone(&self.tokens),
        ))
    }

    /// Prunes what everybody has read and what nobody will repeat.
    async fn housekeeping(self) {
        const EVERY: Duration = Duration::from_secs(300);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let yesterday = self.clock.now() - chrono::Duration::days(1);
            let last_month = self.clock.now() - chrono::Duration::days(30);
            let pruned = self
                .db
                .run(move |conn| {
                    idempotency::prune(conn, yesterday).map_err(unavailable)?;
                    outbox::prune(conn, yesterday, last_month).map_err(unavailable)
                })
                .await;
            match pruned {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "old events pruned"),
                Err(error) => tracing::warn!(%error, "old events cannot be pruned at the moment"),
            }
        }
    }
}

fn unavailable(error: diesel::result::Error) -> crate::Unavailable {
    crate::Unavailable::because("the database", error)
}
