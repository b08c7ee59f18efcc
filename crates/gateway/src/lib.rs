//! The only public door: routing, credentials, limits, health of the whole, and the documents.

mod body;
mod cors;
mod credentials;
mod door;
mod error;
mod fetch;
mod gate;
mod headers;
mod health;
pub mod openapi;
mod pages;
mod proxy;
mod routes;
mod server;
mod settings;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chassis::auth::Verifier;
use chassis::client::{Peer, ServiceTokens};
use chassis::metrics::Metrics;
use chassis::settings::{Base, Reader};
use chassis::{Service, client};
use common::auth::Service as Name;
use diesel_migrations::EmbeddedMigrations;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::credentials::Exchange;
use crate::gate::{Shared, Upstreams};
pub use crate::settings::{Origins, Settings};

/// The gateway, bound to its address. It has no database: what it remembers, others know better.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    workers: usize,
    drain: Duration,
}

impl Service for Gateway {
    const NAME: Name = Name::Gateway;
    const PORT: u16 = 8080;
    type Settings = Settings;

    fn migrations() -> EmbeddedMigrations {
        EmbeddedMigrations::new(&[])
    }

    fn settings(read: &mut Reader<'_>) -> Settings {
        Settings::read(read, Self::PORT)
    }

    fn base(settings: &mut Settings) -> &mut Base {
        &mut settings.base
    }

    async fn bind(settings: Settings) -> anyhow::Result<Self> {
        let upstreams = Upstreams::new([
            Some(&settings.base.identity_url),
            Some(&settings.campaigns_url),
            Some(&settings.leads_url),
            Some(&settings.notifications_url),
            Some(&settings.analytics_url),
            settings.mailbox_url.as_ref(),
        ])?;
        let base = settings.base;
        let (http, identity) = (client::http(), base.identity_url);
        let tokens = ServiceTokens::new(http.clone(), &identity, Self::NAME, &base.service_secret);
        let peer = Peer::new(
            Name::Identity,
            identity.clone(),
            http.clone(),
            Arc::new(tokens),
        );
        let (listener, address) = base.listen.open()?;
        let public_url = match settings.public_url {
            Some(url) => url,
            None => Url::parse(&format!("http://{address}"))?,
        };
        let (verifier, stop) = (
            Verifier::remote(http, &identity, base.clock),
            CancellationToken::new(),
        );
        if let Some(url) = base.redis_url {
            let revocations = Arc::clone(verifier.revocations());
            tokio::spawn(revocations.follow(url, stop.clone()));
        }
        let shared = Shared {
            verifier,
            exchange: Exchange::new(Arc::new(peer)),
            metrics: Metrics::new(Self::NAME.as_str()),
            upstreams,
            public_url,
            cors_origins: settings.cors_origins.0,
            timeout: settings.timeout,
            started: Instant::now(),
            complete: OnceLock::new(),
            stop,
        };
        Ok(Self {
            listener,
            address,
            shared: Arc::new(shared),
            workers: base.workers.max(1),
            drain: base.drain,
        })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        server::serve(self.listener, self.shared, self.workers, self.drain, stop).await
    }
}
