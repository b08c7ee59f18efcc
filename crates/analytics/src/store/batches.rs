//! Which batches are committed.

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int4, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

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
    rows: Vec<&Event>,
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

/// Forgets batches that no writer can be in doubt about any more.
pub fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    let old = ingest_batches::table.filter(ingest_batches::committed_at.lt(before));
    diesel::delete(old).execute(conn)
}
