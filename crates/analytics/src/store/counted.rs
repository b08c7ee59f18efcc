//! Answers from the counts that are kept, and from the events themselves where those are not up to
//! date or too coarse: in all one moment's truth, equal to counting every event.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, DurationRound, Utc};
use common::WorkspaceId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::days::{self, day};
use super::packed::dirty_hours as dirty_in;
use super::reports::{COUNTS, Overview, Period};
use super::rollups::{DIMENSIONS, LINKS, PERSON, VALUE_COUNTS};
use crate::domain::sketch::Sketch;
use crate::domain::visitor::Visitor;

/// What an overview is cut into, such as the days of a time zone; nothing: into one piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut<'a> {
    /// `hour`, `day` or `week`; empty for one piece.
    pub unit: &'a str,
    /// An IANA name.
    pub zone: &'a str,
}

/// Money of one currency, in minor units.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Sum {
    #[diesel(sql_type = Text)]
    pub currency: String,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
}

/// One value of a dimension: a device, a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Valued {
    pub value: Vec<String>,
    pub events: i64,
    pub views: i64,
    pub clicks: i64,
    pub conversions: i64,
    pub visitors: i64,
}

/// Runs `ask` on one moment's state of the database.
pub fn at_one_moment<T>(
    conn: &mut PgConnection,
    ask: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    conn.build_transaction()
        .read_only()
        .repeatable_read()
        .run(ask)
}

impl Cut<'_> {
    /// The days of UTC from `from` to `to` that never fall into two pieces.
    fn days(self, from: DateTime<Utc>, to: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let whole = self.unit.is_empty() || (self.unit != "hour" && self.zone == "UTC");
        let first = match day(from) {
            same if same == from => from,
            before => before + Duration::days(1),
        };
        match whole && first < day(to) {
            true => (first, day(to)),
            false => (to, to),
        }
    }
}

fn quarter(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(Duration::minutes(15)).unwrap_or(at)
}

/// What of a period is read from where.
struct Plan {
    period: Period,
    /// Whole quarters, which the counts answer.
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Hours of received events that are to be read themselves.
    dirty: Vec<DateTime<Utc>>,
    /// Hours in which events were received that happened in a quarter that the period cuts in two,
    /// other than those. Of these what happened in the period is read itself.
    edges: Vec<DateTime<Utc>>,
    /// Whole days among the whole quarters, which the counts of days answer; from the same to the
    /// same when the question is finer.
    first_day: DateTime<Utc>,
    last_day: DateTime<Utc>,
    /// Days of received events that are not summed up: of these the quarters are read.
    open: Vec<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Hour {
    #[diesel(sql_type = Timestamptz)]
    hour: DateTime<Utc>,
}

impl Plan {
    /// `cut` says whether days are fine enough.
    fn make(conn: &mut PgConnection, period: Period, cut: Cut<'_>) -> QueryResult<Self> {
        let (first, last) = (quarter(period.from), quarter(period.to));
        let from = match first == period.from {
            true => first,
            false => first + Duration::minutes(15),
        };
        let to = last.max(from);
        let hours = |rows: Vec<Hour>| rows.into_iter().map(|row| row.hour).collect::<Vec<_>>();
        let dirty = dirty_in(conn, period.workspace)?;
        let (first_day, last_day) = cut.days(from, to);
        let open = days::opened(conn, period.workspace, &dirty)?;
        let mut parts = Vec::new();
        parts.extend((first != period.from).then_some(first));
        parts.extend((last != period.to).then_some(last));
        let edges = match parts.is_empty() {
            true => Vec::new(),
            false => hours(
                sql_query(
                    "SELECT DISTINCT hour FROM rollup_counts
                     WHERE workspace_id = $1 AND campaign_id = $2 AND quarter = ANY ($3)
                       AND hour <> ALL ($4)",
                )
                .bind::<SqlUuid, _>(period.workspace)
                .bind::<SqlUuid, _>(period.key())
                .bind::<Array<Timestamptz>, _>(parts)
                .bind::<Array<Timestamptz>, _>(&dirty)
                .load(conn)?,
            ),
        };
        Ok(Self {
            period,
            from,
            to,
            dirty,
            edges,
            first_day,
            last_day,
            open,
        })
    }

    /// Whether events are to be read themselves.
    fn reads(&self) -> bool {
        !(self.dirty.is_empty() && self.edges.is_empty())
    }

    /// The first and the last moment at which what is read itself was received.
    fn received(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let hours = || self.dirty.iter().chain(&self.edges).copied();
        let first = hours().min().unwrap_or(self.period.to);
        let last = hours().max().unwrap_or(self.period.to);
        (first, last + Duration::hours(1))
    }

