//! Answers about people, over time: funnels, retention, sessions, goals, attribution. They read who
//! did what when from an index of people's events, a period's types at a time.

use chrono::{DateTime, Duration, Utc};
use common::CampaignId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid};

use super::counted::Cut;
use super::reports::Period;
use super::rollups::{LINKS, PERSON};
use crate::domain::step::Step;

/// People's events of a period: `$1` to `$4`. They are found by when they happened, and stored by
/// when they were received; nothing is received more than a day before it happened.
fn people() -> String {
    format!(
        "events e {LINKS}
         WHERE e.workspace_id = $1 AND e.verdict = 'human' AND e.received_at >= $2 - interval '1 day'
           AND e.occurred_at >= $2 AND e.occurred_at < $3
           AND ($4::uuid IS NULL OR e.campaign_id = $4)"
    )
}

macro_rules! bind_period {
    ($query:expr, $period:expr) => {
        $query
            .bind::<SqlUuid, _>($period.workspace)
            .bind::<Timestamptz, _>($period.from)
            .bind::<Timestamptz, _>($period.to)
            .bind::<Nullable<SqlUuid>, _>($period.campaign)
    };
}

#[derive(QueryableByName)]
struct StepRow {
    #[diesel(sql_type = Int4)]
    step: i32,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

/// How many people got how far with what a campaign's events say: each step later than the one
/// before, and all within `window` of the first. Of everybody's, [`super::funnel`] tells.
///
/// For every event of a step it is kept when the latest way to it began. An earlier beginning
/// never gets further, so nothing else needs to be.
pub fn funnel_of_campaign(
    conn: &mut PgConnection,
    period: Period,
    steps: &[Step],
    window: Duration,
) -> QueryResult<Vec<i64>> {
    let people = people();
    let of_step = |k: usize| {
        format!(
            "SELECT {PERSON} AS person, e.occurred_at AS at FROM {people}
               AND {PERSON} IS NOT NULL AND e.type = ($5::text[])[{k}]
               AND (($6::text[])[{k}] IS NULL OR e.name = ($6::text[])[{k}])"
        )
    };
    let mut sql = format!(
        "WITH w1 AS (SELECT person, at, at AS began FROM ({}) s)",
        of_step(1)
    );
    for k in 2..=steps.len() {
        let before = k - 1;
        sql.push_str(&format!(
            ", w{k} AS (
                 SELECT person, at, began FROM (
                     SELECT person, at, own, max(began) OVER (
                         PARTITION BY person ORDER BY at, own DESC
                         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS began
                     FROM (
                         SELECT person, at, 1 AS own, NULL::timestamptz AS began FROM ({}) s
                         WHERE person IN (SELECT person FROM w{before})
                         UNION ALL
                         SELECT person, at, 0, began FROM w{before}
                     ) AS both_steps
                 ) AS ways WHERE own = 1 AND at - began <= $7 * interval '1 second')",
            of_step(k)
        ));
    }
    let counts: Vec<_> = (1..=steps.len())
        .map(|k| format!("SELECT {k} AS step, count(DISTINCT person) AS people FROM w{k}"))
        .collect();
    // The window is bound whether or not there is a second step.
    let sql = format!(
        "SELECT * FROM ({sql} {}) AS found WHERE $7::bigint >= 0 ORDER BY step",
        counts.join(" UNION ALL ")
    );
    let kinds: Vec<&str> = steps.iter().map(|step| step.kind.as_str()).collect();
    let names: Vec<Option<&str>> = steps.iter().map(|step| step.name.as_deref()).collect();
    let rows: Vec<StepRow> = bind_period!(sql_query(sql), period)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Nullable<Text>>, _>(names)
        .bind::<BigInt, _>(window.num_seconds())
        .load(conn)?;
    let mut found = vec![0; steps.len()];
    for row in rows {
        let index = usize::try_from(row.step - 1).unwrap_or(0);
        found[index] = row.people;
    }
    Ok(found)
}

/// How many of those who came in one interval came back so many intervals later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub struct Returned {
    #[diesel(sql_type = Timestamptz)]
    pub cohort: DateTime<Utc>,
    /// 0: how many came at all.
    #[diesel(sql_type = Int4)]
    pub later: i32,
    #[diesel(sql_type = BigInt)]
    pub people: i64,
}

