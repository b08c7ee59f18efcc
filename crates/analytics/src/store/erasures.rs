//! Events of leads who were deleted: what they say of the person goes, and what is counted stays.

use chrono::{DateTime, NaiveTime, Utc};
use common::{LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Timestamptz, Uuid as SqlUuid};

use super::{partitions, rollups};
use crate::domain::visitor::Visitor;

/// Leads of one round: their events are looked for together.
const AT_ONCE: i64 = 500;

/// Notes that a lead's events are to be erased, with all visitors that it was until now.
pub fn ask(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    sql_query(
        "INSERT INTO erasures (workspace_id, lead_id, pseudonym, visitors, asked_at)
         SELECT $1, $2, gen_random_uuid(), array_append(ARRAY(
             SELECT visitor FROM person_links WHERE workspace_id = $1 AND person = $3), $3), $4
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(lead)
    .bind::<BigInt, _>(Visitor::lead(workspace, lead))
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Erasure {
    #[diesel(sql_type = SqlUuid)]
    workspace_id: WorkspaceId,
    #[diesel(sql_type = SqlUuid)]
    lead_id: LeadId,
    #[diesel(sql_type = SqlUuid)]
    pseudonym: LeadId,
    #[diesel(sql_type = Array<BigInt>)]
    visitors: Vec<i64>,
}

#[derive(QueryableByName)]
struct Hour {
    #[diesel(sql_type = Timestamptz)]
    hour: DateTime<Utc>,
}

/// Erases events of some leads of a workspace, day by day; answers of how many leads. When it is
/// interrupted it begins again, and what was done stays done.
pub fn some(conn: &mut PgConnection) -> QueryResult<usize> {
    let asked: Vec<Erasure> = sql_query(
        "SELECT workspace_id, lead_id, pseudonym, visitors FROM erasures
         WHERE workspace_id = (SELECT workspace_id FROM erasures ORDER BY asked_at LIMIT 1)
         ORDER BY asked_at, lead_id LIMIT $1",
    )
    .bind::<BigInt, _>(AT_ONCE)
    .load(conn)?;
    let Some(workspace) = asked.first().map(|first| first.workspace_id) else {
        return Ok(0);
    };
    let mut visitors: (Vec<i64>, Vec<LeadId>) = Default::default();
    for one in &asked {
        for visitor in &one.visitors {
            visitors.0.push(*visitor);
            visitors.1.push(one.pseudonym);
        }
    }
    let days = partitions::days(conn)?;
    let begins = days
        .iter()
        .map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let bounds: Vec<_> = begins.map(Some).collect();
    // What the default partition holds lies before, between and behind.
    let from = std::iter::once(None).chain(bounds.iter().copied());
    let to = bounds.iter().copied().chain(std::iter::once(None));
    for (from, to) in from.zip(to) {
        conn.transaction(|conn| {
            let hours = erase(conn, "events", workspace, &visitors, (from, to))?;
            rollups::touch(conn, hours.into_iter().map(|row| (workspace, row.hour)))
        })?;
    }
    // Asked for last: a day that was set aside meanwhile is among them. Nobody counts them.
    for table in partitions::set_aside(conn)? {
        erase(conn, &table, workspace, &visitors, (None, None))?;
    }
    sql_query("DELETE FROM erasures WHERE workspace_id = $1 AND lead_id = ANY ($2)")
        .bind::<SqlUuid, _>(workspace)
        .bind::<Array<SqlUuid>, _>(asked.iter().map(|one| one.lead_id).collect::<Vec<_>>())
        .execute(conn)
}

/// Erases in a stretch of received events, and answers whose hours they were. Orders keep their
/// numbers: refunds belong to them.
fn erase(
    conn: &mut PgConnection,
    table: &str,
    workspace: WorkspaceId,
    (visitors, pseudonyms): &(Vec<i64>, Vec<LeadId>),
    (from, to): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
) -> QueryResult<Vec<Hour>> {
    let renamed = pseudonyms
        .iter()
        .map(|pseudonym| Visitor::lead(workspace, *pseudonym));
    sql_query(format!(
        "WITH erased AS (
             UPDATE {table} e
             SET lead_id = CASE WHEN e.lead_id IS NOT NULL THEN u.pseudonym END,
                 visitor = u.now, message_id = NULL, anonymous_id = NULL, user_id = NULL,
                 user_agent = NULL, ip = NULL, properties = NULL, context = NULL,
                 url = split_part(split_part(e.url, '#', 1), '?', 1)
             FROM unnest($2::bigint[], $3::bigint[], $4::uuid[]) AS u (visitor, now, pseudonym)
             WHERE e.workspace_id = $1 AND e.visitor = u.visitor
               AND e.received_at >= coalesce($5::timestamptz, '-infinity')
               AND e.received_at < coalesce($6::timestamptz, 'infinity')
             RETURNING date_trunc('hour', e.received_at, 'UTC') AS hour)
         SELECT DISTINCT hour FROM erased"
    ))
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<BigInt>, _>(visitors)
    .bind::<Array<BigInt>, _>(renamed.collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(pseudonyms)
    .bind::<Nullable<Timestamptz>, _>(from)
    .bind::<Nullable<Timestamptz>, _>(to)
    .load(conn)
}
