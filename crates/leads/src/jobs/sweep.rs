//! What is over leaves nothing behind: uploads that broke off with their process, and what people
//! sent in forms and never confirmed.

use std::time::Duration;

use chassis::Host;
use chrono::{DateTime, Utc};
use common::{LeadId, WorkspaceId};
use diesel::PgConnection;

use crate::error::Error;
use crate::forgetting::{self, LAPSES_AFTER};
use crate::store::{imports, submissions};

/// How often is looked for what is over.
const EVERY: Duration = Duration::from_secs(600);
/// How old an upload must be to be abandoned.
const OLD: chrono::Duration = chrono::Duration::hours(6);
/// So many people are looked up at once.
const PEOPLE: i64 = 500;

pub(crate) async fn run(host: Host) {
    loop {
        told("abandoned uploads", uploads(&host).await);
        told("unconfirmed people", unconfirmed(&host).await);
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn told(what: &str, swept: Result<usize, Error>) {
    match swept {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "{what} forgotten"),
        Err(error) => tracing::warn!(%error, "{what} stay for now"),
    }
}

async fn uploads(host: &Host) -> Result<usize, Error> {
    let before = host.clock.now() - OLD;
    let sweep = move |conn: &mut PgConnection| {
        let abandoned = imports::abandoned(conn, before)?;
        for (workspace, id) in &abandoned {
            imports::forget(conn, *workspace, *id)?;
        }
        Ok(abandoned.len())
    };
    host.db.transaction(sweep).await
}

/// Each person is a transaction, so that nobody who sends a form waits for many.
async fn unconfirmed(host: &Host) -> Result<usize, Error> {
    let now = host.clock.now();
    let before = now - LAPSES_AFTER;
    let mut count = 0;
    loop {
        let people = people(host, before).await?;
        for (workspace, lead) in &people {
            if host.stop.is_cancelled() {
                return Ok(count);
            }
            let (workspace, lead) = (*workspace, *lead);
            let forget = move |conn: &mut PgConnection| {
                Ok::<_, Error>(forgetting::lapsed(conn, workspace, lead, before, now)?)
            };
            host.db.transaction(forget).await?;
            count += 1;
        }
        if people.len() < PEOPLE as usize {
            return Ok(count);
        }
    }
}

async fn people(host: &Host, before: DateTime<Utc>) -> Result<Vec<(WorkspaceId, LeadId)>, Error> {
    let look = move |conn: &mut PgConnection| Ok(submissions::lapsed(conn, before, PEOPLE)?);
    host.db.run(look).await
}