    /// When the cut quarters' parts in the period begin, and when they end.
    fn cuts(&self) -> (Vec<DateTime<Utc>>, Vec<DateTime<Utc>>) {
        if self.edges.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let Self {
            period, from, to, ..
        } = self;
        let parts = [
            (period.from, period.to.min(*from)),
            (period.from.max(*to), period.to),
        ];
        let parts = parts.into_iter().filter(|(began, ended)| began < ended);
        parts.unzip()
    }
}

/// Whether an event was received about when it happened; `events_out_of_time` has the others.
const OUT_OF_TIME: &str = "(e.received_at - e.occurred_at < interval '-15 minutes'
    OR e.received_at - e.occurred_at > interval '15 minutes')";

/// The events that a plan reads themselves; binds `$1` to `$9`.
fn events() -> String {
    let received = "e.received_at >= $4 AND e.received_at < $5";
    // Found for each part by itself: events of few minutes among those of many hours.
    let of_cut = format!(
        "FROM events e WHERE e.workspace_id = $1 AND {received}
             AND e.occurred_at >= cut.began AND e.occurred_at < cut.ended
             AND date_trunc('hour', e.received_at, 'UTC') <> ALL ($2)"
    );
    format!(
        "(SELECT e.*, {PERSON} AS person FROM (
             SELECT e.* FROM unnest($2::timestamptz[]) AS h (hour)
             JOIN events e ON e.workspace_id = $1 AND e.received_at >= h.hour
                 AND e.received_at < h.hour + interval '1 hour'
             WHERE {received} AND e.occurred_at >= $6 AND e.occurred_at < $7
             UNION ALL
             SELECT e.* FROM unnest($3::timestamptz[], $8::timestamptz[]) AS cut (began, ended),
             LATERAL (
                 SELECT e.* {of_cut} AND NOT {OUT_OF_TIME}
                     AND e.received_at >= cut.began - interval '15 minutes'
                     AND e.received_at <= cut.ended + interval '15 minutes'
                 UNION ALL
                 SELECT e.* {of_cut} AND {OUT_OF_TIME}
             ) AS e) AS e
          {LINKS} WHERE $9::uuid IS NULL OR e.campaign_id = $9) AS e"
    )
}

/// Binds what [`events`] needs.
macro_rules! bind_events {
    ($query:expr, $plan:expr) => {{
        let (first, last) = $plan.received();
        let (began, ended) = $plan.cuts();
        $query
            .bind::<SqlUuid, _>($plan.period.workspace)
            .bind::<Array<Timestamptz>, _>($plan.dirty.clone())
            .bind::<Array<Timestamptz>, _>(began)
            .bind::<Timestamptz, _>(first)
            .bind::<Timestamptz, _>(last)
            .bind::<Timestamptz, _>($plan.period.from)
            .bind::<Timestamptz, _>($plan.period.to)
            .bind::<Array<Timestamptz>, _>(ended)
            .bind::<Nullable<SqlUuid>, _>($plan.period.campaign)
    }};
}

/// The counts that a plan reads, of `counts`, `revenue` or `values`: of days where days will do,
/// and of quarters where not. Binds `$1` to `$8`.
fn counted(what: &str, columns: &str) -> String {
    let quarters = format!(
        "SELECT quarter, {columns} FROM rollup_{what}
         WHERE workspace_id = $1 AND campaign_id = $2 AND hour <> ALL ($5)"
    );
    format!(
        "({quarters} AND quarter >= $3 AND quarter < $6
          UNION ALL {quarters} AND quarter >= $7 AND quarter < $4
          UNION ALL
          SELECT day, {columns} FROM day_{what}
          WHERE workspace_id = $1 AND campaign_id = $2 AND day >= $6 AND day < $7
              AND received <> ALL ($8)
          UNION ALL
          SELECT quarter, {columns} FROM unnest($8) AS open (began) JOIN rollup_{what}
              ON workspace_id = $1 AND campaign_id = $2
              AND hour >= open.began AND hour < open.began + interval '1 day'
              AND quarter >= $6 AND quarter < $7 AND hour <> ALL ($5)) AS counted"
    )
}

macro_rules! bind_counted {
    ($query:expr, $plan:expr) => {
        $query
            .bind::<SqlUuid, _>($plan.period.workspace)
            .bind::<SqlUuid, _>($plan.period.key())
            .bind::<Timestamptz, _>($plan.from)
            .bind::<Timestamptz, _>($plan.to)
            .bind::<Array<Timestamptz>, _>($plan.dirty.clone())
            .bind::<Timestamptz, _>($plan.first_day)
            .bind::<Timestamptz, _>($plan.last_day)
            .bind::<Array<Timestamptz>, _>($plan.open.clone())
    };
}