/// Cohorts by the first `start` of each person in the period, and who did `back` afterwards. No
/// step means any event.
pub fn retention(
    conn: &mut PgConnection,
    period: Period,
    start: Option<&Step>,
    back: Option<&Step>,
    cut: Cut<'_>,
) -> QueryResult<Vec<Returned>> {
    let people = people();
    let matches = |kind: usize| {
        let name = kind + 1;
        format!(
            "AND {PERSON} IS NOT NULL AND (${kind}::text IS NULL OR e.type = ${kind})
             AND (${name}::text IS NULL OR e.name = ${name})"
        )
    };
    let days = if cut.unit == "week" { 7 } else { 1 };
    let sql = format!(
        "WITH came AS (
             SELECT {PERSON} AS person, date_trunc($9, min(e.occurred_at), $10) AS cohort
             FROM {people} {} GROUP BY 1),
         active AS (
             SELECT DISTINCT {PERSON} AS person, date_trunc($9, e.occurred_at, $10) AS at
             FROM {people} {})
         SELECT cohort, 0 AS later, count(*) AS people FROM came GROUP BY 1
         UNION ALL
         SELECT cohort, ((at AT TIME ZONE $10)::date - (cohort AT TIME ZONE $10)::date) / {days} AS later,
             count(*) AS people
         FROM came JOIN active USING (person) WHERE at > cohort GROUP BY 1, 2
         ORDER BY 1, 2",
        matches(5),
        matches(7)
    );
    let kind = |step: Option<&Step>| step.map(|step| step.kind.clone());
    let name = |step: Option<&Step>| step.and_then(|step| step.name.clone());
    bind_period!(sql_query(sql), period)
        .bind::<Nullable<Text>, _>(kind(start))
        .bind::<Nullable<Text>, _>(name(start))
        .bind::<Nullable<Text>, _>(kind(back))
        .bind::<Nullable<Text>, _>(name(back))
        .bind::<Text, _>(cut.unit)
        .bind::<Text, _>(cut.zone)
        .load(conn)
}

/// What people do between coming and going.
#[derive(Clone, Copy, Debug, Default, PartialEq, QueryableByName)]
pub struct Sessions {
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
    /// With one event only.
    #[diesel(sql_type = BigInt)]
    pub bounced: i64,
    #[diesel(sql_type = BigInt)]
    pub views: i64,
    /// All of them together.
    #[diesel(sql_type = BigInt)]
    pub seconds: i64,
}

/// Who is quiet for longer than `gap` comes anew. Mails that are opened are no visit.
pub fn sessions(conn: &mut PgConnection, period: Period, gap: Duration) -> QueryResult<Sessions> {
    let people = people();
    let sql = format!(
        "WITH seen AS (
             SELECT {PERSON} AS person, e.occurred_at AS at, e.type FROM {people}
               AND {PERSON} IS NOT NULL AND e.type IN ('view', 'click', 'screen', 'track', 'goal')),
         gaps AS (
             SELECT *, coalesce(at - lag(at) OVER of_person > $5 * interval '1 second', true) AS fresh
             FROM seen WINDOW of_person AS (PARTITION BY person ORDER BY at)),
         numbered AS (
             SELECT *, count(*) FILTER (WHERE fresh) OVER (PARTITION BY person ORDER BY at) AS number
             FROM gaps),
         visits AS (
             SELECT count(*) AS events, count(*) FILTER (WHERE type = 'view') AS views,
                 extract(epoch FROM max(at) - min(at)) AS seconds
             FROM numbered GROUP BY person, number)
         SELECT count(*) AS sessions, count(*) FILTER (WHERE events = 1) AS bounced,
             coalesce(sum(views), 0)::bigint AS views,
             coalesce(round(sum(seconds)), 0)::bigint AS seconds
         FROM visits"
    );
    bind_period!(sql_query(sql), period)
        .bind::<BigInt, _>(gap.num_seconds())
        .get_result(conn)
}

/// A goal, and how often it was reached.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Goal {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = BigInt)]
    pub reached: i64,
    #[diesel(sql_type = BigInt)]
    pub people: i64,
}

