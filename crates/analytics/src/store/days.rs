//! Whole days of what was received, summed up from its quarters of an hour.
//!
//! A day is open from the moment that one of its hours is counted until it is closed; what is read
//! of an open day is its quarters. So whatever changes in a day, the two never disagree.

use chrono::{DateTime, Duration, DurationRound, Utc};
use common::WorkspaceId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::json;
use uuid::Uuid;

use super::packed;
use super::reports::Overview;
use super::rollups::{self, Dirty, VALUE};
use crate::domain::sketch::Sketch;

/// The day of UTC that a moment is in.
pub fn day(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(Duration::days(1)).unwrap_or(at)
}

/// A day of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub struct Open {
    #[diesel(sql_type = SqlUuid)]
    pub workspace_id: WorkspaceId,
    #[diesel(sql_type = Timestamptz)]
    pub day: DateTime<Utc>,
}

/// Notes that an hour of a day was counted anew; part of the counting.
pub fn open(conn: &mut PgConnection, counted: Dirty) -> QueryResult<()> {
    sql_query("INSERT INTO rollup_open (workspace_id, day) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind::<SqlUuid, _>(counted.workspace_id)
        .bind::<Timestamptz, _>(day(counted.hour))
        .execute(conn)?;
    Ok(())
}

/// The days of a workspace that are open, those of the hours `dirty` included.
pub fn opened(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    dirty: &[DateTime<Utc>],
) -> QueryResult<Vec<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Day {
        #[diesel(sql_type = Timestamptz)]
        day: DateTime<Utc>,
    }
    let rows: Vec<Day> = sql_query(
        "SELECT day FROM rollup_open WHERE workspace_id = $1
         UNION SELECT date_trunc('day', hour, 'UTC') FROM unnest($2::timestamptz[]) AS hour",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<Array<Timestamptz>, _>(dirty)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.day).collect())
}

/// Open days before `before` of which every hour is counted, the oldest first.
pub fn to_close(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Open>> {
    sql_query(
        "SELECT workspace_id, day FROM rollup_open o
         WHERE day < $1 AND NOT EXISTS (
             SELECT FROM rollup_dirty d WHERE d.workspace_id = o.workspace_id
                 AND d.hour >= o.day AND d.hour < o.day + interval '1 day')
         ORDER BY day LIMIT $2",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .load(conn)
}

macro_rules! bind {
    ($sql:expr, $open:expr) => {
        sql_query($sql)
            .bind::<SqlUuid, _>($open.workspace_id)
            .bind::<Timestamptz, _>($open.day)
    };
}

/// Sums up a day, unless another replica is counting; answers whether it was.
pub fn close(conn: &mut PgConnection, open: Open) -> QueryResult<bool> {
    conn.transaction(|conn| {
        if !rollups::lock(conn)? {
            return Ok(false);
        }
        for (table, column) in [
            ("rollup_open", "day"),
            ("day_counts", "received"),
            ("day_revenue", "received"),
            ("day_values", "received"),
            ("day_hits", "received"),
        ] {
            let sql = format!("DELETE FROM {table} WHERE workspace_id = $1 AND {column} = $2");
            bind!(sql, open).execute(conn)?;
        }
        counts(conn, open)?;
        let sql = format!(
            "INSERT INTO day_revenue (workspace_id, received, campaign_id, day, currency, amount)
             SELECT $1, $2, campaign_id, {DAY}, currency, sum(amount)
             FROM rollup_revenue WHERE {OF_DAY} GROUP BY campaign_id, {DAY}, currency"
        );
        bind!(sql, open).execute(conn)?;
        values(conn, open)?;
        packed::hits_of_day(conn, open)?;
        Ok(true)
    })
}

/// The day that a quarter is in, and the quarters of `$1` that were received on `$2`.
const DAY: &str = "date_trunc('day', quarter, 'UTC')";
pub(super) const OF_DAY: &str = "workspace_id = $1 AND hour >= $2 AND hour < $2 + interval '1 day'";

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = SqlUuid)]
    campaign_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    day: DateTime<Utc>,
    #[diesel(embed)]
    counts: Overview,
    #[diesel(sql_type = Array<Binary>)]
    people: Vec<Vec<u8>>,
}

