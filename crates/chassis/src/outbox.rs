//! Events out: written in the transaction of the fact they report.
//!
//! A row gets its `position` only after its transaction has committed, from one sequencer at a
//! time (advisory lock). So positions follow commit order, no reader ever skips a row that commits
//! late, and a long transaction elsewhere holds nothing back.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use common::WorkspaceId;
use common::auth::Service;
use common::events::{Envelope, Event, FeedPage, Positioned};
use common::json::RawJson;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::http::context;
use crate::schema::{feed_consumers, outbox};
use crate::sql::fixed;

thread_local! {
    /// Whether the running transaction wrote an event. A transaction runs on one thread.
    static PUSHED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn forget_pushes() {
    PUSHED.set(false);
}

pub(crate) fn was_pushed() -> bool {
    PUSHED.get()
}

/// Writes `event` on the caller's connection; it becomes visible to others with the caller's
/// commit, or never.
pub fn push<E: Event>(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    event: &E,
) -> QueryResult<()> {
    PUSHED.set(true);
    push_quietly(conn, workspace, event)
}

/// The same without ringing the bell, for events that are told many times a second and that nobody
/// hurries for: whoever reads finds them with the next event that rings, or when it looks anyway.
pub fn push_quietly<E: Event>(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    event: &E,
) -> QueryResult<()> {
    let data = RawJson::new(event)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    fixed::<()>(
        "INSERT INTO outbox (id, workspace_id, kind, subject, data, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<SqlUuid, _>(workspace.0)
    .bind::<Text, _>(E::KIND)
    .bind::<Text, _>(event.subject())
    .bind::<Jsonb, _>(data)
    .bind::<Nullable<Text>, _>(context::traceparent())
    .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct Row {
    id: Uuid,
    position: Option<i64>,
    workspace_id: Uuid,
    kind: String,
    subject: String,
    data: serde_json::Value,
    traceparent: Option<String>,
    created_at: DateTime<Utc>,
}

/// Up to `limit` events after `after`, in commit order, without those of the kinds that the reader
/// passes over; they count all the same. Numbers committed rows first.
pub fn read(
    conn: &mut PgConnection,
    producer: Service,
    after: i64,
    limit: i64,
    pass_over: &[String],
) -> QueryResult<FeedPage> {
    number(conn)?;
    let next = outbox::table
        .filter(outbox::position.gt(after))
        .order(outbox::position.asc())
        .limit(limit);
    let positions: Vec<Option<i64>> = next.select(outbox::position).load(conn)?;
    let upto = positions.last().copied().flatten();
    let rows: Vec<Row> = outbox::table
        .filter(outbox::position.gt(after))
        .filter(outbox::position.le(upto.unwrap_or(after)))
        .filter(outbox::kind.ne_all(pass_over))
        .order(outbox::position.asc())
        .select(Row::as_select())
        .load(conn)?;
    let items = rows.into_iter().map(|row| positioned(producer, row));
    Ok(FeedPage {
        items: items.collect(),
        upto,
    })
}

fn positioned(producer: Service, row: Row) -> Positioned {
    Positioned {
        position: row.position.unwrap_or_default(),
        event: Envelope {
            specversion: "1.0".into(),
            id: row.id,
            source: format!("/services/{producer}"),
            kind: row.kind,
            subject: row.subject,
            time: row.created_at,
            workspaceid: row.workspace_id.into(),
            traceparent: row.traceparent,
            data: row.data,
        },
    }
}

/// Gives positions to the committed rows that have none. Whoever cannot have the lock leaves it
/// to its holder.
fn number(conn: &mut PgConnection) -> QueryResult<()> {
    let waiting: bool = diesel::select(diesel::dsl::exists(
        outbox::table.filter(outbox::position.is_null()),
    ))
    .get_result(conn)?;
    if !waiting {
        return Ok(());
    }
    conn.transaction(|conn| {
        // Its own statement: the update below must see what the last holder committed.
        let lock =
            "SELECT pg_try_advisory_xact_lock(hashtextextended('outbox ' || current_schema(), 0))";
        if fixed::<Bool>(lock).get_result(conn)? {
            fixed::<()>(
                "UPDATE outbox SET position = numbered.position FROM (
                     SELECT id, nextval('outbox_position') AS position FROM (
                         SELECT id FROM outbox WHERE position IS NULL ORDER BY seq LIMIT 5000
                     ) AS waiting
                 ) AS numbered
                 WHERE outbox.id = numbered.id",
            )
            .execute(conn)?;
        }
        Ok(())
    })
}

/// A consumer that says again what it said before is written down anew after this long.
const STILL_THERE: TimeDelta = TimeDelta::minutes(1);

/// Remembers that `consumer` has taken everything up to `position`. Only pruning asks for it, and
/// what a crash takes away is said again: its commit waits for no disk, and a consumer that polls
/// an idle feed writes nothing.
pub fn acknowledge(
    conn: &mut PgConnection,
    consumer: &str,
    position: i64,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let said: Option<(i64, DateTime<Utc>)> = feed_consumers::table
        .find(consumer)
        .select((feed_consumers::position, feed_consumers::seen_at))
        .first(conn)
        .optional()?;
    if said.is_some_and(|(before, seen)| before >= position && now - seen < STILL_THERE) {
        return Ok(());
    }
    // Two replicas of a consumer report out of order; never go back.
    fixed::<()>(
        "INSERT INTO feed_consumers (consumer, position, seen_at)
         SELECT $1, $2, $3 FROM set_config('synchronous_commit', 'off', true)
         ON CONFLICT (consumer) DO UPDATE SET
             position = GREATEST(feed_consumers.position, excluded.position),
             seen_at = excluded.seen_at",
    )
    .bind::<Text, _>(consumer)
    .bind::<BigInt, _>(position)
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    Ok(())
}

/// Deletes rows older than `read_before` that every registered consumer has passed, and rows older
/// than `any_before` whoever has read them: a consumer that was taken out of service must not make
/// the outbox grow for ever. Answers how many.
pub fn prune(
    conn: &mut PgConnection,
    read_before: DateTime<Utc>,
    any_before: DateTime<Utc>,
) -> QueryResult<usize> {
    sql_query(
        "DELETE FROM outbox WHERE id IN (
             SELECT id FROM outbox
             WHERE (position <= (SELECT min(position) FROM feed_consumers) AND created_at < $1)
                OR created_at < $2
             ORDER BY position LIMIT 10000)",
    )
    .bind::<Timestamptz, _>(read_before)
    .bind::<Timestamptz, _>(any_before)
    .execute(conn)
}

/// The kinds of the events that are waiting or told, oldest first. For tests.
pub fn kinds(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Kind {
        #[diesel(sql_type = Text)]
        kind: String,
    }
    let rows: Vec<Kind> = sql_query("SELECT kind FROM outbox ORDER BY seq").load(conn)?;
    Ok(rows.into_iter().map(|row| row.kind).collect())
}
