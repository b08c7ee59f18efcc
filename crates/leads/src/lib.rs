//! Leads, lists, segments, imports, consent and suppression: who may be written to.

mod api;
mod consumers;
mod domain;
mod error;
mod forgetting;
mod jobs;
mod mails;
mod routes;
mod schema;
mod settings;
mod state;
mod store;
mod subscribing;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::Data;
use chassis::Service;
use chassis::host::Starting;
use chassis::jobs::Runner;
use chassis::settings::{Base, Reader};
use common::auth::Service as Name;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use crate::jobs::import::RunImport;
use crate::mails::Post;
pub use crate::settings::Settings;
use crate::state::State;

/// How many imports, and how many mails, are worked on at once in one process.
const LANES: usize = 2;

/// The service `leads`, bound to its address.
pub struct Leads {
    starting: Starting,
    state: State,
}

impl std::fmt::Debug for Leads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leads({})", self.starting.address())
    }
}

impl Service for Leads {
    const NAME: Name = Name::Leads;
    const PORT: u16 = 8083;
    type Settings = Settings;

    fn migrations() -> EmbeddedMigrations {
        const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
        MIGRATIONS
    }

    fn settings(read: &mut Reader<'_>) -> Settings {
        let base = Base::read(read, Self::NAME, Self::PORT);
        Settings::read(read, base)
    }

    fn base(settings: &mut Settings) -> &mut Base {
        &mut settings.base
    }

    async fn bind(settings: Settings) -> anyhow::Result<Self> {
        let mut starting = Starting::new(settings.base, Self::migrations()).await?;
        let host = starting.host.clone();
        let notifications = host.peer(Name::Notifications, settings.notifications);
        let post = Post {
            notifications: Arc::clone(&notifications),
            public_url: settings.public_url,
        };
        let state = State::new(host.clone(), settings.keys, post, settings.import_limit);

        let analytics = host.peer(Name::Analytics, settings.analytics);
        let bounces = consumers::bounces(&host, notifications);
        let engagement = consumers::engagement(&host, analytics);
        starting.spawn("bounces", bounces.run(host.stop.clone()));
        starting.spawn("engagement", engagement.run(host.stop.clone()));

        let importer = state.clone();
        let runner = Runner::new(&host)
            .on(move |job: RunImport, attempt| jobs::import::run(importer.clone(), job, attempt));
        starting.spawn("imports", runner.run(LANES, host.stop.clone()));
        let asking = state.clone();
        let mails =
            Runner::new(&host).on(move |job, attempt| mails::run(asking.clone(), job, attempt));
        starting.spawn("mails", mails.run(LANES, host.stop.clone()));
        starting.spawn("what is over", jobs::sweep::run(host));
        Ok(Self { starting, state })
    }

    fn address(&self) -> SocketAddr {
        self.starting.address()
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let state = self.state;
        self.starting
            .run(stop, routes::Document::openapi(), move |config| {
                config.app_data(Data::new(state.clone()));
                routes::routes(config);
            })
            .await
    }
}
