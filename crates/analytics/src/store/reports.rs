//! How a campaign was taken, and what is counted from the events themselves: the links of a period.
//!
//! Events are found by when they happened, and stored by when they were received. Nothing is
//! received more than a day before it happened, so a day's grace finds them all.

use chrono::{DateTime, Utc};
use common::dto::report::{CampaignEngagement, Hits, LinkHits};
use common::{CampaignId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};

use super::packed::{self, Taken};
use super::rollups::{LINKS, PERSON};

/// Which events a report is about.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub workspace: WorkspaceId,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub campaign: Option<CampaignId>,
}

#[derive(QueryableByName)]
struct KindRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    human: i64,
    #[diesel(sql_type = BigInt)]
    machine: i64,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

impl KindRow {
    fn hits(&self) -> Hits {
        Hits {
            human: self.human,
            machine: self.machine,
            unique: self.people,
        }
    }
}

/// Hits by humans and machines, and different leads among the humans.
const HITS: &str = "count(*) FILTER (WHERE verdict = 'human') AS human,
     count(*) FILTER (WHERE verdict <> 'human') AS machine,
     count(DISTINCT lead_id) FILTER (WHERE verdict = 'human') AS people";

/// How people took a campaign, from its first event to its last. The caller sees to one moment's
/// state.
pub fn engagement(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign: CampaignId,
    most_links: usize,
) -> QueryResult<CampaignEngagement> {
    let mut taken = packed::taken(conn, workspace, campaign)?;
    let mut hits = |mut taken: Taken| Hits {
        human: taken.human,
        machine: taken.machine,
        unique: taken.unique(),
    };
    let mut of = |kind: &str| {
        let all = taken.remove(&(kind.to_owned(), None));
        all.map(&mut hits).unwrap_or_default()
    };
    let (opens, clicks) = (of("open"), of("click"));
    let (unsubscribes, complaints) = (of("unsubscribe"), of("complaint"));
    let mut links: Vec<_> = taken
        .into_iter()
        .filter_map(|((_, url), taken)| Some((url?, taken)))
        .collect();
    // The people of the most followed ones only are counted.
    links.sort_by(|(url, a), (other, b)| {
        (b.human, b.machine)
            .cmp(&(a.human, a.machine))
            .then_with(|| url.cmp(other))
    });
    links.truncate(most_links);
    let link = |(url, taken)| LinkHits {
        url,
        hits: hits(taken),
    };
    Ok(CampaignEngagement {
        opens,
        clicks,
        unsubscribes,
        complaints,
        links: links.into_iter().map(link).collect(),
    })
}

fn link(row: KindRow) -> LinkHits {
    let hits = row.hits();
    LinkHits {
        url: row.name,
        hits,
    }
}

/// The events of a period; every query binds `$1` to `$4`.
const PERIOD: &str = "workspace_id = $1 AND received_at >= $2 - interval '1 day'
     AND occurred_at >= $2 AND occurred_at < $3 AND ($4::uuid IS NULL OR campaign_id = $4)";

/// What happened in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, QueryableByName)]
pub struct Overview {
    #[diesel(sql_type = BigInt)]
    pub events: i64,
    #[diesel(sql_type = BigInt)]
    pub machine: i64,
    #[diesel(sql_type = BigInt)]
    pub views: i64,
    #[diesel(sql_type = BigInt)]
    pub opens: i64,
    #[diesel(sql_type = BigInt)]
    pub clicks: i64,
    #[diesel(sql_type = BigInt)]
    pub unsubscribes: i64,
    #[diesel(sql_type = BigInt)]
    pub conversions: i64,
    #[diesel(sql_type = BigInt)]
    pub visitors: i64,
}

/// Counts of humans' events by kind; `events` and `machine` count all and the others'. Who they
/// were is counted by sketches.
pub const COUNTS: &str = "count(*) AS events,
     count(*) FILTER (WHERE verdict <> 'human') AS machine,
     count(*) FILTER (WHERE verdict = 'human' AND type = 'view') AS views,
     count(*) FILTER (WHERE verdict = 'human' AND type = 'open') AS opens,
     count(*) FILTER (WHERE verdict = 'human' AND type = 'click') AS clicks,
     count(*) FILTER (WHERE verdict = 'human' AND type = 'unsubscribe') AS unsubscribes,
     count(*) FILTER (WHERE verdict = 'human' AND (type = 'goal' OR amount > 0)) AS conversions,
     0::bigint AS visitors";

impl Overview {
    /// Adds what happened elsewhere; people are not added up, for they may be the same.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.machine += other.machine;
        self.views += other.views;
        self.opens += other.opens;
        self.clicks += other.clicks;
        self.unsubscribes += other.unsubscribes;
        self.conversions += other.conversions;
    }
}

/// Different people of a period, one by one.
pub fn people(conn: &mut PgConnection, period: Period) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct People {
        #[diesel(sql_type = BigInt)]
        people: i64,
    }
    let row: People = sql_query(format!(
        "SELECT count(DISTINCT {PERSON}) AS people FROM events e {LINKS}
         WHERE e.workspace_id = $1 AND e.received_at >= $2 - interval '1 day'
           AND e.occurred_at >= $2 AND e.occurred_at < $3
           AND ($4::uuid IS NULL OR e.campaign_id = $4) AND e.verdict = 'human'"
    ))
    .bind::<SqlUuid, _>(period.workspace)
    .bind::<Timestamptz, _>(period.from)
    .bind::<Timestamptz, _>(period.to)
    .bind::<Nullable<SqlUuid>, _>(period.campaign)
    .get_result(conn)?;
    Ok(row.people)
}

/// The most followed links of a period, most followed by humans first.
pub fn links(conn: &mut PgConnection, period: Period, limit: i64) -> QueryResult<Vec<LinkHits>> {
    let rows: Vec<KindRow> = sql_query(format!(
        "SELECT url AS name, {HITS} FROM events
         WHERE {PERIOD} AND type = 'click' AND url IS NOT NULL
         GROUP BY url ORDER BY human DESC, machine DESC, url LIMIT $5"
    ))
    .bind::<SqlUuid, _>(period.workspace)
    .bind::<Timestamptz, _>(period.from)
    .bind::<Timestamptz, _>(period.to)
    .bind::<Nullable<SqlUuid>, _>(period.campaign)
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    Ok(rows.into_iter().map(link).collect())
}
