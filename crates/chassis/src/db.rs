//! Postgres through Diesel and r2d2, on blocking threads.

use std::sync::Arc;
use std::time::Duration;

use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::{Connection, PgConnection};
use tokio::sync::{Notify, Semaphore};

use crate::bell::Ringer;
use crate::error::Unavailable;
use crate::http::context;
use crate::{audit, jobs, outbox};

/// How long a request waits for a connection before it is told to come back.
const CHECKOUT: Duration = Duration::from_secs(5);
/// The same where somebody else can answer.
const CHECKOUT_OF_REPLICA: Duration = Duration::from_secs(1);

/// A pool of connections to one service's schema.
#[derive(Clone, Debug)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    /// One permit per connection, so that waiting happens here and not on blocking threads.
    permits: Arc<Semaphore>,
    ringer: Ringer,
    /// Wakes this process's job runner after a commit that enqueued something.
    pub(crate) work: Arc<Notify>,
    url: Secret,
    setup: Arc<str>,
    checkout: Duration,
}

/// Sets what every connection of a service needs, whatever the server's defaults are.
#[derive(Debug)]
struct Session {
    setup: String,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(&self.setup)
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Db {
    /// A pool that connects when it is first used. `ringer` is rung after every commit that
    /// wrote an event.
    pub fn new(url: &Secret, schema: &str, size: u32, ringer: Ringer) -> Self {
        Self::waiting(CHECKOUT, url, schema, size, ringer)
    }

    /// The same of a replica, which is given up sooner.
    pub fn of_replica(url: &Secret, schema: &str, size: u32) -> Self {
        Self::waiting(CHECKOUT_OF_REPLICA, url, schema, size, Ringer::default())
    }

    fn waiting(checkout: Duration, url: &Secret, schema: &str, size: u32, ringer: Ringer) -> Self {
        let setup = format!(
            "SET search_path TO {schema}; SET TIME ZONE 'UTC'; SET statement_timeout = '60s'; \
             SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '10s'"
        );
        let pool = Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(0))
            .connection_timeout(checkout)
            .idle_timeout(Some(Duration::from_secs(300)))
            .connection_customizer(Box::new(Session {
                setup: setup.clone(),
            }))
            .build_unchecked(ConnectionManager::new(url.expose()));
        Self {
            pool,
            permits: Arc::new(Semaphore::new(size.max(1) as usize)),
            ringer,
            work: Arc::default(),
            url: url.clone(),
            setup: setup.into(),
            checkout,
        }
    }

    /// Runs `work` in a transaction on a blocking thread; an error rolls it back.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        E: From<Unavailable> + From<diesel::result::Error> + Send + 'static,
        T: Send + 'static,
    {
        let db = self.clone();
        self.run(move |conn| db.transaction_on(conn, work)).await
    }

    /// Runs `work` in a transaction on a connection the caller holds, on this thread.
    pub fn transaction_on<T, E>(
        &self,
        conn: &mut PgConnection,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<diesel::result::Error>,
    {
        outbox::forget_pushes();
        jobs::forget_enqueued();
        let done = conn.transaction(|conn| {
            audit::announce(conn)?;
            work(conn)
        })?;
        if outbox::was_pushed() {
            self.ringer.ring();
        }
        if jobs::was_enqueued() {
            self.work.notify_one();
        }
        Ok(done)
    }

    /// A connection beside the pool, set up as the pool's are, for a worker that never gives it
    /// back. Blocks.
    pub fn connect(&self) -> Result<PgConnection, Unavailable> {
        let away = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Unavailable::because("the database", cause)
        };
        let mut conn =
            PgConnection::establish(self.url.expose()).map_err(|error| away(error.into()))?;
        conn.batch_execute(&self.setup)
            .map_err(|error| away(error.into()))?;
        Ok(conn)
    }

    /// Runs `work` on a connection without a transaction, on a blocking thread.
    pub async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        E: From<Unavailable> + Send + 'static,
        T: Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = tokio::time::timeout(self.checkout, permits.acquire_owned())
            .await
            .map_err(|_| Unavailable::new("the database pool"))?
            .map_err(|_| Unavailable::new("the database pool"))?;
        let (pool, context) = (self.pool.clone(), context::current());
        let acting = audit::current();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut pooled = pool
                .get()
                .map_err(|e| Unavailable::because("the database", e))?;
            let conn: &mut PgConnection = &mut pooled;
            audit::with(acting, || context::with(context, || work(conn)))
        });
        task.await
            .unwrap_or_else(|panic| Err(Unavailable::because("the database", panic).into()))
    }

    /// Whether a query gets an answer.
    pub async fn ping(&self) -> Result<(), Unavailable> {
        self.run(|conn| {
            conn.batch_execute("SELECT 1")
                .map_err(|e| Unavailable::because("the database", e))
        })
        .await
    }

    /// Connections open and idle, for the gauges.
    pub fn state(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }
}
