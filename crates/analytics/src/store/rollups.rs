//! Counts of events by the quarter of an hour, kept up hour by hour of what was received.

use std::collections::BTreeSet;

use chassis::sql::fixed;
use chrono::{DateTime, Duration, DurationRound, Utc};
use common::WorkspaceId;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use serde_json::json;
use uuid::Uuid;

use super::reports::COUNTS;
use super::{days, packed};
use crate::domain::sketch::Sketch;
use crate::domain::visitor::Visitor;

/// Who it was, as far as is known now: for a query over `events e`.
pub const PERSON: &str = "coalesce(l.person, e.visitor)";
pub const LINKS: &str = "LEFT JOIN person_links l
     ON l.workspace_id = e.workspace_id AND l.visitor = e.visitor";
/// The quarter of an hour something happened in.
pub const QUARTER: &str = "date_bin('15 minutes', e.occurred_at, 'epoch')";

/// The hour that something was received in.
pub fn hour(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(Duration::hours(1)).unwrap_or(at)
}

/// Notes that these hours are to be counted again; part of the change itself.
pub fn touch(
    conn: &mut PgConnection,
    received: impl Iterator<Item = (WorkspaceId, DateTime<Utc>)>,
) -> QueryResult<()> {
    let (workspaces, hours) = hours(received);
    fixed::<()>("INSERT INTO rollup_dirty SELECT * FROM unnest($1::uuid[], $2::timestamptz[])")
        .bind::<Array<SqlUuid>, _>(workspaces)
        .bind::<Array<Timestamptz>, _>(hours)
        .execute(conn)?;
    Ok(())
}

/// The hours in which something was received, each once, beside its workspace.
pub fn hours(
    received: impl Iterator<Item = (WorkspaceId, DateTime<Utc>)>,
) -> (Vec<WorkspaceId>, Vec<DateTime<Utc>>) {
    let hours: BTreeSet<_> = received
        .map(|(workspace, at)| (workspace, hour(at)))
        .collect();
    hours.into_iter().unzip()
}

/// An hour of a workspace that is to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub struct Dirty {
    #[diesel(sql_type = SqlUuid)]
    pub workspace_id: WorkspaceId,
    #[diesel(sql_type = Timestamptz)]
    pub hour: DateTime<Utc>,
}

/// Hours that are to be counted, the oldest first.
pub fn dirty(conn: &mut PgConnection, most: usize) -> QueryResult<Vec<Dirty>> {
    sql_query("SELECT DISTINCT workspace_id, hour FROM rollup_dirty ORDER BY hour LIMIT $1")
        .bind::<BigInt, _>(i64::try_from(most).unwrap_or(i64::MAX))
        .load(conn)
}

/// Hours that are to be counted and were not touched since this was last asked, the oldest first. Of
/// the marks of others one is left. None if another replica counts.
pub fn calm(conn: &mut PgConnection, most: usize) -> QueryResult<Vec<Dirty>> {
    #[derive(QueryableByName)]
    struct Marked {
        #[diesel(embed)]
        hour: Dirty,
        #[diesel(sql_type = BigInt)]
        marks: i64,
    }
    conn.transaction(|conn| {
        if !lock(conn)? {
            return Ok(Vec::new());
        }
        let marked: Vec<Marked> = sql_query(
            "SELECT workspace_id, hour, count(*) AS marks FROM rollup_dirty
             GROUP BY workspace_id, hour ORDER BY hour",
        )
        .load(conn)?;
        let (calm, busy): (Vec<_>, Vec<_>) = marked.into_iter().partition(|one| one.marks == 1);
        let busy = busy.iter().map(|one| (one.hour.workspace_id, one.hour.hour));
        let (workspaces, hours): (Vec<_>, Vec<_>) = busy.clone().unzip();
        if !hours.is_empty() {
            sql_query(
                "DELETE FROM rollup_dirty d USING unnest($1::uuid[], $2::timestamptz[]) AS busy (of, hour)
                 WHERE d.workspace_id = busy.of AND d.hour = busy.hour",
            )
            .bind::<Array<SqlUuid>, _>(workspaces)
            .bind::<Array<Timestamptz>, _>(hours)
            .execute(conn)?;
            touch(conn, busy)?;
        }
        Ok(calm.iter().take(most).map(|one| one.hour).collect())
    })
}

/// Whether this transaction alone counts; whoever may not leaves it to the replica that does.
pub(super) fn lock(conn: &mut PgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('rollup ' || current_schema(), 0)) AS locked";
    Ok(sql_query(lock).get_result::<Locked>(conn)?.locked)
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = SqlUuid)]
    campaign_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    quarter: DateTime<Utc>,
    #[diesel(embed)]
    counts: super::reports::Overview,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    people: Option<Vec<i64>>,
}

