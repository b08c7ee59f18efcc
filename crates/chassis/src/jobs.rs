//! Background work in Postgres: enqueued with the fact that needs it, claimed by a short lease,
//! run outside any transaction.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Int4, Int8, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use futures::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Unavailable;
use crate::host::Host;
use crate::schema::jobs;
use crate::{Clock, Db};

/// How long a claim holds without renewal; a killed worker's job is taken up after this.
const LEASE: Duration = Duration::from_secs(15);
/// How long a job that panicked waits; a bug seldom goes away by itself.
const AFTER_PANIC: Duration = Duration::from_secs(60);
/// How often an idle worker looks when nothing was enqueued in its own process.
const POLL: Duration = Duration::from_millis(500);

thread_local! {
    /// Whether the running transaction enqueued a job. A transaction runs on one thread.
    static ENQUEUED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn forget_enqueued() {
    ENQUEUED.set(false);
}

pub(crate) fn was_enqueued() -> bool {
    ENQUEUED.get()
}

/// A kind of work: ids only, no copies of rows.
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    const KIND: &'static str;

    /// Jobs with the same key are one job while the first is unfinished.
    fn unique_key(&self) -> Option<String> {
        None
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Done,
    /// Run it again after this time.
    RetryAfter(Duration, String),
    /// Never run it again; the reason is logged.
    GiveUp(String),
}

impl Done {
    /// Run it again for a day, after longer and longer pauses; then never again.
    pub fn again_for_a_day(attempt: u32, reason: String) -> Self {
        const TRIES: u32 = 300;
        match attempt >= TRIES {
            true => Self::GiveUp(reason),
            false => {
                let pause = Duration::from_secs(u64::from(attempt.min(60)) * 5);
                Self::RetryAfter(pause, reason)
            }
        }
    }
}

/// Enqueues on the caller's connection: it exists with the caller's commit, or not at all.
pub fn enqueue<J: Job>(conn: &mut PgConnection, job: &J, run_at: DateTime<Utc>) -> QueryResult<()> {
    let payload = serde_json::to_value(job)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    ENQUEUED.set(true);
    diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(Uuid::now_v7()),
            jobs::kind.eq(J::KIND),
            jobs::payload.eq(payload),
            jobs::unique_key.eq(job.unique_key()),
            jobs::run_at.eq(run_at),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

type Run =
    dyn Fn(serde_json::Value, u32) -> Pin<Box<dyn Future<Output = Done> + Send>> + Send + Sync;

/// Runs jobs of the kinds it was given.
#[derive(Clone)]
pub struct Runner {
    db: Db,
    clock: Clock,
    kinds: HashMap<&'static str, Arc<Run>>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Runner").field(&self.kinds.keys()).finish()
    }
}

#[derive(Clone, QueryableByName)]
struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Jsonb)]
    payload: serde_json::Value,
    #[diesel(sql_type = Int4)]
    attempts: i32,
    #[diesel(sql_type = SqlUuid)]
    lease: Uuid,
}

impl Runner {
    pub fn new(host: &Host) -> Self {
        Self {
            db: host.db.clone(),
            clock: host.clock.clone(),
            kinds: HashMap::new(),
        }
    }