const COUNT_COLUMNS: &str = "events, machine, views, opens, clicks, unsubscribes, conversions";
const VALUE_COLUMNS: &str = "dimension, value, events, views, clicks, conversions, people";

/// The piece of a cut that `time` is in: `unit` and `zone` are these parameters.
fn piece(time: &str, unit: usize, from: usize) -> String {
    let zone = unit + 1;
    format!("CASE WHEN ${unit} = '' THEN ${from} ELSE date_trunc(${unit}, {time}, ${zone}) END")
}

#[derive(QueryableByName)]
struct PieceRow {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(embed)]
    counts: Overview,
}

#[derive(QueryableByName)]
struct SketchRow {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Binary)]
    people: Vec<u8>,
}

#[derive(QueryableByName)]
struct PeopleRow {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Array<BigInt>)]
    people: Vec<i64>,
}

/// What happened in each piece of a period in which something did.
pub fn pieces(
    conn: &mut PgConnection,
    period: Period,
    cut: Cut<'_>,
) -> QueryResult<BTreeMap<DateTime<Utc>, Overview>> {
    let plan = Plan::make(conn, period, cut)?;
    let mut found: BTreeMap<DateTime<Utc>, (Overview, Sketch)> = BTreeMap::new();
    // One piece is one piece, wherever what it is made of begins.
    let begins = |at: DateTime<Utc>| match cut.unit.is_empty() {
        true => period.from,
        false => at,
    };
    let numbers = sql_query(format!(
        "SELECT {} AS at, sum(events)::bigint AS events, sum(machine)::bigint AS machine,
             sum(views)::bigint AS views, sum(opens)::bigint AS opens,
             sum(clicks)::bigint AS clicks, sum(unsubscribes)::bigint AS unsubscribes,
             sum(conversions)::bigint AS conversions, 0::bigint AS visitors
         FROM {} GROUP BY 1",
        piece("quarter", 9, 3),
        counted("counts", COUNT_COLUMNS)
    ));
    let numbers: Vec<PieceRow> = bind_counted!(numbers, plan)
        .bind::<Text, _>(cut.unit)
        .bind::<Text, _>(cut.zone)
        .load(conn)?;
    let sketches = sql_query(format!(
        "SELECT {} AS at, people FROM {} WHERE people <> '\\x00'",
        piece("quarter", 9, 3),
        counted("counts", "people")
    ));
    let sketches: Vec<SketchRow> = bind_counted!(sketches, plan)
        .bind::<Text, _>(cut.unit)
        .bind::<Text, _>(cut.zone)
        .load(conn)?;
    for row in sketches {
        let known = &mut found.entry(begins(row.at)).or_default().1;
        known.merge(&Sketch::from_bytes(&row.people));
    }
    let mut pieces = numbers;
    if plan.reads() {
        let read = sql_query(format!(
            "SELECT {} AS at, {COUNTS} FROM {} GROUP BY 1",
            piece("occurred_at", 10, 6),
            events()
        ));
        let read: Vec<PieceRow> = bind_events!(read, plan)
            .bind::<Text, _>(cut.unit)
            .bind::<Text, _>(cut.zone)
            .load(conn)?;
        pieces.extend(read);
        let people = sql_query(format!(
            "SELECT {} AS at, array_agg(DISTINCT person) AS people FROM {}
             WHERE verdict = 'human' AND person IS NOT NULL GROUP BY 1",
            piece("occurred_at", 10, 6),
            events()
        ));
        let people: Vec<PeopleRow> = bind_events!(people, plan)
            .bind::<Text, _>(cut.unit)
            .bind::<Text, _>(cut.zone)
            .load(conn)?;
        for row in people {
            let people: Sketch = row.people.into_iter().map(Visitor).collect();
            found.entry(begins(row.at)).or_default().1.merge(&people);
        }
    }
    for row in pieces {
        found.entry(begins(row.at)).or_default().0.add(&row.counts);
    }
    let sized = |(at, (mut counts, people)): (_, (Overview, Sketch))| {
        counts.visitors = people.size();
        (at, counts)
    };
    Ok(found.into_iter().map(sized).collect())
}

