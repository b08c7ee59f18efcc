//! How long reports take over many events: a campaign's report through the gateway, the overview of
//! 90 days and funnels over 30, straight to the service.
//!
//! The events are written by Postgres itself, a day's partition at a time, before it is attached;
//! the counts are made of them by the service's own code, as after an outage. Half are opens, 28 %
//! views, 12 % clicks, 8 % product events, 2 % goals, by people of whom few do much and most little,
//! some under two ids; an eighth are machines'.

use std::time::Instant;

use analytics::jobs::roll_up;
use anyhow::{Context, ensure};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use laptop::{Postgres, PostgresOptions};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::platform::{Platform, folder};
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::demo::api::Api;

const DAYS: u64 = 90;
const CAMPAIGNS: usize = 60;
/// An event is one of so many by the same person, on average.
const EVENTS_A_PERSON: usize = 25;
/// Days that are written at a time.
const WRITERS: usize = 2;
/// Requests of a round, of each report but funnels.
const REQUESTS: usize = 60;
const FUNNELS: usize = 12;
const CAMPAIGN_AIM_MS: f64 = 50.0;
const OVERVIEW_AIM_MS: f64 = 150.0;
const FUNNEL_AIM_MS: f64 = 1_500.0;
/// What a site wants to know, and the longest way: from every open.
const STEPS: [&str; 2] = ["click,view,track:Signed%20Up,goal", "open,click,view,goal"];

#[derive(Deserialize)]
struct Created {
    id: Uuid,
}

pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Row>> {
    let folder = folder()?;
    let mut options = PostgresOptions::new(folder.path().join("postgres"));
    // A table that is filled in the transaction that makes it need not be logged.
    options.settings = [("wal_level", "minimal"), ("max_wal_senders", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let postgres = tokio::task::spawn_blocking(|| Postgres::start(options)).await??;
    let platform = Platform::start(folder.path(), &[("DATABASE_URL", postgres.url())]).await?;
    let api = platform.sign_in().await?;
    let campaigns = campaigns(&api).await?;
    let workspace = workspace(&api, postgres.url()).await?;
    let filled = fill(postgres.url(), workspace, campaigns.clone(), size.reports).await?;
    let mut figures: [Rounds; 4] = Default::default();
    for _ in 0..size.rounds {
        let mut found = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for number in 0..REQUESTS {
            let campaign = campaigns[number % campaigns.len()];
            let report = timed(
                &api,
                &format!("/api/v1/campaigns/{campaign}/report"),
                &mut found[0],
            )
            .await?;
            ensure!(
                report["opens"]["human"].as_i64() > Some(0),
                "a campaign's report has no opens: {report}"
            );
            let overview = timed(&api, &overview(), &mut found[1]).await?;
            let events = overview["events"].as_i64().unwrap_or(0);
            // A few were received in these days and happened before.
            ensure!(
                events as f64 >= filled as f64 * 0.999,
                "an overview counts {events} of {filled} events"
            );
        }
        for (steps, times) in STEPS.iter().zip(&mut found[2..]) {
            for _ in 0..FUNNELS {
                let path = format!("/api/v1/analytics/funnel?steps={steps}&window_days=7");
                let funnel = timed(&api, &path, times).await?;
                let first = funnel["steps"][0]["people"].as_i64();
                ensure!(first > Some(0), "a funnel has nobody: {funnel}");
            }
        }
        let p95 = found.map(|mut times| percentile(&mut times, 95));
        say(&format!(
            "reports: p95 campaign {:.0} ms, overview {:.0} ms, funnels {:.0} and {:.0} ms",
            p95[0], p95[1], p95[2], p95[3]
        ));
        for (rounds, figure) in figures.iter_mut().zip(p95) {
            rounds.add_alone(figure);
        }
    }
    let [campaign, overview, funnel, longest] = figures;
    let row = |name: &str, aim, rounds, note: String| {
        Row::new(format!("{name}, p95"), "ms", aim, rounds).noting(note)
    };
    let among = format!("of {filled} events in {DAYS} days, through the gateway");
    Ok(vec![
        row(
            "campaign report",
            Aim::AtMost(CAMPAIGN_AIM_MS),
            campaign,
            format!("{CAMPAIGNS} campaigns {among}"),
        ),
        row(
            "overview of 90 days",
            Aim::AtMost(OVERVIEW_AIM_MS),
            overview,
            among.clone(),
        ),
        row(
            "funnel of 30 days",
            Aim::AtMost(FUNNEL_AIM_MS),
            funnel,
            format!("{}, {among}", STEPS[0]),
        ),
        row(
            "funnel from opens",
            Aim::None,
            longest,
            format!("{}, {among}", STEPS[1]),
        ),
    ])
}

/// Asks for a report and notes how long it took, in milliseconds. The first of each kind warms up
/// and is noted as the others are.
async fn timed(api: &Api, path: &str, times: &mut Vec<f64>) -> anyhow::Result<Value> {
    let began = Instant::now();
    let answer: Value = api.get(path).await?;
    times.push(began.elapsed().as_secs_f64() * 1e3);
    Ok(answer)
}

fn overview() -> String {
    let now = Utc::now();
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (from, to) = (now - chrono::Duration::days(DAYS.cast_signed()), now);
    format!(
        "/api/v1/analytics/overview?from={}&to={}",
        time(from),
        time(to)
    )
}

/// The smallest of `times` that so many of a hundred do not exceed.
fn percentile(times: &mut [f64], of_hundred: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (times.len() * of_hundred).div_ceil(100);
    times
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

async fn campaigns(api: &Api) -> anyhow::Result<Vec<Uuid>> {
    let list: Created = api
        .post("/api/v1/lists", &json!({ "name": "Readers" }))
        .await?;
    let mut campaigns = Vec::new();
    for number in 0..CAMPAIGNS {
        let campaign = json!({
            "name": format!("Letter {number}"),
            "subject": "News",
            "from": { "name": "Clarion Bench", "email": "letters@bench.example" },
            "content": { "format": "markdown", "body": "# News\n\n[unsubscribe]({{ unsubscribe_url }})" },
            "audience": { "list_ids": [list.id] },
        });
        let created: Created = api.post("/api/v1/campaigns", &campaign).await?;
        campaigns.push(created.id);
    }
    Ok(campaigns)
}

#[derive(QueryableByName)]
struct Workspace {
    #[diesel(sql_type = SqlUuid)]
    workspace_id: Uuid,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Whose events are measured: whoever sends one.
async fn workspace(api: &Api, url: String) -> anyhow::Result<Uuid> {
    let _: Value = api
        .post("/api/v1/analytics", &json!({ "type": "view" }))
        .await?;
    let found = blocking(url, |conn| {
        let sql = "SELECT workspace_id FROM events LIMIT 1";
        Ok(sql_query(sql).get_result::<Workspace>(conn)?)
    });
    Ok(found.await?.workspace_id)
}

/// Runs `work` on a connection that sees the tables of analytics.
async fn blocking<T: Send + 'static>(
    url: String,
    work: impl FnOnce(&mut PgConnection) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let done = tokio::task::spawn_blocking(move || {
        let mut conn = PgConnection::establish(&url)?;
        conn.batch_execute("SET search_path TO analytics; SET TIME ZONE 'UTC'")?;
        work(&mut conn)
    });
    done.await?.context("cannot fill the events")
}

/// Writes the events of 90 days until now, and counts them; answers how many there are.
async fn fill(
    url: String,
    workspace: Uuid,
    campaigns: Vec<Uuid>,
    events: usize,
) -> anyhow::Result<usize> {
    let (now, began) = (Utc::now(), Instant::now());
    let first = (now.date_naive() - Days::new(DAYS - 1))
        .and_time(NaiveTime::MIN)
        .and_utc();
    let people = (events / EVENTS_A_PERSON).max(1);
    let days: Vec<NaiveDate> = first
        .date_naive()
        .iter_days()
        .take(usize::try_from(DAYS)?)
        .collect();
    // The last day is not over: it has a part of a day's events.
    let a_day = events as f64 / ((now - first).as_seconds_f64() / 86_400.0);
    let mut writing = Vec::new();
    for part in 0..WRITERS {
        let (url, days, campaigns) = (url.clone(), days.clone(), campaigns.clone());
        writing.push(blocking(url, move |conn| {
            let mut written = 0;
            for (index, day) in days.iter().enumerate().skip(part).step_by(WRITERS) {
                let day = Day {
                    workspace,
                    campaigns: &campaigns,
                    index,
                    day: *day,
                    until: now,
                    rate: a_day,
                    people,
                };
                written += day.write(conn)?;
            }
            Ok(written)
        }));
    }
    let written: usize = futures::future::try_join_all(writing).await?.iter().sum();
    say(&format!(
        "reports: {written} events written in {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    let began = Instant::now();
    blocking(url, move |conn| {
        known_people(conn, workspace, people)?;
        conn.batch_execute("VACUUM (ANALYZE) events")?;
        conn.batch_execute(&format!(
            "INSERT INTO rollup_dirty SELECT '{workspace}', hour
             FROM generate_series('{first}'::timestamptz, '{now}'::timestamptz, '1 hour') AS hour"
        ))?;
        roll_up::all(conn, now)?;
        conn.batch_execute("VACUUM (ANALYZE)")?;
        conn.batch_execute("CHECKPOINT")?;
        Ok(())
    })
    .await?;
    say(&format!(
        "reports: counted in {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(written)
}

/// A tenth of the people have browsed under another id before they were known.
fn known_people(conn: &mut PgConnection, workspace: Uuid, people: usize) -> anyhow::Result<()> {
    conn.batch_execute(&format!(
        "INSERT INTO person_links (workspace_id, visitor, person)
         SELECT '{workspace}', hashint8extended(p, 2), hashint8extended(p, 1)
         FROM generate_series(0, {people}, 10) AS p ON CONFLICT DO NOTHING;
         ANALYZE person_links"
    ))?;
    Ok(())
}

/// A day's events that are to be written.
struct Day<'a> {
    workspace: Uuid,
    campaigns: &'a [Uuid],
    index: usize,
    day: NaiveDate,
    until: DateTime<Utc>,
    /// Events of a whole day.
    rate: f64,
    people: usize,
}

impl Day<'_> {
    /// Answers how many were written.
    fn write(&self, conn: &mut PgConnection) -> anyhow::Result<usize> {
        let (day, next) = (self.day, self.day + Days::new(1));
        let begins = day.and_time(NaiveTime::MIN).and_utc();
        let seconds = (self.until - begins).as_seconds_f64().clamp(0.0, 86_400.0);
        let rows = (self.rate * seconds / 86_400.0).round() as usize;
        let name = format!("events_{}", day.format("%Y%m%d"));
        let there: Vec<Name> =
            sql_query("SELECT relname::text AS name FROM pg_class WHERE oid = to_regclass($1)")
                .bind::<Text, _>(&name)
                .load(conn)?;
        match there.first() {
            Some(Name { name }) => self.insert(conn, name, rows, seconds)?,
            None => conn.transaction(|conn| {
                conn.batch_execute(&format!("CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)"))?;
                self.insert(conn, &name, rows, seconds)?;
                // Attaching makes the indexes, which is quicker than keeping them up.
                conn.batch_execute(&format!(
                    "ALTER TABLE {name} ADD CHECK (received_at >= '{day}' AND received_at < '{next}');
                     ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{day}') TO ('{next}')"
                ))?;
                anyhow::Ok(())
            })?,
        }
        Ok(rows)
    }

    fn insert(
        &self,
        conn: &mut PgConnection,
        table: &str,
        rows: usize,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let Self {
            workspace,
            day,
            people,
            ..
        } = self;
        let campaigns: Vec<String> = self.campaigns.iter().map(|id| format!("'{id}'")).collect();
        let (all, campaigns) = (campaigns.len(), campaigns.join(","));
        // A campaign is opened in the days after it is sent, each later day less.
        let latest = (self.index * all) / DAYS as usize;
        conn.batch_execute(&format!(
            "INSERT INTO {table} (workspace_id, id, type, occurred_at, received_at, campaign_id,
                 lead_id, message_id, url, link, verdict, reasons, rules_version, name, visitor,
                 utm_source, utm_medium, utm_campaign, device, amount, currency, order_id)
             SELECT '{workspace}', gen_random_uuid(), kind,
                 at - CASE WHEN r2 < 0.01 THEN r3 * interval '20 hours' ELSE r3 * interval '2 seconds' END,
                 at, campaign,
                 CASE WHEN kind IN ('open', 'click') THEN md5('l' || p)::uuid END,
                 CASE WHEN kind IN ('open', 'click') THEN md5(p || 'm' || campaign)::uuid END,
                 CASE WHEN kind IN ('click', 'view') THEN 'https://shop.example/p/' || p % 20 END,
                 CASE WHEN kind = 'click' THEN p % 20 END,
                 CASE WHEN kind IN ('open', 'click') AND r2 > 0.8 THEN 'scanner' ELSE 'human' END,
                 '{{}}', 1,
                 CASE WHEN kind = 'track'
                     THEN (ARRAY['Signed Up', 'Added To Cart', 'Searched', 'Shared'])[1 + p % 4] END,
                 hashint8extended(p, CASE WHEN kind = 'view' AND p % 10 = 0 THEN 2 ELSE 1 END),
                 CASE WHEN kind IN ('click', 'view')
                     THEN (ARRAY['newsletter', 'google', 'partner', ''])[1 + p % 4] END,
                 CASE WHEN kind IN ('click', 'view') THEN 'email' END, NULL,
                 (ARRAY['mobile', 'desktop', 'desktop', 'tablet'])[1 + p % 4],
                 CASE WHEN kind = 'goal' THEN 1000 + p % 9000 END,
                 CASE WHEN kind = 'goal' THEN 'EUR' END,
                 CASE WHEN kind = 'goal' THEN 'o' || n END
             FROM (
                 SELECT n, r2, r3, at, p, kind,
                     CASE WHEN kind IN ('open', 'click') OR r4 < 0.5 THEN
                         (ARRAY[{campaigns}]::uuid[])[1 + greatest(0, {latest} - floor(-3 * ln(1 - r4))::int)]
                     END AS campaign
                 FROM (
                     SELECT n, r2, r3, random() AS r4,
                         '{day}'::timestamptz + random() * {seconds} * interval '1 second' AS at,
                         floor(power(random(), 2) * {people})::bigint AS p,
                         CASE WHEN r1 < 0.5 THEN 'open' WHEN r1 < 0.62 THEN 'click'
                             WHEN r1 < 0.9 THEN 'view' WHEN r1 < 0.98 THEN 'track' ELSE 'goal' END AS kind
                     FROM (
                         SELECT n, random() AS r1, random() AS r2, random() AS r3
                         FROM generate_series(1, {rows}) AS n OFFSET 0) AS drawn
                     OFFSET 0) AS chosen
                 OFFSET 0) AS made"
        ))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let mut times: Vec<_> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut times, 95), 19.0);
        assert!(percentile(&mut [], 95).is_nan());
    }
}
