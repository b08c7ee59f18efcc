//! `clarion rescore`: judges hits of the past by the rules of today, from the facts that were kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDate, Utc};
use common::{EventId, MessageId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{
    Array, BigInt, Int2, Int4, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use serde_json::Value;

use crate::domain::burst::{self, Click, Siblings};
use crate::domain::event::{CANARY, CLICK, OPEN};
use crate::domain::rules;
use crate::domain::verdict::{Facts, HitKind, Verdict, judge};
use crate::store::bursts::{self, Stored};
use crate::store::{partitions, rollups};

/// Hits of one transaction.
const AT_ONCE: i64 = 2_000;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescored {
    /// Hits that were looked at.
    pub looked_at: u64,
    /// Of them, those that are judged otherwise now.
    pub changed: u64,
}

#[derive(QueryableByName)]
struct Hit {
    #[diesel(sql_type = SqlUuid)]
    workspace_id: WorkspaceId,
    #[diesel(sql_type = SqlUuid)]
    id: EventId,
    #[diesel(sql_type = Timestamptz)]
    received_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    user_agent: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    properties: Option<Value>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    message_id: Option<MessageId>,
    #[diesel(sql_type = Nullable<Int4>)]
    link: Option<i32>,
    #[diesel(sql_type = Text)]
    verdict: String,
    #[diesel(sql_type = Array<Text>)]
    reasons: Vec<String>,
}

/// Where one is among the hits of a day.
type Place = (WorkspaceId, DateTime<Utc>, EventId);

impl Hit {
    fn place(&self) -> Place {
        (self.workspace_id, self.received_at, self.id)
    }

    /// The click that it is, as far as bursts are concerned.
    fn click(&self) -> Option<Click> {
        let (message, link) = (self.message_id?, self.link?);
        let at = self.received_at;
        [CLICK, CANARY]
            .contains(&self.kind.as_str())
            .then_some(Click { message, link, at })
    }

    /// What is thought of it now.
    fn judged(&self, siblings: Siblings) -> (Verdict, Vec<&'static str>) {
        let kind = match (self.message_id, self.kind.as_str()) {
            (Some(_), CLICK | CANARY) => HitKind::Click,
            (Some(_), OPEN) => HitKind::Open,
            _ => HitKind::View,
        };
        let fact = |name: &str| self.properties.as_ref().and_then(|facts| facts.get(name));
        let holds = |name: &str| fact(name).and_then(Value::as_bool).unwrap_or(false);
        // Properties of other events are their senders', and no facts of ours.
        let ours = kind != HitKind::View;
        let judgement = judge(&Facts {
            kind,
            head: ours && holds("head"),
            user_agent: self.user_agent.as_deref().unwrap_or_default(),
            announced_prefetch: ours && holds("prefetch"),
            // Nothing else keeps that fact of a browser's event.
            data_centre: self
                .reasons
                .iter()
                .any(|reason| reason == rules::DATA_CENTRE)
                || ours && holds("data_centre"),
            canary: ours && self.kind == CANARY,
            since_issue: fact("since_issue_ms")
                .filter(|_| ours)
                .and_then(Value::as_i64)
                .map(Duration::milliseconds),
        });
        let (mut verdict, mut reasons) = (judgement.verdict, judgement.reasons);
        for reason in siblings.reasons() {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
            if verdict == Verdict::Human {
                verdict = Verdict::Scanner;
            }
        }
        (verdict, reasons)
    }
}

/// Judges all hits that were received from one day to another, both included, anew. What changes
/// is counted anew as well. May be interrupted and run again.
pub fn rescore(
    conn: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
    mut progress: impl FnMut(NaiveDate, Rescored),
) -> QueryResult<Rescored> {
    let mut all = Rescored::default();
    for day in partitions::days(conn)?
        .into_iter()
        .filter(|day| (from..=to).contains(day))
    {
        let mut after = None;
        loop {
            let (next, some) = conn.transaction(|conn| step(conn, day, after))?;
            all.looked_at += some.looked_at;
            all.changed += some.changed;
            if next.is_none() {
                break;
            }
            after = next;
        }
        progress(day, all);
    }
    Ok(all)
}

/// The next hits of a day; answers where to go on, if anywhere.
fn step(
    conn: &mut PgConnection,
    day: NaiveDate,
    after: Option<Place>,
) -> QueryResult<(Option<Place>, Rescored)> {
    let start = day.and_time(chrono::NaiveTime::MIN).and_utc();
    let hits = load(conn, start, after)?;
    let siblings = siblings(conn, &hits)?;
    let mut changed = Vec::new();
    for hit in &hits {
        let (verdict, reasons) =
            hit.judged(siblings.get(&hit.place()).copied().unwrap_or_default());
        if verdict.as_str() != hit.verdict || reasons != hit.reasons {
            changed.push((hit, verdict, reasons));
        }
    }
    write(conn, &hits, &changed)?;
    let some = Rescored {
        looked_at: hits.len() as u64,
        changed: changed.len() as u64,
    };
    let more = hits.len() as i64 == AT_ONCE;
    let last = hits.last().map(Hit::place).filter(|_| more);
    Ok((last, some))
}

/// Hits are what somebody's browser or program did; what a server told of somebody is believed.
fn load(
    conn: &mut PgConnection,
    start: DateTime<Utc>,
    after: Option<Place>,
) -> QueryResult<Vec<Hit>> {
    let (workspace, received, id) = match after {
        Some((workspace, received, id)) => (Some(workspace), Some(received), Some(id)),
        None => (None, None, None),
    };
    sql_query(
        "SELECT workspace_id, id, received_at, type AS kind, user_agent, properties, message_id,
             link, verdict, reasons
         FROM events
         WHERE received_at >= $1 AND received_at < $1 + interval '1 day'
           AND ($2::uuid IS NULL OR (workspace_id, received_at, id) > ($2, $3, $4))
           AND ((message_id IS NOT NULL AND type IN ('click', 'open', 'canary')) OR user_agent IS NOT NULL)
         ORDER BY workspace_id, received_at, id LIMIT $5 FOR UPDATE",
    )
    .bind::<Timestamptz, _>(start)
    .bind::<Nullable<SqlUuid>, _>(workspace)
    .bind::<Nullable<Timestamptz>, _>(received)
    .bind::<Nullable<SqlUuid>, _>(id)
    .bind::<BigInt, _>(AT_ONCE)
    .load(conn)
}

/// What their siblings say about them, with all clicks of their messages looked at.
fn siblings(conn: &mut PgConnection, hits: &[Hit]) -> QueryResult<BTreeMap<Place, Siblings>> {
    let clicks = hits
        .iter()
        .filter_map(|hit| Some((hit.workspace_id, hit.click()?)));
    let mut messages: BTreeMap<(WorkspaceId, MessageId), (DateTime<Utc>, DateTime<Utc>)> =
        BTreeMap::new();
    for (workspace, click) in clicks {
        let span = messages
            .entry((workspace, click.message))
            .or_insert((click.at, click.at));
        *span = (span.0.min(click.at), span.1.max(click.at));
    }
    let first = messages.values().map(|span| span.0).min();
    let last = messages.values().map(|span| span.1).max();
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(BTreeMap::new());
    };
    let clicked = bursts::of_messages(conn, messages.into_keys(), (first, last))?;
    let clicks: Vec<Click> = clicked.iter().map(|sibling| sibling.click).collect();
    let found = burst::find(&clicks);
    let place = |sibling: &Stored| (sibling.workspace_id, sibling.click.at, sibling.id);
    Ok(clicked.iter().map(place).zip(found).collect())
}

fn write(
    conn: &mut PgConnection,
    hits: &[Hit],
    changed: &[(&Hit, Verdict, Vec<&'static str>)],
) -> QueryResult<()> {
    let (workspaces, rest): (Vec<_>, Vec<_>) = hits
        .iter()
        .map(|hit| (hit.workspace_id, (hit.received_at, hit.id)))
        .unzip();
    let (times, ids): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
    sql_query(
        "UPDATE events e SET rules_version = $4
         FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS hit (w, at, id)
         WHERE e.workspace_id = hit.w AND e.received_at = hit.at AND e.id = hit.id
           AND e.rules_version <> $4
           AND e.received_at >= (SELECT min(at) FROM unnest($2::timestamptz[]) AS at)",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<Timestamptz>, _>(times)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Int2, _>(rules::VERSION)
    .execute(conn)?;
    for (hit, verdict, reasons) in changed {
        sql_query(
            "UPDATE events SET verdict = $4, reasons = $5
             WHERE workspace_id = $1 AND received_at = $2 AND id = $3",
        )
        .bind::<SqlUuid, _>(hit.workspace_id)
        .bind::<Timestamptz, _>(hit.received_at)
        .bind::<SqlUuid, _>(hit.id)
        .bind::<Text, _>(verdict.as_str())
        .bind::<Array<Text>, _>(reasons)
        .execute(conn)?;
    }
    let touched = changed
        .iter()
        .map(|(hit, ..)| (hit.workspace_id, hit.received_at));
    rollups::touch(conn, touched)
}
