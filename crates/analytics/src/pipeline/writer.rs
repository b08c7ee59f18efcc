//! A writer: takes what waits, commits it together, answers. It owns its connections and a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chassis::error::{is_away, violated_unique};
use chassis::{Clock, Db, Host, Unavailable, pq};
use diesel::PgConnection;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::NotStored;
use super::batch::Batch;
use super::queue::{Outlet, Turn};
use crate::live::Live;
use crate::metrics::Counters;
use crate::store::batches::AT_ONCE;

/// Most rows of one commit; a request's events are never split.
const BATCH_ROWS: usize = 5000;
/// How long a batch of reported events is tried again while Postgres is away.
const PATIENCE: Duration = Duration::from_secs(3);
/// Batches that are written step by step after one in which an id came again: clients that lost
/// answers send all they have once more.
const WARY: u32 = 50;
/// Between two attempts to reach Postgres.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Writer {
    db: Db,
    clock: Clock,
    stop: CancellationToken,
    queue: Outlet,
    away: Arc<AtomicBool>,
    counters: Counters,
    /// Rung when addresses are to be looked up.
    addresses: Arc<Notify>,
    live: Live,
    /// Whether it writes hits: it looks for bursts of clicks, and keeps a batch until Postgres is
    /// back, because whoever clicked will not click again for our sake.
    hits: bool,
    conn: Option<PgConnection>,
    /// For what goes in two round trips.
    quick: Option<pq::Connection>,
    /// So many batches yet are written step by step, because ids came again of late.
    wary: u32,
}

/// Why a batch was not written.
enum Trouble {
    /// Postgres is away, or undid the transaction for reasons that pass: try again.
    Passing(String),
    /// Postgres refuses these rows.
    Refused(QueryError),
}

impl Writer {
    pub(super) fn new(
        host: &Host,
        queue: &Outlet,
        away: &Arc<AtomicBool>,
        counters: Counters,
        addresses: &Arc<Notify>,
        live: &Live,
        hits: bool,
    ) -> Self {
        Self {
            db: host.db.clone(),
            clock: host.clock.clone(),
            stop: host.stop.clone(),
            queue: queue.clone(),
            away: Arc::clone(away),
            counters,
            addresses: Arc::clone(addresses),
            live: live.clone(),
            hits,
            conn: None,
            quick: None,
            wary: 0,
        }
    }

    /// Works until nobody can submit any more and everything is answered.
    pub(super) fn run(mut self) {
        let queue = self.queue.clone();
        while let Some((submissions, mut turn)) = queue.take(BATCH_ROWS) {
            let (batch, started) = (Batch::new(submissions), Instant::now());
            self.counters.batch_rows.observe(batch.rows() as f64);
            self.commit(batch, &mut turn);
            drop(turn);
            self.counters
                .commit_seconds
                .observe(started.elapsed().as_secs_f64());
            if self.away.load(Ordering::Relaxed) {
                self.come_back();
            }
        }
    }

    /// Writes a batch, again if need be, and answers its requests.
    fn commit(&mut self, mut batch: Batch, turn: &mut Turn<'_>) {
        let patience = Instant::now() + PATIENCE;
        loop {
            match self.attempt(&mut batch, turn) {
                Ok(()) => {
                    if batch.tells_addresses {
                        self.addresses.notify_one();
                    }
                    for (workspace, since) in batch.since() {
                        self.live.committed(workspace, since);
                    }
                    return batch.answer();
                }
                Err(Trouble::Refused(error)) => return self.one_by_one(batch, turn, &error),
                Err(Trouble::Passing(cause)) if self.goes_on(patience) => {
                    tracing::warn!(batch.id = %batch.id, rows = batch.rows(), cause, "a batch is tried again");
                    std::thread::sleep(PAUSE);
                }
                Err(Trouble::Passing(cause)) => {
                    tracing::error!(batch.id = %batch.id, rows = batch.rows(), cause, "a batch is given back");
                    return batch.refuse(NotStored::Away);
                }
            }
        }
    }

