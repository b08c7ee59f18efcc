//! Counters of landing pages.

use chrono::{DateTime, Utc};
use common::WorkspaceId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

/// A page of a workspace.
pub type Page = (WorkspaceId, String);

#[derive(QueryableByName)]
struct Visits {
    #[diesel(sql_type = BigInt)]
    visits: i64,
}

#[derive(QueryableByName)]
struct OfPage {
    #[diesel(sql_type = SqlUuid)]
    workspace_id: WorkspaceId,
    #[diesel(sql_type = Text)]
    page: String,
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

/// A page's visits that were added.
pub fn of(conn: &mut PgConnection, workspace: WorkspaceId, page: &str) -> QueryResult<i64> {
    let row: Option<Visits> =
        sql_query("SELECT visits FROM page_visits WHERE workspace_id = $1 AND page = $2")
            .bind::<SqlUuid, _>(workspace)
            .bind::<Text, _>(page)
            .get_result(conn)
            .optional()?;
    Ok(row.map_or(0, |row| row.visits))
}

/// Adds what was counted elsewhere, once for each `id`; answers how many visits the pages have now.
pub fn flush(
    conn: &mut PgConnection,
    id: Uuid,
    counted: &[(Page, i64)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(Page, i64)>> {
    let workspaces: Vec<WorkspaceId> = counted.iter().map(|((of, _), _)| *of).collect();
    let pages: Vec<&str> = counted.iter().map(|((_, page), _)| page.as_str()).collect();
    let rows: Vec<OfPage> = conn.transaction(|conn| {
        let fresh = sql_query(
            "INSERT INTO visit_flushes (id, flushed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind::<SqlUuid, _>(id)
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
        if fresh == 1 {
            sql_query(
                "INSERT INTO page_visits AS p (workspace_id, page, visits)
                 SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS c (w, page, visits)
                 ORDER BY w, page
                 ON CONFLICT (workspace_id, page) DO UPDATE SET visits = p.visits + excluded.visits",
            )
            .bind::<Array<SqlUuid>, _>(&workspaces)
            .bind::<Array<Text>, _>(&pages)
            .bind::<Array<BigInt>, _>(counted.iter().map(|(_, by)| *by).collect::<Vec<_>>())
            .execute(conn)?;
        }
        sql_query(
            "SELECT p.workspace_id, p.page, p.visits
             FROM unnest($1::uuid[], $2::text[]) AS c (w, page)
             JOIN page_visits p ON p.workspace_id = c.w AND p.page = c.page
             WHERE p.workspace_id = ANY ($1)",
        )
        .bind::<Array<SqlUuid>, _>(&workspaces)
        .bind::<Array<Text>, _>(&pages)
        .load(conn)
    })?;
    let page = |row: OfPage| ((row.workspace_id, row.page), row.visits);
    Ok(rows.into_iter().map(page).collect())
}

/// Forgets flushes that nobody can repeat any more.
pub fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    sql_query("DELETE FROM visit_flushes WHERE flushed_at < $1")
        .bind::<Timestamptz, _>(before)
        .execute(conn)
}

/// What tells this database from all others: replicas of the service agree on it.
pub fn namespace(conn: &mut PgConnection) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Namespace {
        #[diesel(sql_type = Text)]
        namespace: String,
    }
    let sql = "SELECT (SELECT system_identifier::text FROM pg_control_system()) || '.'
             || (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS namespace";
    Ok(sql_query(sql).get_result::<Namespace>(conn)?.namespace)
}
