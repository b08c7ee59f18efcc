//! Every service in this process: bound to free ports, told of each other, run together.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use chassis::Service;
use chassis::settings::{Listen, Source};
use common::auth::Service as Name;
use tokio_util::sync::CancellationToken;

use super::Servers;
use crate::migrate::{SCHEMAS, apply, role_url};
use crate::secrets::Secrets;

/// Services behind the gateway, with the listeners that were opened for them: all addresses are
/// known before the first service starts.
struct Listeners(Vec<(Name, TcpListener)>);

impl Listeners {
    /// Where `<SERVICE>_HTTP_ADDR` says, or on free ports.
    fn open(source: &Source) -> anyhow::Result<Self> {
        let mut read = source.reader();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let addresses = SCHEMAS.map(|schema| {
            let key = format!("{}_HTTP_ADDR", schema.service.as_str().to_uppercase());
            (schema.service, read.or(&key, anywhere))
        });
        let open = |(name, address): (Name, SocketAddr)| {
            let listener = TcpListener::bind(address);
            Ok((
                name,
                listener.with_context(|| format!("{name} cannot listen on {address}"))?,
            ))
        };
        read.finish(addresses)?
            .into_iter()
            .map(open)
            .collect::<anyhow::Result<_>>()
            .map(Self)
    }

    /// `<SERVICE>_URL` for each.
    fn announce(&self, mut source: Source) -> std::io::Result<Source> {
        for (name, listener) in &self.0 {
            let key = format!("{}_URL", name.as_str().to_uppercase());
            source = source.with(&key, format!("http://{}", listener.local_addr()?));
        }
        Ok(source)
    }

    fn take(&mut self, name: Name) -> anyhow::Result<TcpListener> {
        let at = self.0.iter().position(|(other, _)| *other == name);
        Ok(self
            .0
            .swap_remove(at.with_context(|| format!("no listener for {name}"))?)
            .1)
    }
}

/// Binds and runs all services until `stop`, or until one of them fails; then all are stopped.
pub(super) async fn run(
    source: Source,
    secrets: &Secrets,
    servers: &Servers,
    gateway: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    prepare(secrets, servers).await?;
    let mut listeners = Listeners::open(&source)?;
    let source = shared(listeners.announce(source)?, secrets, servers);
    let replica = source.reader().optional_secret("DATABASE_REPLICA_URL");
    let source = |name: Name| -> anyhow::Result<Source> {
        let as_role = |url| role_url(url, name, &password(secrets, name));
        let url = as_role(&servers.admin_url)?;
        let source = source.clone().with("DATABASE_URL", url.expose());
        Ok(match &replica {
            Some(url) => source.with("DATABASE_REPLICA_URL", as_role(url)?.expose()),
            None => source,
        })
    };
    let (identity, leads, campaigns, notifications, analytics, gateway) = tokio::try_join!(
        bind::<identity::Identity>(source(Name::Identity)?, listeners.take(Name::Identity)?),
        bind::<leads::Leads>(source(Name::Leads)?, listeners.take(Name::Leads)?),
        bind::<campaigns::Campaigns>(source(Name::Campaigns)?, listeners.take(Name::Campaigns)?),
        bind::<notifications::Notifications>(
            source(Name::Notifications)?,
            listeners.take(Name::Notifications)?
        ),
        bind::<analytics::Analytics>(source(Name::Analytics)?, listeners.take(Name::Analytics)?),
        bind::<gateway::Gateway>(source(Name::Gateway)?, gateway),
    )?;
    let (first, second, third, fourth, fifth, sixth) = tokio::join!(
        together(identity, &stop),
        together(leads, &stop),
        together(campaigns, &stop),
        together(notifications, &stop),
        together(analytics, &stop),
        together(gateway, &stop),
    );
    first
        .and(second)
        .and(third)
        .and(fourth)
        .and(fifth)
        .and(sixth)
}

/// Runs one service; if it fails, the others are asked to stop.
async fn together<S: Service>(service: S, stop: &CancellationToken) -> anyhow::Result<()> {
    let ended = service.run(stop.clone()).await;
    stop.cancel();
    ended
}

fn password(secrets: &Secrets, name: Name) -> common::values::Secret {
    secrets.derive(&format!("database {name}"))
}

/// Roles, schemas and migrations, one service after another, before any of them connects.
async fn prepare(secrets: &Secrets, servers: &Servers) -> anyhow::Result<()> {
    let (admin, secrets) = (servers.admin_url.clone(), secrets.clone());
    tokio::task::spawn_blocking(move || {
        SCHEMAS
            .iter()
            .try_for_each(|schema| apply(schema, &admin, &password(&secrets, schema.service)))
    })
    .await?
}

/// What all services read.
fn shared(source: Source, secrets: &Secrets, servers: &Servers) -> Source {
    let source = source
        .with("REDIS_URL", servers.redis_url.expose())
        .with("SMTP_URL", servers.smtp_url.expose())
        .with("HTTP_WORKERS", "1")
        .with(
            "CLARION_SERVICE_SECRET",
            secrets.derive("services").expose(),
        )
        .with("CLARION_LINK_SECRET", secrets.derive("links").expose());
    match servers.mailbox {
        Some(address) => source.with("MAILBOX_URL", format!("http://{address}")),
        None => source,
    }
}

async fn bind<S: Service>(source: Source, listener: TcpListener) -> anyhow::Result<S> {
    let mut read = source.reader();
    let settings = S::settings(&mut read);
    let mut settings = read.finish(settings)?;
    let base = S::base(&mut settings);
    base.listen = Listen::Opened(listener);
    if S::NAME != Name::Gateway {
        // What is said inside of a process needs no certificate, and its addresses have none.
        base.certificate = None;
    }
    S::bind(settings)
        .await
        .with_context(|| format!("cannot start {}", S::NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_listens_where_it_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("its address").to_string();
        let source = Source::default().with("LEADS_HTTP_ADDR", &address);
        let refused = Listeners::open(&source).err().expect("the port is taken");
        assert_eq!(
            refused.to_string(),
            format!("leads cannot listen on {address}")
        );
        drop(taken);
        let mut listeners = Listeners::open(&source).expect("the port is free");
        let leads = listeners.take(Name::Leads).expect("a listener");
        assert_eq!(
            leads.local_addr().expect("its address").to_string(),
            address
        );
        let nowhere = Source::default().with("LEADS_HTTP_ADDR", "nowhere");
        let refused = Listeners::open(&nowhere).err().expect("no address");
        assert!(refused.to_string().contains("LEADS_HTTP_ADDR"), "{refused}");
    }
}