#[derive(QueryableByName)]
struct ValueRow {
    #[diesel(sql_type = SqlUuid)]
    campaign_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    quarter: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    dimension: String,
    #[diesel(sql_type = Array<Text>)]
    value: Vec<String>,
    #[diesel(sql_type = BigInt)]
    events: i64,
    #[diesel(sql_type = BigInt)]
    views: i64,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    conversions: i64,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    people: Option<Vec<i64>>,
}

/// Everything is counted twice: for its workspace, and for its campaign if it has one.
const GROUPS: &str = "GROUPING SETS ((quarter), (quarter, campaign_id))
     HAVING grouping(campaign_id) = 1 OR campaign_id IS NOT NULL";
const CAMPAIGN: &str =
    "coalesce(campaign_id, '00000000-0000-0000-0000-000000000000') AS campaign_id";

/// The dimensions that are counted by value, and the values of an event.
pub const DIMENSIONS: &str = "LATERAL (SELECT dimension, value FROM (VALUES
         ('device', ARRAY[coalesce(device, 'unknown')]),
         ('channel', ARRAY[coalesce(utm_source, ''), coalesce(utm_medium, ''), coalesce(utm_campaign, '')]),
         ('country', CASE WHEN country IS NOT NULL THEN ARRAY[country] END)
     ) AS v (dimension, value) WHERE value IS NOT NULL) AS d";
/// Of humans only.
pub const VALUE_COUNTS: &str = "count(*) AS events,
     count(*) FILTER (WHERE type = 'view') AS views,
     count(*) FILTER (WHERE type = 'click') AS clicks,
     count(*) FILTER (WHERE type = 'goal' OR amount > 0) AS conversions";

/// Counts an hour anew, unless another replica is counting; answers whether it was.
pub fn count(conn: &mut PgConnection, dirty: Dirty) -> QueryResult<bool> {
    conn.transaction(|conn| {
        if !lock(conn)? {
            return Ok(false);
        }
        // Counting is never urgent, and leaves the other cores to those who wait.
        conn.batch_execute("SET LOCAL max_parallel_workers_per_gather = 0")?;
        let Dirty { workspace_id, hour } = dirty;
        let mut delete = |table: &str| {
            sql_query(format!(
                "DELETE FROM {table} WHERE workspace_id = $1 AND hour = $2"
            ))
            .bind::<SqlUuid, _>(workspace_id)
            .bind::<Timestamptz, _>(hour)
            .execute(conn)
        };
        if delete("rollup_dirty")? == 0 {
            // Another replica counted it since it was found.
            return Ok(true);
        }
        for table in [
            "rollup_counts",
            "rollup_revenue",
            "rollup_values",
            "rollup_hits",
            "rollup_steps",
        ] {
            delete(table)?;
        }
        // What was marked by now is seen by what follows; what comes later brings a mark.
        counts(conn, dirty)?;
        revenue(conn, dirty)?;
        values(conn, dirty)?;
        packed::hits(conn, dirty)?;
        packed::steps(conn, dirty)?;
        days::open(conn, dirty)?;
        Ok(true)
    })
}

/// The events of an hour, `$1` and `$2`, each with the person it is of.
pub(super) fn rolled() -> String {
    format!(
        "WITH rolled AS (
             SELECT e.*, {QUARTER} AS quarter, {PERSON} AS person FROM events e {LINKS}
             WHERE e.workspace_id = $1
               AND e.received_at >= $2 AND e.received_at < $2 + interval '1 hour')"
    )
}

fn counts(conn: &mut PgConnection, dirty: Dirty) -> QueryResult<()> {
    let rows: Vec<CountRow> = sql_query(format!(
        "{} SELECT quarter, {CAMPAIGN}, {COUNTS},
             array_agg(DISTINCT person) FILTER (WHERE verdict = 'human' AND person IS NOT NULL) AS people
         FROM rolled GROUP BY {GROUPS}",
        rolled()
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .load(conn)?;
    let column = |of: fn(&CountRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let sketches: Vec<_> = rows
        .iter()
        .map(|row| sketch(row.people.as_deref()))
        .collect();
    sql_query(
        "INSERT INTO rollup_counts (workspace_id, hour, campaign_id, quarter, events, machine, views,
             opens, clicks, unsubscribes, conversions, people)
         SELECT $1, $2, * FROM unnest($3::uuid[], $4::timestamptz[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[])",
    )
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.campaign_id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.quarter).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|row| row.counts.events))
    .bind::<Array<BigInt>, _>(column(|row| row.counts.machine))
    .bind::<Array<BigInt>, _>(column(|row| row.counts.views))
    .bind::<Array<BigInt>, _>(column(|row| row.counts.opens))
    .bind::<Array<BigInt>, _>(column(|row| row.counts.clicks))
    .bind::<Array<BigInt>, _>(column(|row| row.counts.unsubscribes))
    .bind::<Array<BigInt>, _>(column(|row| row.counts.conversions))
    .bind::<Array<Binary>, _>(sketches)
    .execute(conn)?;
    Ok(())
}

