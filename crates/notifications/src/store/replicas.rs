//! The processes that send at the moment, and what each reports to the others.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Uuid as SqlUuid};
use uuid::Uuid;

/// Says that `id` is alive and what it reports; answers the reports of all that are, its own too.
/// The clock is that of Postgres, which all share.
pub(crate) fn beat(
    conn: &mut PgConnection,
    id: Uuid,
    report: &serde_json::Value,
) -> QueryResult<Vec<serde_json::Value>> {
    sql_query(
        "INSERT INTO replicas (id, seen_at, report) VALUES ($1, now(), $2)
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, report = excluded.report",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Jsonb, _>(report)
    .execute(conn)?;
    sql_query("DELETE FROM replicas WHERE seen_at < now() - interval '1 minute'").execute(conn)?;
    reports(conn)
}

/// What the replicas that are alive report.
pub(crate) fn reports(conn: &mut PgConnection) -> QueryResult<Vec<serde_json::Value>> {
    #[derive(QueryableByName)]
    struct Report {
        #[diesel(sql_type = Jsonb)]
        report: serde_json::Value,
    }
    let rows: Vec<Report> =
        sql_query("SELECT report FROM replicas WHERE seen_at > now() - interval '5 seconds'")
            .load(conn)?;
    Ok(rows.into_iter().map(|row| row.report).collect())
}

/// It sends no more.
pub(crate) fn leave(conn: &mut PgConnection, id: Uuid) -> QueryResult<()> {
    sql_query("DELETE FROM replicas WHERE id = $1")
        .bind::<SqlUuid, _>(id)
        .execute(conn)?;
    Ok(())
}