    /// Says how jobs of type `J` are run; the second argument counts attempts from 1.
    pub fn on<J: Job, F>(mut self, run: impl Fn(J, u32) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Done> + Send + 'static,
    {
        let run = move |payload, attempt| -> Pin<Box<dyn Future<Output = Done> + Send>> {
            match serde_json::from_value(payload) {
                Ok(job) => Box::pin(run(job, attempt)),
                Err(error) => Box::pin(async move { Done::GiveUp(format!("unreadable: {error}")) }),
            }
        };
        self.kinds.insert(J::KIND, Arc::new(run));
        self
    }

    /// Works until `stop`, `lanes` jobs at a time.
    pub async fn run(self, lanes: usize, stop: CancellationToken) {
        let lane = || async {
            while !stop.is_cancelled() {
                match self.step().await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "jobs cannot be claimed at the moment"),
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.db.work.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        };
        futures::future::join_all((0..lanes).map(|_| lane())).await;
    }

    /// Runs every job that is due, one after another; for tests, which move the clock instead
    /// of waiting.
    pub async fn run_due(&self) -> usize {
        let mut count = 0;
        while matches!(self.step().await, Ok(true)) {
            count += 1;
        }
        count
    }

    /// Claims and runs one job; false when none is due.
    async fn step(&self) -> Result<bool, JobError> {
        let kinds: Vec<&'static str> = self.kinds.keys().copied().collect();
        let now = self.clock.now();
        let claimed = self
            .db
            .run(move |conn| Ok::<_, JobError>(claim(conn, &kinds, now)?))
            .await?;
        let Some(job) = claimed else { return Ok(false) };
        let Some(run) = self.kinds.get(job.kind.as_str()) else {
            return Ok(false);
        };
        // A panic is one job's failure; it must not take the other jobs and the service along.
        let work =
            AssertUnwindSafe(async { run(job.payload.clone(), job.attempts.unsigned_abs()).await });
        let done = tokio::select! {
            done = work.catch_unwind() => done.unwrap_or_else(|_| panicked(&job)),
            () = self.keep_lease(&job) => return Ok(true),
        };
        let now = self.clock.now();
        self.db
            .run(move |conn| Ok::<_, JobError>(settle(conn, &job, done, now)?))
            .await?;
        Ok(true)
    }

    /// Renews the lease; ends only when the lease is lost to another worker.
    async fn keep_lease(&self, job: &Claimed) {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            let (id, lease, until) = (job.id, job.lease, self.clock.now() + LEASE);
            let renewed = self
                .db
                .run(move |conn| {
                    let row = jobs::table.find(id).filter(jobs::lease.eq(lease));
                    let set = jobs::lease_until.eq(until);
                    Ok::<_, JobError>(diesel::update(row).set(set).execute(conn)?)
                })
                .await;
            if matches!(renewed, Ok(0)) {
                tracing::warn!(job.id = %job.id, job.kind = job.kind, "lease lost, work abandoned");
                return;
            }
        }
    }
}

fn panicked(job: &Claimed) -> Done {
    tracing::error!(job.id = %job.id, job.kind = job.kind, "job panicked");
    Done::RetryAfter(AFTER_PANIC, "panicked".to_owned())
}

/// Claims the oldest due job of these kinds that nobody holds.
fn claim(
    conn: &mut PgConnection,
    kinds: &[&'static str],
    now: DateTime<Utc>,
) -> QueryResult<Option<Claimed>> {
    sql_query(
        "UPDATE jobs SET lease = $1, lease_until = $2, attempts = attempts + 1
         WHERE id = (
             SELECT id FROM jobs
             WHERE kind = ANY($3) AND run_at <= $4 AND (lease_until IS NULL OR lease_until < $4)
             ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, payload, attempts, lease",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Timestamptz, _>(now + LEASE)
    .bind::<Array<Text>, _>(kinds)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .optional()
}

/// Writes how a run ended, unless the lease has passed to another worker.
fn settle(
    conn: &mut PgConnection,
    job: &Claimed,
    done: Done,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let held = jobs::table.find(job.id).filter(jobs::lease.eq(job.lease));
    match done {
        Done::Done => diesel::delete(held).execute(conn)?,
        Done::GiveUp(reason) => {
            tracing::error!(job.id = %job.id, job.kind = job.kind, reason, "job given up");
            diesel::delete(held).execute(conn)?
        }
        Done::RetryAfter(pause, reason) => diesel::update(held)
            .set((
                jobs::run_at.eq(now + pause),
                jobs::lease.eq(None::<Uuid>),
                jobs::lease_until.eq(None::<DateTime<Utc>>),
                jobs::last_error.eq(Some(reason)),
            ))
            .execute(conn)?,
    };
    Ok(())
}

/// How many jobs wait, for the gauge.
pub fn waiting(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = Int8)]
        count: i64,
    }
    sql_query("SELECT count(*) AS count FROM jobs WHERE run_at <= $1")
        .bind::<Timestamptz, _>(now)
        .get_result::<Count>(conn)
        .map(|row| row.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_for_a_day() {
        let (mut waited, mut attempt) = (Duration::ZERO, 1);
        while let Done::RetryAfter(pause, _) = Done::again_for_a_day(attempt, "away".into()) {
            waited += pause;
            attempt += 1;
        }
        let hours = waited.as_secs() / 3600;
        assert!((20..=28).contains(&hours), "{hours} hours");
    }
}
