//! Analytics: takes events, clicks and opens, tells people from machines, and answers questions.
//!
//! An event that was answered with success is committed.

pub mod api;
pub mod consumers;
pub mod countries;
pub mod domain;
pub mod error;
pub mod jobs;
pub mod keys;
pub mod live;
pub mod metrics;
pub mod pipeline;
pub mod rescore;
pub mod routes;
pub mod schema;
pub mod settings;
pub mod store;
pub mod visits;

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::Service;
use chassis::host::Starting;
use chassis::reads::Reads;
use chassis::settings::{Base, Reader};
use common::auth::Service as Name;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

pub use api::ingest::ReceiptView;
pub use settings::Settings;

use keys::WriteKeys;
use live::Live;
use metrics::Counters;
use pipeline::Pipeline;
use visits::Visits;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The service.
#[derive(Debug)]
pub struct Analytics {
    starting: Starting,
    state: api::State,
}

impl Service for Analytics {
    const NAME: Name = Name::Analytics;
    const PORT: u16 = 8085;
    type Settings = Settings;

    fn migrations() -> EmbeddedMigrations {
        MIGRATIONS
    }

    fn settings(read: &mut Reader<'_>) -> Settings {
        Settings::read(read, Self::PORT)
    }

    fn base(settings: &mut Settings) -> &mut Base {
        &mut settings.base
    }

    async fn bind(settings: Settings) -> anyhow::Result<Self> {
        let mut starting = Starting::new(settings.base, Self::migrations()).await?;
        let host = starting.host.clone();
        jobs::maintain::at_start(&host).await?;
        let reads = Reads::start(&mut starting, &settings.replica);
        let (live, commits) = Live::new();
        starting.spawn("live", live::run(host.clone(), live.clone(), commits));
        let counters = Counters::new(&host.metrics);
        let pipeline = Pipeline::start(&mut starting, settings.limits, &counters, &live);
        let maintenance = jobs::maintain::run(host.clone(), settings.retention_days, settings.past);
        starting.spawn("maintenance", maintenance);
        starting.spawn("roll-up", jobs::roll_up::run(host.clone()));
        starting.spawn("clicks", jobs::tell::run(host.clone()));
        let visits = Visits::new(&host).await?;
        let flushing = visits.clone().run(host.clone(), settings.visits_flush);
        starting.spawn("visits", flushing);
        let leads = host.peer(Name::Leads, settings.leads_url);
        let look_up = jobs::look_up::run(
            host.clone(),
            Arc::clone(&leads),
            Arc::clone(&pipeline.addresses),
        );
        starting.spawn("addresses", look_up);
        starting.spawn("erasures", jobs::erase::run(host.clone()));
        let leads = consumers::leads(&host, leads, Arc::clone(&pipeline.addresses));
        starting.spawn("feed of leads", leads.run(host.stop.clone()));
        let state = api::State {
            host,
            reads,
            pipeline,
            counters,
            keyring: settings.keyring,
            salt: settings.salt,
            address: settings.address,
            link_days: settings.link_days,
            countries: settings.countries,
            data_centres: Arc::new(settings.data_centres),
            keys: WriteKeys::default(),
            live,
            visits,
            public_url: settings.public_url,
        };
        Ok(Self { starting, state })
    }

    fn address(&self) -> SocketAddr {
        self.starting.address()
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let routes = routes::routes(self.state);
        let documentation = routes::Documentation::openapi();
        self.starting.run(stop, documentation, routes).await
    }
}
