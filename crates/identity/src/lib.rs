//! Workspaces, people, roles, sign-in, tokens and API keys: who somebody is and what they may do.

mod api;
mod bootstrap;
mod domain;
mod error;
mod keys;
mod mails;
mod oidc;
pub mod operator;
mod passwords;
mod revoking;
mod routes;
mod schema;
mod sealed;
mod sessions;
mod settings;
mod state;
mod store;
mod throttle;
mod tokens;
mod trail;

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::web::Data;
use chassis::auth::Verifier;
use chassis::host::Starting;
use chassis::settings::{Base, Reader};
use chassis::{Host, Service, client};
use common::auth::{KeySet, Service as Name};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use crate::keys::Keys;
use crate::oidc::Provider;
use crate::passwords::Passwords;
pub use crate::settings::{FirstOwner, Registration, Settings};
use crate::state::State;

/// The service `identity`, bound to its address.
pub struct Identity {
    starting: Starting,
    state: State,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.starting.address())
    }
}

impl Service for Identity {
    const NAME: Name = Name::Identity;
    const PORT: u16 = 8081;
    type Settings = Settings;

    fn migrations() -> EmbeddedMigrations {
        const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
        MIGRATIONS
    }

    fn settings(read: &mut Reader<'_>) -> Settings {
        Settings::read(read, Self::PORT)
    }

    fn base(settings: &mut Settings) -> &mut Base {
        &mut settings.base
    }

    async fn bind(settings: Settings) -> anyhow::Result<Self> {
        let service_secret = settings.base.service_secret.clone();
        let clock = settings.base.clock.clone();
        // It holds the keys itself; they are handed in as soon as they are read.
        let verifier = Verifier::local(KeySet::default(), clock);
        let mut starting =
            Starting::with_verifier(settings.base, Self::migrations(), verifier).await?;
        let host = starting.host.clone();
        sealed::everything(&host, &settings.vault).await?;
        let keys = Keys::start(&host, settings.vault.clone()).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let noting = [
            (Name::Leads, settings.leads_url),
            (Name::Campaigns, settings.campaigns_url),
            (Name::Notifications, settings.notifications_url.clone()),
            (Name::Analytics, settings.analytics_url),
        ];
        let oidc = settings.oidc.zip(settings.public_url.clone());
        let oidc = oidc.map(|(oidc, public_url)| {
            Provider::new(oidc, &public_url, client::http(), host.clock.clone())
        });
        let post = settings.notifications_url.zip(settings.public_url);
        let post = post.map(|(url, public_url)| mails::Post {
            notifications: host.peer(Name::Notifications, url),
            public_url,
        });
        let state = State {
            post,
            oidc,
            keys: keys.clone(),
            passwords: Passwords::new(cores)?,
            registration: settings.registration,
            service_secret,
            vault: settings.vault,
            host: host.clone(),
        };
        let own = state.clone();
        host.tokens.sign_by(move || {
            let issued = api::services::issue(&own, Self::NAME);
            issued.map_err(|error| chassis::Unavailable::because("the signing key", error))
        });
        if let Some(first) = settings.first_owner {
            bootstrap::first_owner(&state, first).await?;
        }
        let (host_stop, host_of_trail) = (host.stop.clone(), host.clone());
        starting.spawn("signing keys", keys.follow(host.clone()));
        starting.spawn("expired tokens", forget_expired(host));
        starting.spawn("own trail", trail::follow_own(state.clone()));
        for (service, url) in noting {
            if let Some(url) = url {
                let peer = host_of_trail.peer(service, url);
                starting.spawn("trail", trail::follow(state.clone(), peer));
            }
        }
        starting.spawn("mails", mails::runner(&state).run(1, host_stop));
        starting.spawn("telling revocations", revoking::keep_telling(state.clone()));
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

/// Deletes refresh tokens a day after they expired.
async fn forget_expired(host: Host) {
    const EVERY: Duration = Duration::from_secs(3600);
    loop {
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let before = host.clock.now() - chrono::Duration::days(1);
        let pruned = host
            .db
            .run(move |conn| {
                store::mail_tokens::prune(conn, before)?;
                Ok::<_, error::Error>(store::refresh_tokens::prune(conn, before)?)
            })
            .await;
        match pruned {
            Ok(count) => tracing::debug!(count, "expired refresh tokens forgotten"),
            Err(error) => tracing::warn!(%error, "expired refresh tokens stay for now"),
        }
    }
}
