//! Which batches are committed.

use std::fmt;

use chassis::pq;
use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use common::{EventId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int4, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::rows::{self, COLUMNS};
use super::{events, rollups};
use crate::domain::event::Event;
use crate::schema::ingest_batches;

/// The duplicates of a batch that is committed, or nothing if it is not.
pub fn find(conn: &mut PgConnection, id: Uuid) -> QueryResult<Option<Vec<i32>>> {
    ingest_batches::table
        .find(id)
        .select(ingest_batches::duplicates)
        .first(conn)
        .optional()
}

/// Writes the events of a batch and, in one statement, that it is in and which hours are to be
/// counted again.
pub fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    rows: &[&Event],
    duplicates: &[i32],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let received = rows.iter().map(|row| (row.workspace_id, row.received_at));
    let (workspaces, hours) = rollups::hours(received);
    fixed::<()>(
        "WITH touched AS (
             INSERT INTO rollup_dirty SELECT * FROM unnest($1::uuid[], $2::timestamptz[]))
         INSERT INTO ingest_batches (id, duplicates, committed_at) VALUES ($3, $4, $5)",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<Timestamptz>, _>(hours)
    .bind::<SqlUuid, _>(id)
    .bind::<Array<Int4>, _>(duplicates)
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    events::copy_alone(conn, rows)
}

/// What a connection for [`insert_at_once`] has to know.
pub const AT_ONCE: &str = "SET plan_cache_mode = force_generic_plan;
    PREPARE claim_ids (uuid[], uuid[], timestamptz) AS
        INSERT INTO event_ids (workspace_id, id, received_at)
        SELECT w, i, $3 FROM unnest($1, $2) AS given (w, i);
    PREPARE touch_hour (uuid, timestamptz) AS
        INSERT INTO rollup_dirty (workspace_id, hour) VALUES ($1, $2);
    PREPARE note_batch (uuid, integer[], timestamptz) AS
        INSERT INTO ingest_batches (id, duplicates, committed_at) VALUES ($1, $2, $3)";

/// Does the same as [`insert`], in two round trips and a transaction of its own, and claims the ids
/// that clients gave. One that is known makes it fail: `event_ids_pkey` is violated.
pub fn insert_at_once(
    conn: &mut pq::Connection,
    id: Uuid,
    rows: &[&Event],
    given: &[(WorkspaceId, EventId)],
    duplicates: &[i32],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let received = rows.iter().map(|row| (row.workspace_id, row.received_at));
    let (duplicates, now) = (array(duplicates), now.to_rfc3339());
    // Nothing that somebody wrote is in it: ids, times and numbers.
    let mut statements = String::new();
    if !given.is_empty() {
        let (workspaces, ids) = given.iter().copied().unzip::<_, _, Vec<_>, Vec<_>>();
        let (workspaces, ids) = (array(workspaces), array(ids));
        statements += &format!("EXECUTE claim_ids ({workspaces}, {ids}, '{now}'); ");
    }
    // Few workspaces share a batch as a rule: a statement for each hour costs less than one for a list.
    let (workspaces, hours) = rollups::hours(received);
    for (workspace, hour) in workspaces.iter().zip(hours) {
        let hour = hour.to_rfc3339();
        statements += &format!("EXECUTE touch_hour ('{workspace}', '{hour}'); ");
    }
    statements += &format!(
        "EXECUTE note_batch ('{id}', {duplicates}, '{now}'); \
         COPY events ({COLUMNS}) FROM STDIN (FORMAT binary)"
    );
    conn.copy(&statements, &rows::write(rows))
}

/// An array of what needs no quotes, as a constant.
fn array<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    format!("'{{{}}}'", items.join(","))
}

/// Forgets batches that no writer can be in doubt about any more.
pub fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    let old = ingest_batches::table.filter(ingest_batches::committed_at.lt(before));
    diesel::delete(old).execute(conn)
}
