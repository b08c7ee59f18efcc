//! Runs an import batch by batch. Each batch and the place to go on from commit together, so a
//! run that was killed loses nothing and repeats nothing, whoever takes it up.

use std::time::Duration;

use chassis::jobs::{Done, Job};
use chassis::{Unavailable, outbox};
use chrono::{DateTime, Utc};
use common::events::LeadsImported;
use common::{ImportId, WorkspaceId};
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::{Connection, PgConnection};
use serde::{Deserialize, Serialize};

use crate::domain::batch::Batch;
use crate::domain::columns::Plan;
use crate::domain::csv::MAX_ROW;
use crate::state::State;
use crate::store::imports::{self, CHUNK, Import};
use crate::store::staging::{Consent, Upserted};
use crate::store::{lists, staging};

/// Rows of one batch.
const BATCH_ROWS: i64 = 50_000;
/// The window that a batch is read from.
const WINDOW_CHUNKS: usize = 33;
// It holds the longest row, also when an earlier batch has read most of its first chunk.
const _: () = assert!((WINDOW_CHUNKS - 1) * CHUNK > MAX_ROW);
/// Failures in a row that are our own before an import is given up.
const ATTEMPTS: u32 = 20;

/// Reads an uploaded file into leads.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunImport {
    pub workspace: WorkspaceId,
    pub import: ImportId,
}

impl Job for RunImport {
    const KIND: &'static str = "leads.import";

    fn unique_key(&self) -> Option<String> {
        Some(self.import.to_string())
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("the plan of the import cannot be read: {0}")]
    Plan(#[from] serde_json::Error),
}

/// What a step came to.
enum Step {
    Next(Box<Import>),
    Ended,
}

pub(crate) async fn run(state: State, job: RunImport, attempt: u32) -> Done {
    match go_on(&state, &job).await {
        Ok(true) => Done::Done,
        Ok(false) => Done::RetryAfter(Duration::ZERO, "the process is stopping".into()),
        Err(failure) if lasting(&failure) && attempt >= ATTEMPTS => {
            let reason = "it could not be carried out; the operator's log says why";
            give_up(&state, &job, reason).await;
            Done::GiveUp(failure.to_string())
        }
        Err(failure) => {
            tracing::warn!(import.id = %job.import, %failure, "an import pauses");
            Done::RetryAfter(pause(&failure, attempt), failure.to_string())
        }
    }
}

/// Whether trying again is unlikely to help.
fn lasting(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable(_) => false,
        Failure::Query(error) => !chassis::error::is_away(error),
        Failure::Plan(_) => true,
    }
}

