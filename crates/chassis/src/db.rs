//! Postgres through Diesel and r2d2, on blocking threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{Error as PoolError, ManageConnection, Pool, R2D2Connection};
use diesel::sql_types::Integer;
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl};
use tokio::sync::{Notify, Semaphore};

use crate::bell::Ringer;
use crate::error::Unavailable;
use crate::http::context;
use crate::{audit, jobs, outbox, pq};

/// How long a request waits for a connection before it is told to come back.
const CHECKOUT: Duration = Duration::from_secs(5);
/// The same where somebody else can answer.
const CHECKOUT_OF_REPLICA: Duration = Duration::from_secs(1);
/// Whoever asks may give up so long before we do.
const AHEAD: Duration = Duration::from_millis(100);

/// A pool of connections to one service's schema.
#[derive(Clone, Debug)]
pub struct Db {
    pool: Pool<Connector>,
    /// One permit per connection, so that waiting happens here and not on blocking threads.
    permits: Arc<Semaphore>,
    ringer: Ringer,
    /// Wakes this process's job runner after a commit that enqueued something.
    pub(crate) work: Arc<Notify>,
    connector: Connector,
    checkout: Duration,
}

/// Makes connections, and sets what every one of a service needs, whatever the server's defaults
/// are.
#[derive(Clone, Debug)]
struct Connector {
    url: Secret,
    setup: Arc<str>,
}

/// A connection of the pool, with the number of the process that Postgres serves it by.
struct Pooled {
    conn: PgConnection,
    pid: i32,
}

diesel::define_sql_function! {
    fn pg_backend_pid() -> Integer;
}

diesel::define_sql_function! {
    fn pg_cancel_backend(pid: Integer) -> Bool;
}

impl Connector {
    fn open(&self) -> Result<PgConnection, PoolError> {
        let conn = PgConnection::establish(self.url.expose());
        let mut conn = conn.map_err(PoolError::ConnectionError)?;
        let set = conn.batch_execute(&self.setup);
        set.map_err(PoolError::QueryError)?;
        Ok(conn)
    }
}

impl ManageConnection for Connector {
    type Connection = Pooled;
    type Error = PoolError;

    fn connect(&self) -> Result<Pooled, PoolError> {
        let mut conn = self.open()?;
        let pid = diesel::select(pg_backend_pid()).get_result(&mut conn);
        let pid = pid.map_err(PoolError::QueryError)?;
        Ok(Pooled { conn, pid })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), PoolError> {
        pooled.conn.ping().map_err(PoolError::QueryError)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        std::thread::panicking() || pooled.conn.is_broken()
    }
}

/// How far a piece of work is. It is looked at by whoever does it, and by whoever gives it up.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<Mutex<Step>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// For a connection.
    #[default]
    Waiting,
    /// Its statements run in this process of Postgres.
    Running(i32),
    /// Done, or given up before it began.
    Over,
}

impl Progress {
    fn step(&self) -> MutexGuard<'_, Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that it begins, unless it was given up.
    fn begins(&self, pid: i32) -> bool {
        let mut step = self.step();
        let goes_on = *step == Step::Waiting;
        if goes_on {
            *step = Step::Running(pid);
        }
        goes_on
    }

    fn ends(&self) {
        *self.step() = Step::Over;
    }
}

/// Whoever waits for a piece of work. When they go after the deadline of their request, the work
/// goes with them; when they go for another reason, it is done all the same.
struct Waiting<'a> {
    db: &'a Db,
    progress: Progress,
    until: Option<Instant>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let soon = Instant::now() + AHEAD;
        let late = self.until.is_some_and(|until| until <= soon);
        if !late || *self.progress.step() == Step::Over {
            return;
        }
        let (connector, progress) = (self.db.connector.clone(), self.progress.clone());
        // Not on a thread for blocking work: those may all be held by what is to be given up.
        std::thread::spawn(move || give_up(&connector, &progress));
    }
}

/// Cancels what runs. Its connection is not given back meanwhile, so nothing else is hit.
fn give_up(connector: &Connector, progress: &Progress) {
    let mut step = progress.step();
    let Step::Running(pid) = *step else {
        *step = Step::Over;
        return;
    };
    let told = connector.open().and_then(|mut conn| {
        let told: QueryResult<bool> = diesel::select(pg_cancel_backend(pid)).get_result(&mut conn);
        told.map_err(PoolError::QueryError)
    });
    if let Err(error) = told {
        tracing::warn!(%error, "a statement that nobody waits for cannot be cancelled");
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
        let connector = Connector {
            url: url.clone(),
            setup: setup.into(),
        };
        let pool = Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(0))
            .connection_timeout(checkout)
            .idle_timeout(Some(Duration::from_secs(300)))
            .build_unchecked(connector.clone());
        Self {
            pool,
            permits: Arc::new(Semaphore::new(size.max(1) as usize)),
            ringer,
            work: Arc::default(),
            connector,
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
        let conn = self.connector.open();
        conn.map_err(|error| Unavailable::because("the database", error))
    }

    /// The same without Diesel, where several statements are to go in one round trip; `more` is
    /// added to its set-up. Blocks.
    pub fn connect_pq(&self, more: &str) -> Result<pq::Connection, Unavailable> {
        let Connector { url, setup } = &self.connector;
        let conn = pq::Connection::open(url, &format!("{setup}; {more}"));
        conn.map_err(|error| Unavailable::because("the database", error))
    }

    /// Runs `work` on a connection without a transaction, on a blocking thread. Once the deadline
    /// of the current request has passed and nobody waits any more, its statement is cancelled.
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
        let (acting, progress) = (audit::current(), Progress::default());
        let _waiting = Waiting {
            db: self,
            progress: progress.clone(),
            until: context.as_ref().and_then(|context| context.until),
        };
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut pooled = pool
                .get()
                .map_err(|e| Unavailable::because("the database", e))?;
            let Pooled { conn, pid } = &mut *pooled;
            if !progress.begins(*pid) {
                return Err(Unavailable::new("whoever waited").into());
            }
            let done = audit::with(acting, || context::with(context, || work(conn)));
            progress.ends();
            done
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
