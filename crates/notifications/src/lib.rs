//! The message ledger and delivery: every message of every campaign, from hand-over to the
//! server's answer.

mod api;
mod attachments;
mod consumers;
mod delivery;
mod domain;
mod error;
mod inbound;
pub mod measure;
pub mod operator;
mod resolver;
mod routes;
mod schema;
mod settings;
mod store;
mod templates;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::Data;
use chassis::feed::Consumer;
use chassis::host::Starting;
use chassis::sealing::Vault;
use chassis::settings::{Base, Reader};
use chassis::{Clock, Db};
use common::auth::Service as ServiceName;
use common::values::EmailAddress;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio_util::sync::CancellationToken;

use delivery::{Delivery, Guard, Links, Meters, Outlets, Rates, Sending, Wake};
use domain::attachment::Limits;
pub use error::Error;
use inbound::{Desk, Listener, Topics};
use resolver::Dns;
pub use settings::Settings;
use store::partitions::Partitions;
use templates::Templates;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The service.
#[derive(Debug)]
pub struct Notifications {
    starting: Starting,
    state: AppState,
}

/// What handlers share.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    db: Db,
    clock: Clock,
    links: Links,
    vault: Vault,
    dns: Dns,
    sending: Sending,
    outlets: Arc<Outlets>,
    guard: Arc<Guard>,
    from: EmailAddress,
    attachments: Limits,
    templates: Templates,
    webhooks: webhooks::Outlet,
    partitions: Arc<Partitions>,
    wake: Arc<Wake>,
    inbound: inbound::Meters,
    topics: Topics,
}

impl chassis::Service for Notifications {
    const NAME: ServiceName = ServiceName::Notifications;
    const PORT: u16 = 8084;
    type Settings = Settings;

    fn migrations() -> EmbeddedMigrations {
        MIGRATIONS
    }

    fn settings(read: &mut Reader<'_>) -> Settings {
        Settings::read(read)
    }

    fn base(settings: &mut Settings) -> &mut Base {
        &mut settings.base
    }

    async fn bind(settings: Settings) -> anyhow::Result<Self> {
        let identity_url = settings.base.identity_url.clone();
        let mut starting = Starting::new(settings.base, MIGRATIONS).await?;
        let host = starting.host.clone();
        let campaigns = settings
            .campaigns_url
            .map(|url| host.peer(ServiceName::Campaigns, url));
        let rates = Rates::new(host.redis.clone());
        let outlets = Outlets::new(&settings.sending, settings.vault.clone(), rates);
        let state = AppState {
            db: host.db.clone(),
            clock: host.clock.clone(),
            links: Links::new(settings.link_keys, &settings.public_url)
                .and_canaries(settings.canary_links)
                .and_return_paths(settings.bounce_domain.as_ref()),
            vault: settings.vault,
            dns: Dns::new(settings.dns_server, &settings.public_url)?,
            sending: settings.sending,
            outlets: Arc::new(outlets),
            guard: Arc::new(Guard::new(&host)),
            from: settings.from,
            attachments: settings.attachments,
            templates: Templates::new(&host.db, campaigns.clone()),
            partitions: Arc::default(),
            webhooks: webhooks::Outlet::new(settings.webhooks),
            wake: Arc::default(),
            inbound: inbound::Meters::new(&host.metrics),
            topics: Topics::new(settings.sns_origin),
        };
        let delivery = Delivery {
            db: state.db.clone(),
            clock: state.clock.clone(),
            sending: state.sending.clone(),
            links: state.links.clone(),
            vault: state.vault.clone(),
            meters: Meters::new(&host.metrics),
            outlets: Arc::clone(&state.outlets),
            guard: Arc::clone(&state.guard),
            partitions: Arc::clone(&state.partitions),
            wake: Arc::clone(&state.wake),
        };
        starting.spawn("delivery", delivery.run(host.stop.clone()));
        if let (Some(address), Some(domain)) = (settings.bounce_smtp_addr, &settings.bounce_domain)
        {
            let desk = Desk {
                db: state.db.clone(),
                clock: state.clock.clone(),
                links: state.links.clone(),
                meters: state.inbound.clone(),
            };
            let listener = Listener::bind(address, domain, desk, settings.bounce_tls).await?;
            starting.spawn("bounces", listener.run(host.stop.clone()));
        }
        let sweep = attachments::sweep(host.db.clone(), host.clock.clone(), host.stop.clone());
        starting.spawn("attachments", sweep);
        let poster = webhooks::Poster::new(&host, &state.webhooks, &state.vault);
        starting.spawn("webhooks", poster.run(host.stop.clone()));
        let clock = host.clock.clone();
        let leads = Consumer::new(
            &host,
            host.peer(ServiceName::Leads, settings.leads_url),
            move |conn, event| {
                consumers::from_leads(conn, event, &clock)?;
                webhooks::fan_out(conn, event, clock.now())
            },
        );
        starting.spawn("leads feed", leads.run(host.stop.clone()));
        let clock = host.clock.clone();
        let identity = Consumer::new(
            &host,
            host.peer(ServiceName::Identity, identity_url),
            move |conn, event| {
                consumers::from_identity(conn, event)?;
                webhooks::fan_out(conn, event, clock.now())
            },
        );
        starting.spawn("identity feed", identity.run(host.stop.clone()));
        let clock = host.clock.clone();
        let own = Consumer::of_own(&host, move |conn, event| {
            webhooks::fan_out(conn, event, clock.now())
        });
        starting.spawn("own feed", own.run(host.stop.clone()));
        if let Some(campaigns) = campaigns {
            let clock = host.clock.clone();
            let feed = Consumer::new(&host, campaigns, move |conn, event| {
                consumers::from_campaigns(conn, event)?;
                webhooks::fan_out(conn, event, clock.now())
            });
            starting.spawn("campaigns feed", feed.run(host.stop.clone()));
        }
        if let Some(url) = settings.analytics_url {
            let clock = host.clock.clone();
            let analytics = host.peer(ServiceName::Analytics, url);
            let feed = Consumer::new(&host, analytics, move |conn, event| {
                webhooks::fan_out(conn, event, clock.now())
            });
            starting.spawn("analytics feed", feed.run(host.stop.clone()));
        }
        Ok(Self { starting, state })
    }

    fn address(&self) -> SocketAddr {
        self.starting.address()
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let state = Data::new(self.state);
        self.starting
            .run(stop, routes::openapi(), move |app| {
                routes::register(app, &state)
            })
            .await
    }
}
