//! The moves of held messages: every write of a worker, fenced by its lease, and what follows from
//! it (counts, events), in one transaction for as many messages as there are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use common::events::{AddressBounced, MessagesSettled, SettledMessage};
use common::ids::{CampaignId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::bundles::{self, Begun, Bundle, End, Fresh, Hold, Lease};
use super::campaigns;
use super::claims::Claimed;
use crate::domain::state::State;

/// Most messages in one event.
pub(crate) const EVENT_ITEMS: usize = 500;

/// Who a message is, for its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) workspace_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) campaign_id: Option<Uuid>,
    pub(crate) lead_id: Option<Uuid>,
    /// The bundle it is held with, and its place there.
    pub(crate) bundle: Uuid,
    pub(crate) place: u16,
    pub(crate) lease: Uuid,
}

/// One message going to another state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Move {
    pub(crate) of: Held,
    pub(crate) to: State,
    /// For `pending`: when it is due.
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// It was an attempt that the server judged.
    pub(crate) counted: bool,
    pub(crate) reply_code: Option<i16>,
    pub(crate) reply: Option<String>,
    pub(crate) reason: Option<String>,
    /// Whether the template variables are kept although it is settled.
    pub(crate) keep_variables: bool,
    /// The address that does not exist.
    pub(crate) bounced: Option<String>,
}

impl Move {
    fn new(of: Held, to: State) -> Self {
        Self {
            of,
            to,
            due_at: None,
            counted: false,
            reply_code: None,
            reply: None,
            reason: None,
            keep_variables: !to.is_settled() || matches!(to, State::Rejected | State::Ambiguous),
            bounced: None,
        }
    }

    /// The final dot may follow.
    pub(crate) fn begin(of: Held) -> Self {
        Self::new(of, State::Sending)
    }

    /// Back to wait until `due_at`, in another bundle.
    pub(crate) fn put_off(of: Held, due_at: DateTime<Utc>) -> Self {
        Self {
            due_at: Some(due_at),
            ..Self::new(of, State::Pending)
        }
    }

    /// An outcome, and why.
    pub(crate) fn settle(of: Held, to: State, reason: Option<String>) -> Self {
        Self {
            reason,
            ..Self::new(of, to)
        }
    }
}

