//! Funnels over everybody: read from what is packed by the hour, a few bytes an event, and walked
//! through in memory, one step while the next is read.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use chrono::Duration;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Binary, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};

use super::packed::{dirty_hours, numbers};
use super::reports::Period;
use super::rollups::{LINKS, PERSON};
use crate::domain::step::Step;

/// Most events that are held at a time; of more, a part of the people is followed at a time.
const HELD: i64 = 16_000_000;

/// Something that somebody did, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub person: i64,
    pub at: i64,
}

/// The latest way to a step: when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub person: i64,
    pub at: i64,
    pub began: i64,
}

/// People are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = number.cast_unsigned();
    }
}

/// How many people got how far: each step later than the one before, and all within `window` of
/// the first. Of all campaigns and none; the caller sees to one moment's state.
pub fn funnel(
    conn: &mut PgConnection,
    period: Period,
    steps: &[Step],
    window: Duration,
) -> QueryResult<Vec<i64>> {
    let mut source = Source::open(conn, period)?;
    let parts = 1 + source.size(conn, steps)? / HELD;
    let window = window.num_microseconds().unwrap_or(i64::MAX);
    let mut found = vec![0; steps.len()];
    for part in 0..parts {
        source.part = (part, parts);
        let reached = thread::scope(|scope| {
            let (read, taken) = sync_channel(1);
            let walking = scope.spawn(move || walk(taken, window));
            for step in steps {
                if read.send(source.moments(conn, step)?).is_err() {
                    // Nobody got so far.
                    break;
                }
            }
            drop(read);
            QueryResult::Ok(walking.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })?;
        for (found, reached) in found.iter_mut().zip(reached) {
            *found += reached;
        }
    }
    Ok(found)
}

/// How many people got to each step, up to the first to which nobody did.
fn walk(steps: Receiver<Vec<Moment>>, window: i64) -> Vec<i64> {
    let mut steps = steps.into_iter();
    let mut first = steps.next().unwrap_or_default();
    first.sort_unstable();
    let begun = first.iter().copied().map(begin);
    let mut found = vec![count(people(begun.clone()))];
    if first.is_empty() {
        return found;
    }
    let mut ways: Option<Vec<Way>> = None;
    for own in steps {
        let further = match &ways {
            None => go_on(begun.clone(), own, window),
            Some(ways) => go_on(ways.iter().copied(), own, window),
        };
        found.push(count(people(further.iter().copied())));
        if further.is_empty() {
            break;
        }
        ways = Some(further);
    }
    found
}

fn begin(moment: Moment) -> Way {
    let Moment { person, at } = moment;
    Way {
        person,
        at,
        began: at,
    }
}

/// The ways that lead on to these moments, in order of person and time, as those before are. For
/// each moment the latest beginning is kept: an earlier one never gets further.
fn go_on(before: impl Iterator<Item = Way> + Clone, mut own: Vec<Moment>, window: i64) -> Vec<Way> {
    let among: HashSet<i64, BuildHasherDefault<AsItIs>> = people(before.clone()).collect();
    own.retain(|moment| among.contains(&moment.person));
    own.sort_unstable();
    let (mut rest, mut ways) = (before.peekable(), Vec::new());
    let mut latest: Option<Way> = None;
    for moment in own {
        let earlier = |way: &Way| (way.person, way.at) < (moment.person, moment.at);
        while let Some(way) = rest.next_if(earlier) {
            latest = match latest {
                Some(known) if known.person == way.person && known.began > way.began => Some(known),
                _ => Some(way),
            };
        }
        if let Some(way) = latest
            && way.person == moment.person
            && moment.at.saturating_sub(way.began) <= window
        {
            let Moment { person, at } = moment;
            let began = way.began;
            ways.push(Way { person, at, began });
        }
    }
    ways
}

/// The people on these ways, which are in order, each once.
fn people(ways: impl Iterator<Item = Way>) -> impl Iterator<Item = i64> {
    let mut last = None;
    ways.map(|way| way.person)
        .filter(move |person| last.replace(*person) != Some(*person))
}

fn count(people: impl Iterator<Item = i64>) -> i64 {
    i64::try_from(people.count()).unwrap_or(i64::MAX)
}

/// Where moments are read from.
struct Source {
    period: Period,
    /// Hours that are to be packed anew: their events are read.
    dirty: Vec<chrono::DateTime<chrono::Utc>>,
    /// Who has become somebody else since hours were packed.
    renamed: HashMap<i64, i64>,
    /// Which of so many parts of the people are followed.
    part: (i64, i64),
}

/// The packed hours that may hold something of `$1`'s period `$2` to `$3`. Nothing is received more
/// than a day before it happened.
const HOURS: &str = "workspace_id = $1 AND hour >= $2 - interval '25 hours' AND last_at >= $2
     AND first_at < $3 AND hour <> ALL ($4)";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Renamed {
    #[diesel(sql_type = BigInt)]
    visitor: i64,
    #[diesel(sql_type = BigInt)]
    person: i64,
}

