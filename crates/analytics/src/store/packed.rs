//! Lists of people as bytes: who took a campaign how, and who did what when.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use common::{CampaignId, LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Binary, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use serde_json::json;
use uuid::Uuid;

use super::days::{self, OF_DAY, Open};
use super::rollups::{Dirty, rolled};

/// The types of hits that campaigns are told about.
pub(super) const HIT_TYPES: &str = "('open', 'click', 'unsubscribe', 'complaint')";
/// Hits by type, and clicks by link besides.
pub(super) const HIT_GROUPS: &str = "GROUPING SETS ((type), (type, url))
     HAVING grouping(url) = 1 OR (type = 'click' AND url IS NOT NULL)";
const BY_CAMPAIGN: &str = "GROUPING SETS ((campaign_id, type), (campaign_id, type, url))
     HAVING grouping(url) = 1 OR (type = 'click' AND url IS NOT NULL)";
/// Counts of hits, with the leads among the humans.
pub(super) const HIT_COUNTS: &str = "count(*) FILTER (WHERE verdict = 'human') AS human,
     count(*) FILTER (WHERE verdict <> 'human') AS machine,
     array_agg(DISTINCT lead_id) FILTER (WHERE verdict = 'human' AND lead_id IS NOT NULL) AS leads";

#[derive(QueryableByName)]
struct HitRow {
    #[diesel(sql_type = SqlUuid)]
    campaign_id: Uuid,
    #[diesel(embed)]
    hits: Counted,
}

/// How many hits of one type there were, or clicks on one link.
#[derive(QueryableByName)]
struct Tally {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    url: Option<String>,
    #[diesel(sql_type = BigInt)]
    human: i64,
    #[diesel(sql_type = BigInt)]
    machine: i64,
}

/// The same with the leads among the humans, as they are counted.
#[derive(QueryableByName)]
struct Counted {
    #[diesel(embed)]
    tally: Tally,
    #[diesel(sql_type = Nullable<Array<SqlUuid>>)]
    leads: Option<Vec<LeadId>>,
}

/// The same as they are kept: packed.
#[derive(QueryableByName)]
struct Stored {
    #[diesel(embed)]
    tally: Tally,
    #[diesel(sql_type = Binary)]
    leads: Vec<u8>,
}

impl From<Counted> for Stored {
    fn from(Counted { tally, leads }: Counted) -> Self {
        let leads = packed(leads.unwrap_or_default().iter().map(short));
        Self { tally, leads }
    }
}

/// A lead by the half of its id that is random.
fn short(lead: &LeadId) -> i64 {
    lead.0.as_u64_pair().1.cast_signed()
}