    /// Whether to try again after trouble that passes.
    fn goes_on(&self, patience: Instant) -> bool {
        let stopping = self.stop.is_cancelled() && self.away.load(Ordering::Relaxed);
        !stopping && (self.hits || Instant::now() < patience)
    }

    fn attempt(&mut self, batch: &mut Batch, turn: &mut Turn<'_>) -> Result<(), Trouble> {
        if !self.hits && batch.is_plain() {
            match self.wary.checked_sub(1) {
                Some(left) => self.wary = left,
                None => match self.at_once(batch) {
                    Err(Trouble::Refused(error))
                        if violated_unique(&error) == Some("event_ids_pkey") =>
                    {
                        self.wary = WARY;
                    }
                    done => return done,
                },
            }
        }
        self.step_by_step(batch, turn)
    }

    fn at_once(&mut self, batch: &mut Batch) -> Result<(), Trouble> {
        let conn = match &mut self.quick {
            Some(conn) => conn,
            None => {
                let connected = self.db.connect_pq(AT_ONCE);
                self.away.store(connected.is_err(), Ordering::Relaxed);
                self.quick
                    .insert(connected.map_err(|error| unreached(&error))?)
            }
        };
        // The next batch waits for the end: begun sooner it would be a smaller one, which costs more
        // than the disk's time is worth.
        let done = batch.write_at_once(conn, self.clock.now());
        done.map_err(|error| self.trouble(error))
    }

    fn step_by_step(&mut self, batch: &mut Batch, turn: &mut Turn<'_>) -> Result<(), Trouble> {
        if self.conn.is_none() {
            self.connect()?;
        }
        let Some(conn) = &mut self.conn else {
            return Err(Trouble::Passing("no connection".into()));
        };
        let done = batch.write(&self.db, conn, self.clock.now(), self.hits, || {
            turn.only_waits()
        });
        done.map_err(|error| self.trouble(error))
    }

    fn trouble(&mut self, error: QueryError) -> Trouble {
        if is_away(&error) {
            (self.conn, self.quick) = (None, None);
            Trouble::Passing(error.to_string())
        } else if passes(&error) {
            Trouble::Passing(error.to_string())
        } else {
            Trouble::Refused(error)
        }
    }

    fn connect(&mut self) -> Result<(), Trouble> {
        let connected = self.db.connect();
        self.away.store(connected.is_err(), Ordering::Relaxed);
        self.conn = Some(connected.map_err(|error| unreached(&error))?);
        Ok(())
    }

    /// Postgres refuses the batch as a whole: finds out whose rows it are, so that the others
    /// are not refused with them.
    fn one_by_one(&mut self, batch: Batch, turn: &mut Turn<'_>, error: &QueryError) {
        tracing::error!(batch.id = %batch.id, rows = batch.rows(), %error, "a batch was refused");
        for mut single in batch.split() {
            match self.attempt(&mut single, turn) {
                Ok(()) => single.answer(),
                Err(Trouble::Passing(_)) => single.refuse(NotStored::Away),
                Err(Trouble::Refused(_)) => single.refuse(NotStored::Failed),
            }
        }
    }

    /// Refuses what still waits, and everything new, until Postgres answers again.
    fn come_back(&mut self) {
        while self.connect().is_err() {
            Batch::new(self.queue.clear()).refuse(NotStored::Away);
            if self.stop.is_cancelled() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        tracing::info!("the database answers again");
    }
}

fn unreached(error: &Unavailable) -> Trouble {
    Trouble::Passing(match &error.cause {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    })
}

/// Whether the same transaction may well succeed the next time.
fn passes(error: &QueryError) -> bool {
    const SIGNS: [&str; 5] = [
        "deadlock detected",
        "lock timeout",
        "statement timeout",
        // Somebody may make room.
        "No space left on device",
        "File too large",
    ];
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        // Another attempt of this very batch got through in the meantime.
        QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
            info.constraint_name() == Some("ingest_batches_pkey")
        }
        QueryError::DatabaseError(_, info) => {
            SIGNS.iter().any(|sign| info.message().contains(sign))
        }
        _ => false,
    }
}