fn pause(failure: &Failure, attempt: u32) -> Duration {
    match failure {
        // A deadlock's loser has nothing to wait for.
        Failure::Query(QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => {
            Duration::ZERO
        }
        _ => Duration::from_secs(u64::from(attempt.min(10))),
    }
}

/// Works until the import has ended (true) or the process stops (false). While one batch is being
/// written, the next is read.
async fn go_on(state: &State, job: &RunImport) -> Result<bool, Failure> {
    let Some(mut import) = start(state, job).await? else {
        return Ok(true);
    };
    let plan: Plan = serde_json::from_value(import.plan.clone())?;
    let mut batch = read(state, &plan, place(&import)).await?;
    loop {
        if state.host.stop.is_cancelled() {
            return Ok(false);
        }
        let (last, after) = (batch.last, after(place(&import), &batch));
        let write = write(state, import, batch);
        let (step, next) = if last {
            (write.await?, None)
        } else {
            let (step, next) = tokio::join!(write, read(state, &plan, after));
            (step?, Some(next?))
        };
        match (step, next) {
            (Step::Next(moved), Some(next)) => (import, batch) = (*moved, next),
            _ => return Ok(true),
        }
    }
}

/// Where in a file of how many bytes reading goes on.
#[derive(Clone, Copy)]
struct Place {
    workspace: WorkspaceId,
    import: ImportId,
    byte: usize,
    line: u64,
    bytes: usize,
}

fn place(import: &Import) -> Place {
    Place {
        workspace: import.workspace_id,
        import: import.id,
        byte: usize::try_from(import.next_byte).unwrap_or(0),
        line: import.next_line.unsigned_abs(),
        bytes: usize::try_from(import.bytes).unwrap_or(0),
    }
}

fn after(place: Place, batch: &Batch) -> Place {
    Place {
        byte: place.byte + batch.next_at,
        line: batch.next_line,
        ..place
    }
}

/// Marks the import as running; nothing when it has ended in the meantime.
async fn start(state: &State, job: &RunImport) -> Result<Option<Import>, Failure> {
    let (workspace, id, now) = (job.workspace, job.import, state.host.clock.now());
    state
        .host
        .db
        .transaction(move |conn| {
            let Some(mut import) = imports::lock(conn, workspace, id)?.filter(|i| !i.ended())
            else {
                return Ok(None);
            };
            if import.status == "queued" {
                import.status = "running".into();
                import.started_at = Some(now);
                imports::update(conn, &import)?;
            }
            Ok(Some(import))
        })
        .await
}

async fn read(state: &State, plan: &Plan, place: Place) -> Result<Batch, Failure> {
    let plan = plan.clone();
    state
        .host
        .db
        .run(move |conn| {
            let window = imports::window(
                conn,
                place.workspace,
                place.import,
                place.byte,
                WINDOW_CHUNKS,
            )?;
            let last = place.byte + window.len() >= place.bytes;
            Ok(Batch::read(&plan, &window, place.line, last, BATCH_ROWS))
        })
        .await
}

/// Commits a batch with the place to go on from.
async fn write(state: &State, import: Import, batch: Batch) -> Result<Step, Failure> {
    let now = state.host.clock.now();
    let rows = state.import_rows.clone();
    state
        .host
        .db
        .transaction(move |conn| {
            let current = imports::lock(conn, import.workspace_id, import.id)?;
            let current =
                current.filter(|c| c.status == "running" && c.next_byte == import.next_byte);
            let Some(mut import) = current else {
                // Cancelled, or another worker has taken over.
                return Ok(Step::Ended);
            };
            if let Some(list) = import.list_id
                && lists::keep(conn, import.workspace_id, list)?.is_none()
            {
                fail(conn, import, "its list was deleted", now)?;
                return Ok(Step::Ended);
            }
            let done = apply(conn, &import, &batch, now)?;
            add_up(&mut import, &batch, done);
            rows.with_label_values(&["created"])
                .inc_by(done.created.unsigned_abs());
            rows.with_label_values(&["updated"])
                .inc_by(done.updated.unsigned_abs());
            rows.with_label_values(&["rejected"])
                .inc_by(batch.rejected.len() as u64);
            if batch.last {
                finish(conn, &mut import, now)?;
            }
            imports::update(conn, &import)?;
            Ok(match batch.last {
                true => Step::Ended,
                false => Step::Next(Box::new(import)),
            })
        })
        .await
}

/// Writes the batch's people and refused rows. A dry run counts what would happen, and undoes it.
fn apply(
    conn: &mut PgConnection,
    import: &Import,
    batch: &Batch,
    now: DateTime<Utc>,
) -> Result<Upserted, Failure> {
    imports::add_errors(conn, import.workspace_id, import.id, &batch.rejected)?;
    if batch.leads.is_empty() {
        return Ok(Upserted::default());
    }
    if !import.dry_run {
        return Ok(upsert(conn, import, batch, now)?);
    }
    let mut done = Upserted::default();
    let undone = conn.transaction(|conn| {
        done = upsert(conn, import, batch, now)?;
        Err::<(), _>(QueryError::RollbackTransaction)
    });
    match undone {
        Err(QueryError::RollbackTransaction) => Ok(done),
        other => other.map(|()| done).map_err(Into::into),
    }
}

fn upsert(
    conn: &mut PgConnection,
    import: &Import,
    batch: &Batch,
    now: DateTime<Utc>,
) -> Result<Upserted, QueryError> {
    let (workspace, id) = (import.workspace_id, import.id.0);
    staging::fill(conn, &batch.leads)?;
    let consent = Consent::of(import);
    let done = staging::upsert(conn, workspace, id, consent, &batch.leads, now)?;
    if let Some(list) = import.list_id {
        staging::join_list(conn, workspace, list, &import.list_status, id, now)?;
    }
    Ok(done)
}

/// Every row is counted once: created, updated, unchanged or rejected.
fn add_up(import: &mut Import, batch: &Batch, done: Upserted) {
    let people = batch.leads.len() as i64;
    import.next_byte += batch.next_at as i64;
    import.next_line = i64::try_from(batch.next_line).unwrap_or(i64::MAX);
    import.rows += batch.rows;
    import.created += done.created;
    import.updated += done.updated + batch.repeated_updated;
    import.unchanged += people - done.created - done.updated + batch.repeated_unchanged;
    import.rejected += batch.rejected.len() as i64;
}

fn finish(
    conn: &mut PgConnection,
    import: &mut Import,
    now: DateTime<Utc>,
) -> Result<(), QueryError> {
    import.status = "done".into();
    import.finished_at = Some(now);
    imports::drop_chunks(conn, import.workspace_id, import.id)?;
    if import.dry_run {
        return Ok(());
    }
    let event = LeadsImported {
        import_id: import.id,
        created: import.created,
        updated: import.updated,
        rejected: import.rejected,
    };
    outbox::push(conn, import.workspace_id, &event)
}

fn fail(
    conn: &mut PgConnection,
    mut import: Import,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), QueryError> {
    import.status = "failed".into();
    import.failure = Some(reason.to_owned());
    import.finished_at = Some(now);
    imports::update(conn, &import)?;
    imports::drop_chunks(conn, import.workspace_id, import.id)?;
    Ok(())
}

async fn give_up(state: &State, job: &RunImport, reason: &'static str) {
    let (workspace, id, now) = (job.workspace, job.import, state.host.clock.now());
    let failed: Result<(), Failure> = state
        .host
        .db
        .transaction(move |conn| {
            match imports::lock(conn, workspace, id)?.filter(|import| !import.ended()) {
                Some(import) => Ok(fail(conn, import, reason, now)?),
                None => Ok(()),
            }
        })
        .await;
    if let Err(failure) = failed {
        tracing::error!(import.id = %id, %failure, "an import that failed cannot be marked so");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_pass_is_not_lasting() {
        assert!(!lasting(&Failure::Unavailable(Unavailable::new(
            "the database"
        ))));
        assert!(lasting(&Failure::Query(QueryError::NotFound)));
    }
}
