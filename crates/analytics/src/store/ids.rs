//! Which ids of clients were seen before.

use std::collections::HashSet;

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use common::{EventId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Timestamptz, Uuid as SqlUuid};

/// How long a repetition is recognised.
pub const WINDOW_DAYS: i64 = 7;

/// Claims ids for this transaction; answers those that nobody had. `ids` must be sorted, so that
/// writers that claim the same ones wait for each other and never in a circle.
pub fn claim(
    conn: &mut PgConnection,
    ids: &[(WorkspaceId, EventId)],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<(WorkspaceId, EventId)>> {
    let (workspaces, ids): (Vec<WorkspaceId>, Vec<EventId>) = ids.iter().copied().unzip();
    let fresh: Vec<(WorkspaceId, EventId)> = fixed::<(SqlUuid, SqlUuid)>(
        "INSERT INTO event_ids (workspace_id, id, received_at)
         SELECT w, i, $3 FROM unnest($1::uuid[], $2::uuid[]) AS given (w, i)
         ON CONFLICT DO NOTHING
         RETURNING workspace_id, id",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Timestamptz, _>(now)
    .load(conn)?;
    Ok(fresh.into_iter().collect())
}

/// Forgets ids older than the window, at most `limit` of them; answers how many.
pub fn prune(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM event_ids e
         USING (SELECT workspace_id, id FROM event_ids WHERE received_at < $1 LIMIT $2) AS old
         WHERE e.workspace_id = old.workspace_id AND e.id = old.id AND e.received_at < $1",
    )
    .bind::<Timestamptz, _>(now - chrono::Duration::days(WINDOW_DAYS))
    .bind::<diesel::sql_types::BigInt, _>(limit)
    .execute(conn)
}