fn sketch(people: Option<&[i64]>) -> Vec<u8> {
    let people = people.unwrap_or_default().iter();
    let sketch: Sketch = people.map(|person| Visitor(*person)).collect();
    sketch.to_bytes()
}

fn revenue(conn: &mut PgConnection, dirty: Dirty) -> QueryResult<()> {
    sql_query(format!(
        "{} INSERT INTO rollup_revenue (workspace_id, hour, quarter, campaign_id, currency, amount)
         SELECT $1, $2, quarter, {CAMPAIGN}, currency, sum(amount) FROM rolled
         WHERE verdict = 'human' AND amount IS NOT NULL AND currency IS NOT NULL
         GROUP BY currency, {GROUPS}",
        rolled()
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .execute(conn)?;
    Ok(())
}

fn values(conn: &mut PgConnection, dirty: Dirty) -> QueryResult<()> {
    let rows: Vec<ValueRow> = sql_query(format!(
        "{} SELECT quarter, {CAMPAIGN}, dimension, value, {VALUE_COUNTS},
             array_agg(DISTINCT person) FILTER (WHERE person IS NOT NULL) AS people
         FROM rolled, {DIMENSIONS} WHERE verdict = 'human'
         GROUP BY dimension, value, {GROUPS}",
        rolled()
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .load(conn)?;
    let column = |of: fn(&ValueRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let sketches: Vec<_> = rows
        .iter()
        .map(|row| sketch(row.people.as_deref()))
        .collect();
    // Arrays of unequal length are no array of arrays.
    let values: Vec<_> = rows.iter().map(|row| json!(row.value)).collect();
    sql_query(format!(
        "INSERT INTO rollup_values (workspace_id, hour, campaign_id, quarter, dimension, value,
             events, views, clicks, conversions, people)
         SELECT $1, $2, c, q, d, {VALUE}, e, v, k, o, p
         FROM unnest($3::uuid[], $4::timestamptz[], $5::text[], $6::jsonb[], $7::bigint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[])
             AS t (c, q, d, value, e, v, k, o, p)"
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.campaign_id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.quarter).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(
        rows.iter()
            .map(|row| row.dimension.as_str())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Jsonb>, _>(values)
    .bind::<Array<BigInt>, _>(column(|row| row.events))
    .bind::<Array<BigInt>, _>(column(|row| row.views))
    .bind::<Array<BigInt>, _>(column(|row| row.clicks))
    .bind::<Array<BigInt>, _>(column(|row| row.conversions))
    .bind::<Array<Binary>, _>(sketches)
    .execute(conn)?;
    Ok(())
}

/// The texts of a JSON list `t.value`.
pub(super) const VALUE: &str = "ARRAY(SELECT text FROM
     jsonb_array_elements_text(t.value) WITH ORDINALITY AS of_value (text, place) ORDER BY place)";

/// How far back events are counted again when a visitor turns out to be somebody else.
const REMEMBERED_DAYS: i64 = 30;

/// Marks the hours in which visitors of a workspace were counted who have become somebody else,
/// some at a time; answers how many were looked at. Places of rows mean nothing across machines,
/// so it is one workspace's rows at a time.
pub fn follow_changes(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<usize> {
    let whose = fixed::<SqlUuid>("SELECT workspace_id FROM person_changes LIMIT 1");
    let Some(workspace) = whose.get_result::<WorkspaceId>(conn).optional()? else {
        return Ok(0);
    };
    sql_query(
        "WITH changed AS (
             DELETE FROM person_changes WHERE workspace_id = $3 AND ctid = ANY (ARRAY(
                 SELECT ctid FROM person_changes
                 WHERE workspace_id = $3 LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING workspace_id, visitor),
         marked AS (
             INSERT INTO rollup_dirty
             SELECT DISTINCT e.workspace_id, date_trunc('hour', e.received_at, 'UTC')
             FROM events e JOIN changed c ON c.workspace_id = e.workspace_id AND c.visitor = e.visitor
             WHERE e.workspace_id = $3 AND e.received_at >= $1)
         SELECT workspace_id FROM changed",
    )
    .bind::<Timestamptz, _>(now - Duration::days(REMEMBERED_DAYS))
    .bind::<BigInt, _>(limit)
    .bind::<SqlUuid, _>(workspace)
    .execute(conn)
}
