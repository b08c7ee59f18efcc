//! The only public door: routing, credentials, limits, health of the whole, and the documents.

mod access_log;
mod cache;
mod compress;
mod cors;
mod credentials;
mod door;
mod error;
mod fetch;
mod forward;
mod front;
mod gate;
mod headers;
mod health;
mod limits;
mod networks;
pub mod openapi;
mod overview;
mod pages;
mod reply;
mod request;
mod settings;
mod table;
mod upstream;
mod wire;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chassis::auth::Verifier;
use chassis::client::{Peer, ServiceTokens};
use chassis::metrics::Metrics;
use chassis::redis::Redis;
use chassis::settings::{Base, Reader};
use chassis::tls::{Authority, Certificate};
use chassis::{Service, client};
use common::auth::Service as Name;
use diesel_migrations::EmbeddedMigrations;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::credentials::Exchange;
use crate::front::Ending;
use crate::gate::{Ingredients, Shared};
pub use crate::networks::Networks;
pub use crate::settings::{Origins, Settings};
use crate::table::Table;
use crate::upstream::Pools;

/// The gateway, bound to its address. It has no database: what it remembers, others know better.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    certificate: Option<Arc<Certificate>>,
    authority: Option<Arc<Authority>>,
    workers: usize,
    ending: Ending,
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
        let urls = settings.urls();
        let base = settings.base;
        let certificate = base.certificate.map(Certificate::open).transpose()?;
        let authority = base.authority.map(Authority::open).transpose()?;
        let redis = base.redis_url.as_ref();
        let redis = redis.map(|url| Redis::new(url, authority.as_ref()));
        let redis = redis.transpose()?;
        let inside_tls = authority.as_ref().map(Authority::client).transpose()?;
        let inside_tls = inside_tls.map(Arc::new);
        let table = table(settings.routes_file.as_deref(), &urls, inside_tls.as_ref())?;
        let access_log = settings.access_log.as_deref().map(open_log).transpose()?;
        let (http, identity) = (client::inside(authority.as_ref())?, base.identity_url);
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
            None if certificate.is_some() => Url::parse(&format!("https://{address}"))?,
            None => Url::parse(&format!("http://{address}"))?,
        };
        let verifier = Verifier::remote(http, &identity, base.clock);
        let shared = Shared::new(Ingredients {
            verifier,
            exchange: Exchange::new(Arc::new(peer)),
            metrics: Metrics::new(Self::NAME.as_str()),
            table,
            routes_file: settings.routes_file,
            urls,
            inside_tls,
            redis,
            trusted: settings.trusted_proxies,
            inside: settings.inside,
            docs: settings.docs,
            tls: certificate.as_ref().map(front_tls).transpose()?,
            public_url,
            cors_origins: settings.cors_origins.0,
            timeout: settings.timeout,
            most_in_hand: settings.most_in_hand,
            access_log,
        });
        let shared = Arc::new(shared);
        Ok(Self {
            listener,
            address,
            shared,
            certificate,
            authority,
            workers: base.workers.max(1),
            ending: Ending {
                notice: base.notice,
                drain: base.drain,
            },
        })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        upstream::look_up(shared.table.load_full().pools()).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(table::watch(Arc::clone(&shared)));
        tasks.spawn(upstream::watch(Arc::clone(&shared)));
        if let Some(redis) = shared.redis.clone() {
            let freshness = Arc::clone(&shared.freshness);
            tasks.spawn(freshness.follow(redis.clone(), shared.close.clone()));
            tasks.spawn(limits::sync(Arc::clone(&shared), redis.clone()));
            let revocations = Arc::clone(shared.verifier.revocations());
            tasks.spawn(revocations.follow(redis, shared.close.clone()));
        }
        if let Some(certificate) = self.certificate {
            tasks.spawn(certificate.watch(shared.close.clone()));
        }
        if let Some(authority) = self.authority {
            tasks.spawn(authority.watch(shared.close.clone()));
        }
        // Dropping the set ends them.
        front::serve(self.listener, self.shared, self.workers, self.ending, stop).await
    }
}

/// Clients may choose between the versions of HTTP.
fn front_tls(certificate: &Arc<Certificate>) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = certificate.server()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The table of the file that the settings name, or the one that is compiled in.
fn table(
    file: Option<&Path>,
    urls: &BTreeMap<String, String>,
    tls: Option<&Arc<ClientConfig>>,
) -> anyhow::Result<Table> {
    let text = match file {
        Some(path) => &std::fs::read_to_string(path)
            .with_context(|| format!("GATEWAY_ROUTES_FILE: {}", path.display()))?,
        None => table::DEFAULT,
    };
    let read = Table::read(text, urls, tls, &Pools::new());
    read.map_err(|error| match file {
        Some(path) => anyhow::anyhow!("{}: {error}", path.display()),
        None => error.into(),
    })
}

fn open_log(path: &Path) -> anyhow::Result<Arc<File>> {
    let file = File::options().append(true).create(true).open(path);
    file.map(Arc::new)
        .with_context(|| format!("GATEWAY_ACCESS_LOG: {}", path.display()))
}