/// When each piece of a period begins, also of those in which nothing happened.
pub fn grid(
    conn: &mut PgConnection,
    period: Period,
    cut: Cut<'_>,
    most: i64,
) -> QueryResult<Vec<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct At {
        #[diesel(sql_type = Timestamptz)]
        at: DateTime<Utc>,
    }
    // No zone shifts its clock by less than a quarter of an hour, and no day is shorter than 22.
    let step = if cut.unit == "hour" {
        "15 minutes"
    } else {
        "6 hours"
    };
    let rows: Vec<At> = sql_query(format!(
        "SELECT DISTINCT date_trunc($3, s, $4) AS at FROM (
             SELECT generate_series($1, $2 - interval '1 microsecond', interval '{step}')
             UNION ALL SELECT $2 - interval '1 microsecond') AS steps (s)
         ORDER BY at LIMIT $5"
    ))
    .bind::<Timestamptz, _>(period.from)
    .bind::<Timestamptz, _>(period.to)
    .bind::<Text, _>(cut.unit)
    .bind::<Text, _>(cut.zone)
    .bind::<BigInt, _>(most)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.at).collect())
}

/// What a period brought in, net, by currency.
pub fn revenue(conn: &mut PgConnection, period: Period) -> QueryResult<Vec<Sum>> {
    let plan = Plan::make(conn, period, Cut::default())?;
    let sums_of = sql_query(format!(
        "SELECT currency, sum(amount)::bigint AS amount FROM {} GROUP BY 1",
        counted("revenue", "currency, amount")
    ));
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut rows: Vec<Sum> = bind_counted!(sums_of, plan).load(conn)?;
    if plan.reads() {
        let read = sql_query(format!(
            "SELECT currency, sum(amount)::bigint AS amount FROM {}
             WHERE verdict = 'human' AND amount IS NOT NULL AND currency IS NOT NULL GROUP BY 1",
            events()
        ));
        rows.extend(bind_events!(read, plan).load::<Sum>(conn)?);
    }
    for row in rows {
        let sum = sums.entry(row.currency).or_default();
        *sum = sum.saturating_add(row.amount);
    }
    let sums = sums
        .into_iter()
        .map(|(currency, amount)| Sum { currency, amount });
    Ok(sums.collect())
}

#[derive(QueryableByName)]
struct ValueRow {
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
    #[diesel(sql_type = Nullable<Array<Binary>>)]
    sketches: Option<Vec<Vec<u8>>>,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    people: Option<Vec<i64>>,
}

/// A period's values of a dimension, those with the most events first.
pub fn values(
    conn: &mut PgConnection,
    period: Period,
    dimension: &str,
    limit: usize,
) -> QueryResult<Vec<Valued>> {
    let plan = Plan::make(conn, period, Cut::default())?;
    let stored = sql_query(format!(
        "SELECT value, sum(events)::bigint AS events, sum(views)::bigint AS views,
             sum(clicks)::bigint AS clicks, sum(conversions)::bigint AS conversions,
             array_agg(people) AS sketches, NULL::bigint[] AS people
         FROM {} WHERE dimension = $9 GROUP BY 1",
        counted("values", VALUE_COLUMNS)
    ));
    let mut rows: Vec<ValueRow> = bind_counted!(stored, plan)
        .bind::<Text, _>(dimension)
        .load(conn)?;
    if plan.reads() {
        let read = sql_query(format!(
            "SELECT value, {VALUE_COUNTS}, NULL::bytea[] AS sketches,
                 array_agg(DISTINCT person) FILTER (WHERE person IS NOT NULL) AS people
             FROM {}, {DIMENSIONS} WHERE verdict = 'human' AND dimension = $10 GROUP BY 1",
            events()
        ));
        let read = bind_events!(read, plan).bind::<Text, _>(dimension);
        rows.extend(read.load::<ValueRow>(conn)?);
    }
    let mut found: BTreeMap<Vec<String>, (Valued, Sketch)> = BTreeMap::new();
    for row in rows {
        let (valued, people) = found.entry(row.value).or_default();
        valued.events += row.events;
        valued.views += row.views;
        valued.clicks += row.clicks;
        valued.conversions += row.conversions;
        for sketch in row.sketches.unwrap_or_default() {
            people.merge(&Sketch::from_bytes(&sketch));
        }
        let read: Sketch = row
            .people
            .unwrap_or_default()
            .into_iter()
            .map(Visitor)
            .collect();
        people.merge(&read);
    }
    let mut values: Vec<_> = found
        .into_iter()
        .map(|(value, (valued, people))| Valued {
            value,
            visitors: people.size(),
            ..valued
        })
        .collect();
    values.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.value.cmp(&b.value)));
    values.truncate(limit);
    Ok(values)
}

impl Period {
    /// Whose counts answer it.
    fn key(&self) -> Uuid {
        self.campaign.map_or(Uuid::nil(), |campaign| campaign.0)
    }
}

/// All hours that are to be counted, of one workspace. For tests.
pub fn dirty_hours(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<usize> {
    Ok(dirty_in(conn, workspace)?.len())
}
