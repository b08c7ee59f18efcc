//! Which batches are committed.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::ingest_batches;

/// The duplicates of a batch that is committed, or nothing if it is not.
pub fn find(conn: &mut PgConnection, id: Uuid) -> QueryResult<Option<Vec<i32>>> {
    ingest_batches::table
        .find(id)
        .select(ingest_batches::duplicates)
        .first(conn)
        .optional()
}

/// Writes, in the batch's own transaction, that it is in.
pub fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    duplicates: &[i32],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(ingest_batches::table)
        .values((
            ingest_batches::id.eq(id),
            ingest_batches::duplicates.eq(duplicates),
            ingest_batches::committed_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Forgets batches that no writer can be in doubt about any more.
pub fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    let old = ingest_batches::table.filter(ingest_batches::committed_at.lt(before));
    diesel::delete(old).execute(conn)
}