#[derive(QueryableByName)]
struct Packed {
    #[diesel(sql_type = Binary)]
    people: Vec<u8>,
    #[diesel(sql_type = Binary)]
    moments: Vec<u8>,
    #[diesel(sql_type = Nullable<Binary>)]
    names: Option<Vec<u8>>,
    /// The place of the wanted name in the dictionary, from 1.
    #[diesel(sql_type = Nullable<Int4>)]
    wanted: Option<i32>,
}

#[derive(QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    person: i64,
    #[diesel(sql_type = Timestamptz)]
    at: chrono::DateTime<chrono::Utc>,
}

impl Source {
    fn open(conn: &mut PgConnection, period: Period) -> QueryResult<Self> {
        let renamed: Vec<Renamed> = sql_query(
            "SELECT l.visitor, l.person FROM person_changes c
             JOIN person_links l ON l.workspace_id = c.workspace_id AND l.visitor = c.visitor
             WHERE c.workspace_id = $1",
        )
        .bind::<SqlUuid, _>(period.workspace)
        .load(conn)?;
        Ok(Self {
            period,
            dirty: dirty_hours(conn, period.workspace)?,
            renamed: renamed
                .into_iter()
                .map(|row| (row.visitor, row.person))
                .collect(),
            part: (0, 1),
        })
    }

    /// How many events there are at most, of all steps together.
    fn size(&self, conn: &mut PgConnection, steps: &[Step]) -> QueryResult<i64> {
        let kinds: Vec<&str> = steps.iter().map(|step| step.kind.as_str()).collect();
        let sql = format!(
            "SELECT coalesce(sum(events), 0)::bigint AS number
             FROM unnest($5::text[]) AS step (kind) JOIN rollup_steps ON type = step.kind
             WHERE {HOURS}"
        );
        let size: Number = sql_query(sql)
            .bind::<SqlUuid, _>(self.period.workspace)
            .bind::<Timestamptz, _>(self.period.from)
            .bind::<Timestamptz, _>(self.period.to)
            .bind::<Array<Timestamptz>, _>(&self.dirty)
            .bind::<Array<Text>, _>(kinds)
            .get_result(conn)?;
        Ok(size.number)
    }

    /// When people took a step.
    fn moments(&self, conn: &mut PgConnection, step: &Step) -> QueryResult<Vec<Moment>> {
        let mut found = Vec::new();
        self.packed(conn, step, &mut found)?;
        self.unpacked(conn, step, &mut found)?;
        Ok(found)
    }

    /// Whoever this is now, if they are to be followed.
    fn follow(&self, person: i64) -> Option<i64> {
        let person = match self.renamed.is_empty() {
            true => person,
            false => self.renamed.get(&person).copied().unwrap_or(person),
        };
        let (part, parts) = self.part;
        let here = parts == 1 || (person >> 16).rem_euclid(parts) == part;
        here.then_some(person)
    }