fn counts(conn: &mut PgConnection, open: Open) -> QueryResult<()> {
    let sql = format!(
        "SELECT campaign_id, {DAY} AS day, sum(events)::bigint AS events,
             sum(machine)::bigint AS machine, sum(views)::bigint AS views,
             sum(opens)::bigint AS opens, sum(clicks)::bigint AS clicks,
             sum(unsubscribes)::bigint AS unsubscribes,
             sum(conversions)::bigint AS conversions, 0::bigint AS visitors,
             array_agg(people) AS people
         FROM rollup_counts WHERE {OF_DAY} GROUP BY 1, 2"
    );
    let rows: Vec<CountRow> = bind!(sql, open).load(conn)?;
    let column = |of: fn(&CountRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let sql =
        "INSERT INTO day_counts (workspace_id, received, campaign_id, day, events, machine, views,
             opens, clicks, unsubscribes, conversions, people)
         SELECT $1, $2, * FROM unnest($3::uuid[], $4::timestamptz[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[])";
    bind!(sql, open)
        .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.campaign_id).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.day).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(column(|row| row.counts.events))
        .bind::<Array<BigInt>, _>(column(|row| row.counts.machine))
        .bind::<Array<BigInt>, _>(column(|row| row.counts.views))
        .bind::<Array<BigInt>, _>(column(|row| row.counts.opens))
        .bind::<Array<BigInt>, _>(column(|row| row.counts.clicks))
        .bind::<Array<BigInt>, _>(column(|row| row.counts.unsubscribes))
        .bind::<Array<BigInt>, _>(column(|row| row.counts.conversions))
        .bind::<Array<Binary>, _>(
            rows.iter()
                .map(|row| merged(&row.people))
                .collect::<Vec<_>>(),
        )
        .execute(conn)?;
    Ok(())
}

/// The sketch of everybody in these.
fn merged(sketches: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Sketch::default();
    for sketch in sketches {
        all.merge(&Sketch::from_bytes(sketch));
    }
    all.to_bytes()
}

#[derive(QueryableByName)]
struct ValueRow {
    #[diesel(sql_type = SqlUuid)]
    campaign_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    day: DateTime<Utc>,
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
    #[diesel(sql_type = Array<Binary>)]
    people: Vec<Vec<u8>>,
}

fn values(conn: &mut PgConnection, open: Open) -> QueryResult<()> {
    let sql = format!(
        "SELECT campaign_id, {DAY} AS day, dimension, value, sum(events)::bigint AS events,
             sum(views)::bigint AS views, sum(clicks)::bigint AS clicks,
             sum(conversions)::bigint AS conversions, array_agg(people) AS people
         FROM rollup_values WHERE {OF_DAY} GROUP BY 1, 2, 3, 4"
    );
    let rows: Vec<ValueRow> = bind!(sql, open).load(conn)?;
    let column = |of: fn(&ValueRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let values: Vec<_> = rows.iter().map(|row| json!(row.value)).collect();
    let sql = format!(
        "INSERT INTO day_values (workspace_id, received, campaign_id, day, dimension, value,
             events, views, clicks, conversions, people)
         SELECT $1, $2, c, q, d, {VALUE}, e, v, k, o, p
         FROM unnest($3::uuid[], $4::timestamptz[], $5::text[], $6::jsonb[], $7::bigint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[])
             AS t (c, q, d, value, e, v, k, o, p)"
    );
    bind!(sql, open)
        .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.campaign_id).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.day).collect::<Vec<_>>())
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
        .bind::<Array<Binary>, _>(
            rows.iter()
                .map(|row| merged(&row.people))
                .collect::<Vec<_>>(),
        )
        .execute(conn)?;
    Ok(())
}
