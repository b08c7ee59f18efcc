//! Counters of landing pages.

use common::WorkspaceId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};

#[derive(QueryableByName)]
struct Visits {
    #[diesel(sql_type = BigInt)]
    visits: i64,
}

/// Adds `by` to a page's visits and answers them.
pub fn add(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    page: &str,
    by: i64,
) -> QueryResult<i64> {
    let row: Visits = sql_query(
        "INSERT INTO page_visits AS p (workspace_id, page, visits) VALUES ($1, $2, $3)
         ON CONFLICT (workspace_id, page) DO UPDATE SET visits = p.visits + excluded.visits
         RETURNING visits",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Text, _>(page)
    .bind::<BigInt, _>(by)
    .get_result(conn)?;
    Ok(row.visits)
}
