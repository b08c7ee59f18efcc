//! Campaigns: what is sent, to whom, when; and the dispatch that hands every recipient over.

mod api;
mod consumers;
mod domain;
mod error;
mod jobs;
mod linkcheck;
mod peers;
mod routes;
mod schema;
mod settings;
mod starting;
mod store;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::Data;
use chassis::host::Starting;
use chassis::settings::{Base, Reader};
use chassis::{Host, Service};
use common::auth::Service as Name;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio_util::sync::CancellationToken;

pub use settings::Settings;

use peers::Peers;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// What handlers and jobs work with.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) peers: Arc<Peers>,
    pub(crate) rules: settings::Rules,
}

/// The service, bound and not yet serving.
#[derive(Debug)]
pub struct Campaigns {
    starting: Starting,
    state: State,
}

impl Service for Campaigns {
    const NAME: Name = Name::Campaigns;
    const PORT: u16 = 8082;
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
        let Settings {
            base,
            leads,
            notifications,
            analytics,
            rules,
        } = settings;
        let mut starting = Starting::new(base, Self::migrations()).await?;
        let host = starting.host.clone();
        let peers = Arc::new(Peers {
            leads: host.peer(Name::Leads, leads),
            notifications: host.peer(Name::Notifications, notifications),
            analytics: host.peer(Name::Analytics, analytics),
        });
        let state = State { host, peers, rules };
        let stop = state.host.stop.clone();
        starting.spawn("jobs", jobs::runner(&state).run(2, stop.clone()));
        starting.spawn("settled campaigns", consumers::settled(&state).run(stop));
        Ok(Self { starting, state })
    }

    fn address(&self) -> SocketAddr {
        self.starting.address()
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let state = Data::new(self.state);
        let configure = move |config: &mut actix_web::web::ServiceConfig| {
            config.app_data(state.clone());
            routes::configure(config);
        };
        self.starting.run(stop, routes::openapi(), configure).await
    }
}