/// Makes the moves of messages whose bundle is still held by the given lease; answers the ids of
/// those that moved. Repeating moves that were committed moves nothing, but for beginning, which
/// may be repeated.
///
/// Everybody locks in this order: campaigns by key, then bundles, then messages.
pub(crate) fn apply(
    conn: &mut PgConnection,
    moves: &[Move],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<Uuid>> {
    if moves.is_empty() {
        return Ok(HashSet::new());
    }
    let fenced = bundles::fence(conn, &holds(moves))?;
    let mut moved = HashSet::with_capacity(moves.len());
    let mut steps = Vec::with_capacity(moves.len());
    for step in moves {
        let Some(fenced) = fenced.get(&(step.of.bundle, step.of.lease)) else {
            continue;
        };
        match step.to {
            State::Sending if fenced.runs => drop(moved.insert(step.of.id)),
            State::Sending => {}
            _ if allowed(step, &fenced.begun) => steps.push(step),
            to => {
                tracing::error!(message.id = %step.of.id, to = to.as_str(), "a move that is not in the table was refused");
            }
        }
    }
    moved.extend(write(conn, &steps, now)?);
    Ok(moved)
}

/// Whether the table of states has this move.
fn allowed(step: &Move, begun: &Begun) -> bool {
    let from = match begun.has(step.of.place) {
        true => State::Sending,
        false => State::Claimed,
    };
    from.may_become(step.to)
}

/// The bundles of `moves` with what begins in each, in one order.
fn holds(moves: &[Move]) -> Vec<Hold> {
    let mut holds = BTreeMap::<(Uuid, Uuid), Hold>::new();
    for step in moves {
        let of = &step.of;
        let hold = holds.entry((of.bundle, of.lease)).or_insert(Hold {
            workspace_id: of.workspace_id,
            id: of.bundle,
            campaign_id: of.campaign_id,
            lease: of.lease,
            begins: Begun::default(),
        });
        if step.to == State::Sending {
            hold.begins.set(of.place);
        }
    }
    holds.into_values().collect()
}

/// Writes outcomes and delays of messages whose bundles and campaigns the caller has locked, with
/// what follows from them; answers the ids of those that were still waiting.
pub(crate) fn write(
    conn: &mut PgConnection,
    steps: &[&Move],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<Uuid>> {
    if steps.is_empty() {
        return Ok(HashSet::new());
    }
    let mut later = Later::default();
    let bundle_ids: Vec<_> = steps.iter().map(|step| later.bundle_of(step)).collect();
    let updated: HashMap<Uuid, bool> = update(conn, steps, bundle_ids, now)?.into_iter().collect();
    let done: Vec<&Move> = steps
        .iter()
        .copied()
        .filter(|step| updated.contains_key(&step.of.id))
        .collect();
    let is_over = |step: &&&Move| updated.get(&step.of.id) == Some(&true);
    let over: BTreeSet<(Uuid, Uuid)> = done
        .iter()
        .filter(is_over)
        .filter_map(|step| Some((step.of.workspace_id, step.of.campaign_id?)))
        .collect();
    let moved: HashSet<Uuid> = updated.into_keys().collect();
    bundles::insert(conn, &later.with(&moved))?;
    tell_settled(conn, &done, now)?;
    tell_bounced(conn, &done)?;
    for (workspace, campaign) in over {
        campaigns::settle(conn, workspace, campaign, now)?;
    }
    Ok(moved)
}

/// Gives everybody who waits in these bundles one outcome with its reason, and ends the bundles;
/// answers how many they were.
pub(crate) fn settle_all(
    conn: &mut PgConnection,
    taken: &[Bundle],
    waiting: Vec<Claimed>,
    (to, reason): (State, &str),
    lease: Lease,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let steps: Vec<Move> = waiting
        .into_iter()
        .map(|message| Move::settle(message.of, to, Some(reason.to_owned())))
        .collect();
    write(conn, &steps.iter().collect::<Vec<_>>(), now)?;
    let over = taken.iter().map(|bundle| End {
        workspace_id: bundle.workspace_id,
        id: bundle.id,
        lease: lease.token,
        due_at: None,
    });
    bundles::end(conn, &over.collect::<Vec<_>>())?;
    Ok(steps.len())
}

/// The bundles of messages that are put off: those of a campaign that are due together.
#[derive(Default)]
struct Later(HashMap<(Uuid, Option<Uuid>, DateTime<Utc>), Vec<Fresh>>);

impl Later {
    /// The bundle that a message goes to, or none when it is settled.
    fn bundle_of(&mut self, step: &Move) -> Option<Uuid> {
        let due_at = step.due_at.filter(|_| step.to == State::Pending)?;
        let key = (step.of.workspace_id, step.of.campaign_id, due_at);
        let bundles = self.0.entry(key).or_default();
        // A message without a campaign waits for nobody.
        let room = match step.of.campaign_id {
            Some(_) => bundles::SIZE,
            None => 1,
        };
        if bundles.last().is_none_or(|last| last.members.len() >= room) {
            bundles.push(Fresh {
                workspace_id: step.of.workspace_id,
                id: Uuid::now_v7(),
                campaign_id: step.of.campaign_id,
                due_at,
                members: Vec::new(),
            });
        }
        let last = bundles.last_mut()?;
        last.members.push(step.of.id);
        Some(last.id)
    }

    /// The bundles, with those members that did move.
    fn with(self, moved: &HashSet<Uuid>) -> Vec<Fresh> {
        let mut bundles: Vec<_> = self.0.into_values().flatten().collect();
        for bundle in &mut bundles {
            bundle.members.retain(|id| moved.contains(id));
        }
        bundles
    }
}

fn tell_settled(conn: &mut PgConnection, done: &[&Move], now: DateTime<Utc>) -> QueryResult<()> {
    let mut batches = BTreeMap::<(Uuid, Option<Uuid>), Vec<SettledMessage>>::new();
    for step in done.iter().filter(|step| step.to.is_settled()) {
        let batch = batches
            .entry((step.of.workspace_id, step.of.campaign_id))
            .or_default();
        batch.push(SettledMessage {
            message_id: step.of.id.into(),
            lead_id: step.of.lead_id.map(Into::into),
            outcome: step.to.outcome(),
            at: now,
        });
    }
    for ((workspace, campaign), items) in batches {
        tell_batches(conn, workspace.into(), campaign.map(Into::into), items)?;
    }
    Ok(())
}

/// Writes `message.settled` for all of `items`, so many at a time. No bell: a campaign tells
/// thousands a second, and the end of it rings.
pub(crate) fn tell_batches(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign_id: Option<CampaignId>,
    items: Vec<SettledMessage>,
) -> QueryResult<()> {
    for items in items.chunks(EVENT_ITEMS) {
        let event = MessagesSettled {
            batch_id: Uuid::now_v7(),
            campaign_id,
            items: items.to_vec(),
        };
        chassis::outbox::push_quietly(conn, workspace, &event)?;
    }
    Ok(())
}

fn tell_bounced(conn: &mut PgConnection, done: &[&Move]) -> QueryResult<()> {
    for step in done {
        let Some(address) = &step.bounced else {
            continue;
        };
        let event = AddressBounced {
            address: address.clone(),
            lead_id: step.of.lead_id.map(Into::into),
            message_id: Some(step.of.id.into()),
            reply: step.reply.clone().unwrap_or_default(),
        };
        chassis::outbox::push(conn, step.of.workspace_id.into(), &event)?;
    }
    Ok(())
}

/// One statement for all moves and the counts of their campaigns; `to` are the bundles of those
/// that are put off. Answers the ids of those that were still waiting, each with whether its
/// campaign has nobody left to wait for.
fn update(
    conn: &mut PgConnection,
    steps: &[&Move],
    to: Vec<Option<Uuid>>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<(Uuid, bool)>> {
    fn column<'m, T>(steps: &[&'m Move], pick: impl Fn(&'m Move) -> T) -> Vec<T> {
        steps.iter().map(|step| pick(step)).collect()
    }
    fixed::<(SqlUuid, Bool)>(
        "WITH moved AS (
             UPDATE messages AS m SET
                 state = s.state,
                 bundle_id = s.to_bundle,
                 next_attempt_at = s.due_at,
                 attempts = m.attempts + s.counted,
                 reply_code = coalesce(s.reply_code, m.reply_code),
                 reply = coalesce(s.reply, m.reply),
                 reason = s.reason,
                 exception = CASE WHEN s.state IN ('rejected', 'ambiguous') THEN s.state END,
                 settled_at = CASE WHEN s.state <> 'pending' THEN $12 END,
                 variables = CASE WHEN s.keep THEN m.variables END
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 AS s(workspace_id, id, from_bundle, to_bundle, state, due_at, counted, reply_code,
                      reply, reason, keep)
             WHERE m.workspace_id = s.workspace_id AND m.id = s.id
               AND m.bundle_id = s.from_bundle AND m.state = 'pending'
             RETURNING m.workspace_id, m.campaign_id, m.id, m.state
         ), tallies AS (
             SELECT workspace_id, campaign_id, count(*) AS settled,
                    count(*) FILTER (WHERE state = 'accepted') AS accepted,
                    count(*) FILTER (WHERE state = 'rejected') AS rejected,
                    count(*) FILTER (WHERE state = 'suppressed') AS suppressed,
                    count(*) FILTER (WHERE state = 'skipped') AS skipped,
                    count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous
             FROM moved WHERE state <> 'pending' AND campaign_id IS NOT NULL
             GROUP BY workspace_id, campaign_id
         ), counted AS (
             UPDATE campaigns AS c SET
                 pending = c.pending - t.settled,
                 accepted = c.accepted + t.accepted,
                 rejected = c.rejected + t.rejected,
                 suppressed = c.suppressed + t.suppressed,
                 skipped = c.skipped + t.skipped,
                 ambiguous = c.ambiguous + t.ambiguous
             FROM tallies AS t
             WHERE c.workspace_id = t.workspace_id AND c.id = t.campaign_id
             RETURNING c.workspace_id, c.id,
                       c.complete AND c.pending = 0 AND c.settled_at IS NULL AS is_over
         )
         SELECT m.id, coalesce(c.is_over, false)
         FROM moved AS m
         LEFT JOIN counted AS c ON c.workspace_id = m.workspace_id AND c.id = m.campaign_id",
    )
    .bind::<Array<SqlUuid>, _>(column(steps, |step| step.of.workspace_id))
    .bind::<Array<SqlUuid>, _>(column(steps, |step| step.of.id))
    .bind::<Array<SqlUuid>, _>(column(steps, |step| step.of.bundle))
    .bind::<Array<Nullable<SqlUuid>>, _>(to)
    .bind::<Array<Text>, _>(column(steps, |step| step.to.as_str()))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(steps, |step| step.due_at))
    .bind::<Array<Int4>, _>(column(steps, |step| i32::from(step.counted)))
    .bind::<Array<Nullable<Int2>>, _>(column(steps, |step| step.reply_code))
    .bind::<Array<Nullable<Text>>, _>(column(steps, |step| step.reply.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(column(steps, |step| step.reason.as_deref()))
    .bind::<Array<Bool>, _>(column(steps, |step| step.keep_variables))
    .bind::<Timestamptz, _>(now)
    .load(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(place: u16) -> Held {
        Held {
            workspace_id: Uuid::nil(),
            id: Uuid::from_u128(u128::from(place) + 1),
            campaign_id: Some(Uuid::nil()),
            lead_id: None,
            bundle: Uuid::nil(),
            place,
            lease: Uuid::nil(),
        }
    }

    #[test]
    fn a_move_must_be_in_the_table_of_states() {
        let mut begun = Begun::default();
        begun.set(1);
        let settle = |place, to| Move::settle(held(place), to, None);
        assert!(!allowed(&settle(0, State::Accepted), &begun), "not begun");
        assert!(allowed(&settle(1, State::Accepted), &begun));
        assert!(allowed(&settle(0, State::Suppressed), &begun));
        assert!(!allowed(&settle(1, State::Suppressed), &begun), "too late");
        for place in [0, 1] {
            assert!(allowed(&Move::put_off(held(place), Utc::now()), &begun));
        }
    }

    #[test]
    fn messages_put_off_together_wait_together() {
        let (mut later, soon) = (Later::default(), Utc::now());
        let late = soon + chrono::TimeDelta::seconds(30);
        let bundles: Vec<_> = (0..300)
            .map(|place| later.bundle_of(&Move::put_off(held(place), soon)))
            .collect();
        assert_eq!(bundles[0], bundles[255]);
        assert_ne!(bundles[255], bundles[256], "a bundle has an end");
        let other = later.bundle_of(&Move::put_off(held(300), late));
        assert!(other.is_some() && other != bundles[299]);
        let settled = Move::settle(held(301), State::Skipped, None);
        assert_eq!(later.bundle_of(&settled), None);
        let moved: HashSet<_> = (10..299).map(|place| held(place).id).collect();
        let sizes: Vec<_> = {
            let mut bundles = later.with(&moved);
            bundles.sort_by_key(|bundle| (bundle.due_at, bundle.id));
            bundles.iter().map(|bundle| bundle.members.len()).collect()
        };
        assert_eq!(sizes, [246, 43, 0], "only those that moved");
    }

    #[test]
    fn variables_are_kept_for_those_that_may_be_sent_again() {
        for state in State::ALL {
            let keeps = Move::settle(held(0), state, None).keep_variables;
            let needed = !matches!(state, State::Accepted | State::Suppressed | State::Skipped);
            assert_eq!(keeps, needed, "{state:?}");
        }
    }
}
