//! A service under test, running in its own thread on a free port.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use chassis::sealing::Vault;
use chassis::settings::Source;
use chassis::{Clock, Service};
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use common::auth::{Role, Service as Name};
use common::token::Keyring;
use common::values::Secret;
use diesel::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{Client, Database, Issuer, Servers, StubPeer};

const SERVICE_SECRET: &str = "service secret of the tests";
/// The secret that mails' tokens are signed with in tests.
const LINK_SECRET: &str = "links of the tests";

/// How a service is started for a test: settings on top of the usual ones, and which servers.
#[derive(Debug)]
pub struct Setup<'a> {
    servers: &'a Servers,
    extra: Vec<(String, String)>,
    database: Option<Arc<Database>>,
    clock: Clock,
}

impl Default for Setup<'static> {
    fn default() -> Self {
        Self::on(Servers::shared())
    }
}

impl<'a> Setup<'a> {
    /// On servers of the test's own.
    pub fn on(servers: &'a Servers) -> Self {
        // Tokens and leases count whole seconds; start at one.
        let now = DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap_or_default();
        Self {
            servers,
            extra: Vec::new(),
            database: None,
            clock: Clock::set_to(now),
        }
    }

    /// One more setting, as an environment variable.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.extra.push((key.to_owned(), value.into()));
        self
    }

    /// Real time instead of a clock that stands still.
    pub fn system_clock(mut self) -> Self {
        self.clock = Clock::System;
        self
    }

    /// Shares the database and clock of `other`: a second replica of it.
    pub fn beside<S: Service>(mut self, other: &TestService<S>) -> Self {
        self.database = Some(Arc::clone(&other.database));
        self.clock = other.clock.clone();
        self
    }

    /// On a database that was there before.
    pub fn on_database(mut self, database: Arc<Database>) -> Self {
        self.database = Some(database);
        self
    }

    /// Starts the service and waits until it listens.
    pub async fn start<S: Service>(self) -> TestService<S> {
        let database = self
            .database
            .unwrap_or_else(|| Arc::new(Database::new::<S>(self.servers)));
        let mut peers = HashMap::new();
        for name in Name::ALL {
            peers.insert(*name, StubPeer::start().await);
        }
        let mut source = usual::<S>(&database, &peers).with("REDIS_URL", self.servers.redis.url());
        for (key, value) in self.extra {
            source = source.with(&key, value);
        }
        let (address, stop, thread) = launch::<S>(source, self.clock.clone());
        TestService {
            address,
            clock: self.clock,
            workspace: WorkspaceId::new(),
            database,
            peers,
            stop,
            thread: Some(thread),
            service: std::marker::PhantomData,
        }
    }
}

/// The settings every test starts with.
fn usual<S: Service>(database: &Database, peers: &HashMap<Name, StubPeer>) -> Source {
    let name = S::NAME.as_str().to_uppercase();
    let mut source = Source::default()
        .with(&format!("{name}_HTTP_ADDR"), "127.0.0.1:0")
        .with("DATABASE_URL", database.url.expose())
        .with("DATABASE_POOL", "6")
        .with("HTTP_WORKERS", "1")
        .with("DRAIN_SECONDS", "2")
        .with("CLARION_SERVICE_SECRET", SERVICE_SECRET)
        .with("CLARION_LINK_SECRET", LINK_SECRET)
        .with("CLARION_PUBLIC_URL", "http://clarion.test");
    for (peer, stub) in peers {
        source = source.with(&format!("{}_URL", peer.as_str().to_uppercase()), stub.url());
    }
    source.with("IDENTITY_URL", Issuer::shared().url())
}

fn launch<S: Service>(
    source: Source,
    clock: Clock,
) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let token = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut read = source.reader();
        let settings = S::settings(&mut read);
        let mut settings = read.finish(settings).expect("the test's settings are good");
        S::base(&mut settings).clock = clock;
        let runtime = chassis::process::runtime().expect("a runtime");
        runtime.block_on(async move {
            let service = S::bind(settings).await.expect("the service binds");
            sender
                .send(service.address())
                .expect("the test waits for it");
            service
                .run(token)
                .await
                .expect("the service runs until it is stopped");
        });
    });
    let address = receiver.recv().expect("the service says where it listens");
    (address, stop, thread)
}

/// A running service with a database of its own. Dropping it stops the service.
#[derive(Debug)]
pub struct TestService<S: Service> {
    pub address: SocketAddr,
    pub clock: Clock,
    /// The workspace that `as_role` acts in.
    pub workspace: WorkspaceId,
    pub database: Arc<Database>,
    peers: HashMap<Name, StubPeer>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    service: std::marker::PhantomData<S>,
}

impl<S: Service> TestService<S> {
    /// With the usual settings, on the shared servers.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of a user with `role` in this test's workspace.
    pub fn as_role(&self, role: Role) -> Client {
        self.as_role_in(self.workspace, role)
    }

    /// A client of a user of another workspace.
    pub fn as_role_in(&self, workspace: WorkspaceId, role: Role) -> Client {
        let now = self.clock.now().timestamp();
        Client::new(
            self.url(),
            Some(Issuer::shared().user(workspace, role, now)),
        )
    }

    /// A client of another service.
    pub fn as_service(&self, service: Name) -> Client {
        let now = self.clock.now().timestamp();
        Client::new(self.url(), Some(Issuer::shared().service(service, now)))
    }

    /// A client without a token.
    pub fn anonymous(&self) -> Client {
        Client::new(self.url(), None)
    }

    /// The stand-in for a service that this one calls or reads.
    pub fn peer(&self, service: Name) -> &StubPeer {
        self.peers
            .get(&service)
            .expect("every service has a stand-in")
    }

    /// Signs and opens the tokens inside mails, as the services do.
    pub fn links(&self) -> Keyring {
        Keyring::new(Secret::new(LINK_SECRET))
    }

    /// Opens what the service seals where no `CLARION_DATA_KEY` is set.
    pub fn vault(&self) -> Vault {
        Vault::new(S::NAME, &Secret::new(SERVICE_SECRET))
    }

    /// A connection in the service's schema, as its role.
    pub fn connect(&self) -> PgConnection {
        self.database.connect()
    }

    /// The kinds of all events the service has written, oldest first.
    pub fn events(&self) -> Vec<String> {
        chassis::outbox::kinds(&mut self.connect()).expect("the outbox can be read")
    }

    /// Tells it to stop and does not wait.
    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits until it has.
    pub fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the service's thread was printed there; a second one helps nobody.
            thread.join().ok();
        }
    }
}

impl<S: Service> Drop for TestService<S> {
    fn drop(&mut self) {
        self.stop();
    }
}