/// The goals of a period, those reached most first.
pub fn goals(conn: &mut PgConnection, period: Period, limit: i64) -> QueryResult<Vec<Goal>> {
    let people = people();
    let sql = format!(
        "SELECT coalesce(e.name, '') AS name, count(*) AS reached, count(DISTINCT {PERSON}) AS people
         FROM {people} AND e.type = 'goal'
         GROUP BY 1 ORDER BY reached DESC, name LIMIT $5"
    );
    bind_period!(sql_query(sql), period)
        .bind::<BigInt, _>(limit)
        .load(conn)
}

/// A conversion and one of the touches before it; one without touches has one row.
#[derive(Clone, Debug, QueryableByName)]
pub struct Touched {
    /// Which conversion.
    #[diesel(sql_type = BigInt)]
    pub conversion: i64,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    pub currency: Option<String>,
    /// Net of what was refunded of the order, until now.
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub touched_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub campaign_id: Option<CampaignId>,
}

/// Conversions of a period with the clicks of campaigns that the same person made in the `window`
/// before, in order. `campaign` of the period is left aside: credit is shared among all first.
pub fn touched(
    conn: &mut PgConnection,
    period: Period,
    window: Duration,
) -> QueryResult<Vec<Touched>> {
    // Refunds of an order count with it, whenever they come; one whose order is not known counts
    // by itself.
    let sql = format!(
        "WITH money AS (
             SELECT {PERSON} AS person, e.occurred_at AS at, e.id, e.type, e.amount, e.currency, e.order_id
             FROM events e {LINKS}
             WHERE e.workspace_id = $1 AND e.verdict = 'human'
               AND e.received_at >= $2 - interval '1 day' AND e.occurred_at >= $2
               AND (e.type = 'goal' OR e.amount IS NOT NULL)),
         orders AS (
             SELECT order_id, currency, sum(amount)::bigint AS amount FROM money
             WHERE order_id IS NOT NULL AND amount IS NOT NULL GROUP BY 1, 2),
         conversions AS (
             SELECT row_number() OVER (ORDER BY m.at, m.id) AS conversion, m.person, m.at, m.currency,
                 coalesce(o.amount, m.amount, 0) AS amount
             FROM (
                 SELECT *, row_number() OVER (PARTITION BY order_id, currency, amount > 0 ORDER BY at, id) AS turn,
                     bool_or(amount > 0) OVER (PARTITION BY order_id, currency) AS known
                 FROM money) m
             LEFT JOIN orders o ON o.order_id = m.order_id AND o.currency IS NOT DISTINCT FROM m.currency
                 AND m.amount IS NOT NULL
             WHERE m.at < $3
               AND (m.order_id IS NULL OR m.amount IS NULL
                    OR (m.turn = 1 AND (m.amount > 0 OR NOT m.known)))),
         touches AS (
             SELECT {PERSON} AS person, e.occurred_at AS at, e.campaign_id
             FROM events e {LINKS}
             WHERE e.workspace_id = $1 AND e.verdict = 'human' AND e.type IN ('click', 'view')
               AND e.campaign_id IS NOT NULL
               AND e.received_at >= $2 - $4 * interval '1 second' - interval '1 day'
               AND e.occurred_at >= $2 - $4 * interval '1 second' AND e.occurred_at < $3)
         SELECT c.conversion, c.at, c.currency, c.amount, t.at AS touched_at, t.campaign_id
         FROM conversions c
         LEFT JOIN touches t ON t.person = c.person AND t.at <= c.at
             AND t.at >= c.at - $4 * interval '1 second'
         ORDER BY c.conversion, t.at, t.campaign_id"
    );
    sql_query(sql)
        .bind::<SqlUuid, _>(period.workspace)
        .bind::<Timestamptz, _>(period.from)
        .bind::<Timestamptz, _>(period.to)
        .bind::<BigInt, _>(window.num_seconds())
        .load(conn)
}

/// Whether Postgres knows this time zone.
pub fn knows_zone(conn: &mut PgConnection, zone: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        found: i64,
    }
    let found = sql_query("SELECT count(*) AS found FROM pg_timezone_names WHERE name = $1")
        .bind::<Text, _>(zone)
        .get_result::<Found>(conn)?;
    Ok(found.found > 0)
}