/// Counts the hits of an hour.
pub(super) fn hits(conn: &mut PgConnection, dirty: Dirty) -> QueryResult<()> {
    let rows: Vec<HitRow> = sql_query(format!(
        "{} SELECT campaign_id, type AS kind, url, {HIT_COUNTS} FROM rolled
         WHERE campaign_id IS NOT NULL AND type IN {HIT_TYPES} GROUP BY {BY_CAMPAIGN}",
        rolled()
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .load(conn)?;
    let rows = rows.into_iter();
    let rows: Vec<_> = rows.map(|row| (row.campaign_id, row.hits.into())).collect();
    keep(
        conn,
        ("rollup_hits", "hour"),
        dirty.workspace_id,
        dirty.hour,
        &rows,
    )
}

/// Writes hits of campaigns into a table, of which it is said what its column of the time is called.
fn keep(
    conn: &mut PgConnection,
    (table, time): (&str, &str),
    workspace: WorkspaceId,
    at: DateTime<Utc>,
    rows: &[(Uuid, Stored)],
) -> QueryResult<()> {
    let tallies = || rows.iter().map(|(_, row)| &row.tally);
    sql_query(format!(
        "INSERT INTO {table} (workspace_id, {time}, campaign_id, type, url, human, machine, leads)
         SELECT $1, $2, * FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[],
             $7::bigint[], $8::bytea[])"
    ))
    .bind::<SqlUuid, _>(workspace)
    .bind::<Timestamptz, _>(at)
    .bind::<Array<SqlUuid>, _>(
        rows.iter()
            .map(|(campaign, _)| *campaign)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(tallies().map(|hits| hits.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(
        tallies()
            .map(|hits| hits.url.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<BigInt>, _>(tallies().map(|hits| hits.human).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(tallies().map(|hits| hits.machine).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(
        rows.iter()
            .map(|(_, row)| &row.leads[..])
            .collect::<Vec<_>>(),
    )
    .execute(conn)?;
    Ok(())
}

/// Sums up the hits of a day, a campaign at a time: they list everybody.
pub(super) fn hits_of_day(conn: &mut PgConnection, open: Open) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Campaign {
        #[diesel(sql_type = SqlUuid)]
        campaign_id: Uuid,
    }
    let campaigns: Vec<Campaign> = sql_query(format!(
        "SELECT DISTINCT campaign_id FROM rollup_hits WHERE {OF_DAY}"
    ))
    .bind::<SqlUuid, _>(open.workspace_id)
    .bind::<Timestamptz, _>(open.day)
    .load(conn)?;
    for Campaign { campaign_id } in campaigns {
        let rows: Vec<Stored> = sql_query(format!(
            "SELECT type AS kind, url, sum(human)::bigint AS human, sum(machine)::bigint AS machine,
                 string_agg(leads, ''::bytea) AS leads
             FROM rollup_hits WHERE {OF_DAY} AND campaign_id = $3 GROUP BY type, url"
        ))
        .bind::<SqlUuid, _>(open.workspace_id)
        .bind::<Timestamptz, _>(open.day)
        .bind::<SqlUuid, _>(campaign_id)
        .load(conn)?;
        let once = |Stored { tally, leads }| {
            let mut leads: Vec<i64> = numbers(&leads).collect();
            leads.sort_unstable();
            leads.dedup();
            let leads = packed(leads.into_iter());
            (campaign_id, Stored { tally, leads })
        };
        let rows: Vec<_> = rows.into_iter().map(once).collect();
        keep(
            conn,
            ("day_hits", "received"),
            open.workspace_id,
            open.day,
            &rows,
        )?;
    }
    Ok(())
}

/// Hits of one type or on one link, all together.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) human: i64,
    pub(super) machine: i64,
    /// Once per hour or day each.
    leads: Vec<i64>,
}

impl Taken {
    /// How many different leads there were.
    pub(super) fn unique(&mut self) -> i64 {
        // What days bring is in order already, which this sort makes use of.
        self.leads.sort();
        self.leads.dedup();
        i64::try_from(self.leads.len()).unwrap_or(i64::MAX)
    }
}

/// How a campaign was taken, by type and link; no link means all hits of a type. Hours that are to
/// be counted are counted here.
pub(super) fn taken(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign: CampaignId,
) -> QueryResult<BTreeMap<(String, Option<String>), Taken>> {
    let hours = dirty_hours(conn, workspace)?;
    let open = days::opened(conn, workspace, &hours)?;
    let mut stored: Vec<Stored> = sql_query(
        "SELECT type AS kind, url, human, machine, leads FROM day_hits
         WHERE workspace_id = $1 AND campaign_id = $2 AND received <> ALL ($4)
         UNION ALL
         SELECT type, url, human, machine, leads FROM unnest($4) AS open (began)
         JOIN rollup_hits ON workspace_id = $1 AND campaign_id = $2
             AND hour >= open.began AND hour < open.began + interval '1 day' AND hour <> ALL ($3)",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(campaign)
    .bind::<Array<Timestamptz>, _>(&hours)
    .bind::<Array<Timestamptz>, _>(&open)
    .load(conn)?;
    if let (Some(first), Some(last)) = (hours.first(), hours.last()) {
        let read: Vec<Counted> = sql_query(format!(
            "SELECT type AS kind, url, {HIT_COUNTS}
             FROM unnest($3::timestamptz[]) AS h (hour)
             JOIN events e ON e.workspace_id = $1 AND e.campaign_id = $2
                 AND e.received_at >= h.hour AND e.received_at < h.hour + interval '1 hour'
             WHERE e.received_at >= $4 AND e.received_at < $5 + interval '1 hour'
                 AND e.type IN {HIT_TYPES}
             GROUP BY {HIT_GROUPS}"
        ))
        .bind::<SqlUuid, _>(workspace)
        .bind::<SqlUuid, _>(campaign)
        .bind::<Array<Timestamptz>, _>(&hours)
        .bind::<Timestamptz, _>(first)
        .bind::<Timestamptz, _>(last)
        .load(conn)?;
        stored.extend(read.into_iter().map(Stored::from));
    }
    let mut found: BTreeMap<_, Taken> = BTreeMap::new();
    for Stored { tally, leads } in stored {
        let taken = found.entry((tally.kind, tally.url)).or_default();
        taken.human += tally.human;
        taken.machine += tally.machine;
        taken.leads.extend(numbers(&leads));
    }
    Ok(found)
}

/// Hours of a workspace that are to be counted, in order.
pub(super) fn dirty_hours(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
) -> QueryResult<Vec<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Hour {
        #[diesel(sql_type = Timestamptz)]
        hour: DateTime<Utc>,
    }
    let rows: Vec<Hour> =
        sql_query("SELECT DISTINCT hour FROM rollup_dirty WHERE workspace_id = $1 ORDER BY hour")
            .bind::<SqlUuid, _>(workspace)
            .load(conn)?;
    Ok(rows.into_iter().map(|row| row.hour).collect())
}

/// Eight bytes each, one after the other.
fn packed(numbers: impl Iterator<Item = i64>) -> Vec<u8> {
    numbers.flat_map(i64::to_be_bytes).collect()
}

/// What [`i64::to_be_bytes`] wrote, one after the other.
pub(super) fn numbers(bytes: &[u8]) -> impl Iterator<Item = i64> {
    let number = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes).unwrap_or(0);
    bytes.chunks_exact(8).map(number)
}

/// Events that are read at a time, and those that are packed together.
const FETCHED: usize = 10_000;
const PIECE: i64 = 50_000;

#[derive(QueryableByName)]
struct StepRow {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    person: i64,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Events of one type on their way into a row of `rollup_steps`.
#[derive(Debug, Default)]
struct Packed {
    events: i64,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    people: Vec<u8>,
    moments: Vec<u8>,
    names: Vec<u8>,
    dictionary: Vec<String>,
    places: HashMap<String, u32>,
}

impl Packed {
    fn add(&mut self, person: i64, at: DateTime<Utc>, name: String) {
        if self.events == 0 {
            (self.first, self.last) = (at, at);
        }
        self.events += 1;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.people.extend(person.to_be_bytes());
        self.moments.extend(at.timestamp_micros().to_be_bytes());
        let place = match self.places.get(&name) {
            Some(place) => *place,
            None => {
                let next = u32::try_from(self.dictionary.len()).unwrap_or(u32::MAX);
                self.dictionary.push(name.clone());
                self.places.insert(name, next);
                next
            }
        };
        self.names.extend(place.to_be_bytes());
    }
}

/// Packs what known people did in an hour, in pieces: a busy hour does not fit into memory.
pub(super) fn steps(conn: &mut PgConnection, dirty: Dirty) -> QueryResult<()> {
    // A name that is absent is none of those that can be asked for: they have a letter at least.
    sql_query(format!(
        "DECLARE steps_of_hour NO SCROLL CURSOR FOR {}
         SELECT type AS kind, person, occurred_at AS at, coalesce(name, '') AS name
         FROM rolled WHERE verdict = 'human' AND person IS NOT NULL",
        rolled()
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .execute(conn)?;
    let (mut packed, mut held, mut piece) = (BTreeMap::<String, Packed>::new(), 0, 0);
    loop {
        let rows: Vec<StepRow> =
            sql_query(format!("FETCH {FETCHED} FROM steps_of_hour")).load(conn)?;
        let is_last = rows.len() < FETCHED;
        for row in rows {
            held += 1;
            let of_kind = packed.entry(row.kind).or_default();
            of_kind.add(row.person, row.at, row.name);
        }
        if is_last || held >= PIECE {
            insert_piece(conn, dirty, piece, &std::mem::take(&mut packed))?;
            (held, piece) = (0, piece + 1);
        }
        if is_last {
            break;
        }
    }
    sql_query("CLOSE steps_of_hour").execute(conn)?;
    Ok(())
}

fn insert_piece(
    conn: &mut PgConnection,
    dirty: Dirty,
    piece: i32,
    packed: &BTreeMap<String, Packed>,
) -> QueryResult<()> {
    let bytes = |of: fn(&Packed) -> &[u8]| packed.values().map(of).collect::<Vec<&[u8]>>();
    let dictionaries: Vec<_> = packed.values().map(|row| json!(row.dictionary)).collect();
    sql_query(format!(
        "INSERT INTO rollup_steps (workspace_id, hour, piece, type, events, first_at, last_at, people,
             moments, names, dictionary)
         SELECT $1, $2, $3, k, n, f, l, p, m, i, {}
         FROM unnest($4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::bytea[],
             $9::bytea[], $10::bytea[], $11::jsonb[]) AS t (k, n, f, l, p, m, i, value)",
        super::rollups::VALUE
    ))
    .bind::<SqlUuid, _>(dirty.workspace_id)
    .bind::<Timestamptz, _>(dirty.hour)
    .bind::<Integer, _>(piece)
    .bind::<Array<Text>, _>(packed.keys().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(packed.values().map(|row| row.events).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(packed.values().map(|row| row.first).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(packed.values().map(|row| row.last).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(bytes(|row| &row.people))
    .bind::<Array<Binary>, _>(bytes(|row| &row.moments))
    .bind::<Array<Binary>, _>(bytes(|row| &row.names))
    .bind::<Array<Jsonb>, _>(dictionaries)
    .execute(conn)?;
    Ok(())
}

/// Forgets who did what on a day whose events are gone.
pub fn forget(conn: &mut PgConnection, day: DateTime<Utc>) -> QueryResult<usize> {
    sql_query("DELETE FROM rollup_steps WHERE hour >= $1 AND hour < $1 + interval '1 day'")
        .bind::<Timestamptz, _>(day)
        .execute(conn)
}