    fn packed(
        &self,
        conn: &mut PgConnection,
        step: &Step,
        found: &mut Vec<Moment>,
    ) -> QueryResult<()> {
        let sql = format!(
            "SELECT people, moments, CASE WHEN $6::text IS NOT NULL THEN names END AS names,
                 array_position(dictionary, $6) AS wanted
             FROM rollup_steps
             WHERE {HOURS} AND type = $5 AND ($6::text IS NULL OR $6 = ANY (dictionary))"
        );
        let query = sql_query(sql)
            .bind::<SqlUuid, _>(self.period.workspace)
            .bind::<Timestamptz, _>(self.period.from)
            .bind::<Timestamptz, _>(self.period.to)
            .bind::<Array<Timestamptz>, _>(&self.dirty)
            .bind::<Text, _>(&step.kind)
            .bind::<Nullable<Text>, _>(step.name.as_deref());
        let (from, to) = (
            self.period.from.timestamp_micros(),
            self.period.to.timestamp_micros(),
        );
        // Row by row: a month of it need not be held twice.
        for row in query.load_iter::<Packed, PgRowByRowLoadingMode>(conn)? {
            let row = row?;
            let wanted = row.wanted.and_then(|place| u32::try_from(place - 1).ok());
            let mut names = row.names.as_deref().map(|names| {
                names
                    .chunks_exact(4)
                    .map(|name| name.try_into().map(u32::from_be_bytes))
            });
            for (person, at) in numbers(&row.people).zip(numbers(&row.moments)) {
                if let Some(names) = &mut names
                    && names.next().and_then(Result::ok) != wanted
                {
                    continue;
                }
                if at < from || at >= to {
                    continue;
                }
                if let Some(person) = self.follow(person) {
                    found.push(Moment { person, at });
                }
            }
        }
        Ok(())
    }

    fn unpacked(
        &self,
        conn: &mut PgConnection,
        step: &Step,
        found: &mut Vec<Moment>,
    ) -> QueryResult<()> {
        let (Some(first), Some(last)) = (self.dirty.first(), self.dirty.last()) else {
            return Ok(());
        };
        let rows: Vec<Read> = sql_query(format!(
            "SELECT {PERSON} AS person, e.occurred_at AS at
             FROM unnest($4::timestamptz[]) AS h (hour)
             JOIN events e ON e.workspace_id = $1 AND e.received_at >= h.hour
                 AND e.received_at < h.hour + interval '1 hour'
             {LINKS}
             WHERE e.received_at >= $5 AND e.received_at < $6 + interval '1 hour'
                 AND e.occurred_at >= $2 AND e.occurred_at < $3
                 AND e.verdict = 'human' AND e.visitor IS NOT NULL
                 AND e.type = $7 AND ($8::text IS NULL OR e.name = $8)"
        ))
        .bind::<SqlUuid, _>(self.period.workspace)
        .bind::<Timestamptz, _>(self.period.from)
        .bind::<Timestamptz, _>(self.period.to)
        .bind::<Array<Timestamptz>, _>(&self.dirty)
        .bind::<Timestamptz, _>(first)
        .bind::<Timestamptz, _>(last)
        .bind::<Text, _>(&step.kind)
        .bind::<Nullable<Text>, _>(step.name.as_deref())
        .load(conn)?;
        for row in rows {
            if let Some(person) = self.follow(row.person) {
                let at = row.at.timestamp_micros();
                found.push(Moment { person, at });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(person: i64, at: i64) -> Moment {
        Moment { person, at }
    }

    #[test]
    fn a_way_goes_on_later_and_within_the_window_only() {
        let first: Vec<Way> = [moment(1, 10), moment(1, 50), moment(2, 5)]
            .map(begin)
            .into();
        let own = [
            moment(1, 10),
            moment(1, 40),
            moment(1, 51),
            moment(2, 36),
            moment(3, 9),
        ];
        let ways = go_on(first.iter().copied(), own.into(), 30);
        let reached: Vec<_> = ways
            .iter()
            .map(|way| (way.person, way.at, way.began))
            .collect();
        assert_eq!(reached, [(1, 40, 10), (1, 51, 50)]);
        let who = |ways: &[Way]| people(ways.iter().copied()).collect::<Vec<_>>();
        assert_eq!(
            (who(&first), who(&ways), who(&[])),
            (vec![1, 2], vec![1], vec![])
        );
    }

    #[test]
    fn the_latest_beginning_is_kept_also_when_it_came_first() {
        let way = |at, began| Way {
            person: 1,
            at,
            began,
        };
        let ways = go_on([way(5, 4), way(8, 2)].into_iter(), vec![moment(1, 9)], 100);
        assert_eq!(
            ways,
            [Way {
                person: 1,
                at: 9,
                began: 4
            }]
        );
    }
}
