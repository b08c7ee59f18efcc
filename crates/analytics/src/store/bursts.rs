//! The clicks around a click.

use chassis::sql::fixed;
use chrono::{DateTime, Duration, Utc};
use common::{EventId, MessageId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Int4, Text, Timestamptz, Uuid as SqlUuid};

use crate::domain::burst::Click;
use crate::domain::event::Event;
use crate::domain::rules;
use crate::store::{held, rollups};

/// How many locks the messages share. Few enough that a batch of any size fits into Postgres's
/// lock table, many enough that unrelated messages seldom wait for each other.
const LOCKS: u128 = 512;

/// A click that is stored already.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub workspace_id: WorkspaceId,
    pub id: EventId,
    pub click: Click,
}

/// The stored clicks of the same messages within the windows of these.
///
/// Until this transaction ends, no other writer, also of another replica, looks around the same
/// messages: of two clicks at once, the later one to commit sees the other.
pub fn around(conn: &mut PgConnection, clicks: &[&Event]) -> QueryResult<Vec<Stored>> {
    let times = || clicks.iter().map(|click| click.received_at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Ok(Vec::new());
    };
    let mut messages: Vec<(WorkspaceId, MessageId)> = clicks
        .iter()
        .filter_map(|click| Some((click.workspace_id, click.message_id?)))
        .collect();
    messages.sort_unstable();
    messages.dedup();
    lock(conn, &messages)?;
    of_messages(conn, messages, (first, last))
}

/// The stored clicks of these messages between two times, and within the windows of them.
pub fn of_messages(
    conn: &mut PgConnection,
    messages: impl IntoIterator<Item = (WorkspaceId, MessageId)>,
    (first, last): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<Vec<Stored>> {
    let window = Duration::milliseconds(rules::BURST_WINDOW_MS.max(rules::CANARY_WINDOW_MS));
    let (workspaces, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    // One mail after another, each by `events_of_message`: a plan that is kept outlives the size that
    // the day had when it was made. And the end is a column, because of two constants Postgres takes
    // the time between them for so short that it would go through whatever came in it.
    let rows: Vec<(WorkspaceId, EventId, MessageId, i32, DateTime<Utc>)> =
        fixed::<(SqlUuid, SqlUuid, SqlUuid, Int4, Timestamptz)>(
            "SELECT m.w, e.id, m.id, e.link, e.received_at
             FROM (SELECT w, id, $4::timestamptz AS until
                 FROM unnest($1::uuid[], $2::uuid[]) AS m (w, id) OFFSET 0) AS m,
             LATERAL (SELECT e.id, e.link, e.received_at FROM events e
                 WHERE e.workspace_id = m.w AND e.message_id = m.id
                     AND e.type IN ('click', 'canary') AND e.link IS NOT NULL
                     AND e.received_at >= $3 AND e.received_at <= m.until OFFSET 0) AS e",
        )
        .bind::<Array<SqlUuid>, _>(workspaces)
        .bind::<Array<SqlUuid>, _>(messages)
        .bind::<Timestamptz, _>(first - window)
        .bind::<Timestamptz, _>(last + window)
        .load(conn)?;
    let stored = |(workspace_id, id, message, link, at)| Stored {
        workspace_id,
        id,
        click: Click { message, link, at },
    };
    Ok(rows.into_iter().map(stored).collect())
}

/// Locks the messages. Whatever this transaction asks for is found by its key, so Postgres is also
/// told not to plan for a table that was empty when it last looked.
fn lock(conn: &mut PgConnection, messages: &[(WorkspaceId, MessageId)]) -> QueryResult<()> {
    let key = |(_, message): &(WorkspaceId, MessageId)| (message.0.as_u128() % LOCKS) as i64;
    let mut keys: Vec<i64> = messages.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    fixed::<()>(
        "SELECT pg_advisory_xact_lock(hashtext('burst ' || current_schema()), key::int)
         FROM set_config('enable_seqscan', 'off', true) AS no_scan,
             set_config('plan_cache_mode', 'force_generic_plan', true) AS any_value,
             unnest($1::bigint[]) AS key",
    )
    .bind::<Array<BigInt>, _>(keys)
    .execute(conn)?;
    Ok(())
}

/// Judges stored clicks to be a scanner's, of which nobody is told then. The reason is added where it
/// is new; verdicts of other machines stay.
pub fn accuse<'a>(
    conn: &mut PgConnection,
    clicks: impl Iterator<Item = &'a Stored>,
    reason: &'static str,
) -> QueryResult<()> {
    let (mut workspaces, mut times, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for stored in clicks {
        workspaces.push(stored.workspace_id);
        times.push(stored.click.at);
        ids.push(stored.id);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let received = workspaces.iter().copied().zip(times.iter().copied());
    rollups::touch(conn, received)?;
    held::forget(conn, &workspaces, &ids)?;
    sql_query(
        "UPDATE events e
         SET verdict = CASE e.verdict WHEN 'human' THEN 'scanner' ELSE e.verdict END,
             reasons = array_append(e.reasons, $4)
         FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS hit (w, at, id)
         WHERE e.workspace_id = hit.w AND e.received_at = hit.at AND e.id = hit.id
           AND e.received_at >= (SELECT min(at) FROM unnest($2::timestamptz[]) AS at)
           AND NOT $4 = ANY (e.reasons)",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<Timestamptz>, _>(times)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Text, _>(reason)
    .execute(conn)?;
    Ok(())
}
