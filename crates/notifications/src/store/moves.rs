//! The moves of held messages: every write of a worker, fenced by its lease, and what follows from
//! it (counts, events), in one transaction for as many messages as there are.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use common::dto::dispatch::Outcome;
use common::events::{AddressBounced, MessagesSettled, SettledMessage};
use common::ids::{CampaignId, WorkspaceId};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Bool, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::campaigns::{self, Tally};
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

    /// Back to wait until `due_at`.
    pub(crate) fn put_back(of: Held, due_at: DateTime<Utc>) -> Self {
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

/// Moves messages whose lease is still the given one; answers the ids of those that moved.
/// Repeating a move that was committed moves nothing, but for beginning, which may be repeated.
pub(crate) fn apply(
    conn: &mut PgConnection,
    moves: &[Move],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<Uuid>> {
    if moves.is_empty() {
        return Ok(HashSet::new());
    }
    let moved: HashSet<Uuid> = Statement::new(moves, now).load(conn)?.into_iter().collect();
    let done: Vec<&Move> = moves
        .iter()
        .filter(|step| moved.contains(&step.of.id))
        .collect();
    tell_settled(conn, &done, now)?;
    tell_bounced(conn, &done)?;
    for ((workspace, campaign), tally) in tallies(&done) {
        campaigns::count(conn, workspace, campaign, tally, now)?;
    }
    Ok(moved)
}

/// In the order of their keys, so that two transactions never wait for each other.
fn tallies(done: &[&Move]) -> BTreeMap<(Uuid, Uuid), Tally> {
    let mut tallies = BTreeMap::<_, Tally>::new();
    for step in done.iter().filter(|step| step.to.is_settled()) {
        if let Some(campaign) = step.of.campaign_id {
            let tally = tallies.entry((step.of.workspace_id, campaign)).or_default();
            tally.moved(Outcome::Pending, step.to.outcome());
        }
    }
    tallies
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

/// Writes `message.settled` for all of `items`, so many at a time.
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
        chassis::outbox::push(conn, workspace, &event)?;
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
            message_id: step.of.id.into(),
            reply: step.reply.clone().unwrap_or_default(),
        };
        chassis::outbox::push(conn, step.of.workspace_id.into(), &event)?;
    }
    Ok(())
}

/// One `UPDATE` for all moves. Its text never changes, so Postgres plans it once per connection.
#[derive(Debug)]
struct Statement<'m> {
    workspaces: Vec<Uuid>,
    ids: Vec<Uuid>,
    leases: Vec<Uuid>,
    states: Vec<&'static str>,
    due: Vec<Option<DateTime<Utc>>>,
    counted: Vec<i32>,
    codes: Vec<Option<i16>>,
    replies: Vec<Option<&'m str>>,
    reasons: Vec<Option<&'m str>>,
    keep: Vec<bool>,
    now: DateTime<Utc>,
}

impl<'m> Statement<'m> {
    fn new(moves: &'m [Move], now: DateTime<Utc>) -> Self {
        Self {
            workspaces: moves.iter().map(|step| step.of.workspace_id).collect(),
            ids: moves.iter().map(|step| step.of.id).collect(),
            leases: moves.iter().map(|step| step.of.lease).collect(),
            states: moves.iter().map(|step| step.to.as_str()).collect(),
            due: moves.iter().map(|step| step.due_at).collect(),
            counted: moves.iter().map(|step| i32::from(step.counted)).collect(),
            codes: moves.iter().map(|step| step.reply_code).collect(),
            replies: moves.iter().map(|step| step.reply.as_deref()).collect(),
            reasons: moves.iter().map(|step| step.reason.as_deref()).collect(),
            keep: moves.iter().map(|step| step.keep_variables).collect(),
            now,
        }
    }
}

impl QueryId for Statement<'_> {
    type QueryId = Statement<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Statement<'_> {
    type SqlType = SqlUuid;
}

impl RunQueryDsl<PgConnection> for Statement<'_> {}

/// Which moves of held messages are allowed, from the table in `domain::state`; a message that
/// was begun may be begun again by the same worker, because its first answer can be lost.
fn allowed() -> &'static str {
    static ALLOWED: OnceLock<String> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let held = State::ALL.into_iter().filter(|state| state.is_held());
        let clauses: Vec<_> = held
            .map(|from| {
                let repeat = from == State::Sending;
                let targets: Vec<_> = State::ALL
                    .into_iter()
                    .filter(|to| from.may_become(*to) || (repeat && *to == from))
                    .map(|to| format!("'{}'", to.as_str()))
                    .collect();
                format!(
                    "(m.state = '{}' AND s.state IN ({}))",
                    from.as_str(),
                    targets.join(", ")
                )
            })
            .collect();
        clauses.join(" OR ")
    })
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "UPDATE messages AS m SET
                 state = s.state,
                 lease = CASE WHEN s.state = 'sending' THEN m.lease END,
                 due_at = CASE WHEN s.state = 'sending' THEN m.due_at ELSE s.due_at END,
                 attempts = m.attempts + s.counted,
                 reply_code = coalesce(s.reply_code, m.reply_code),
                 reply = coalesce(s.reply, m.reply),
                 reason = s.reason,
                 exception = CASE WHEN s.state IN ('rejected', 'ambiguous') THEN s.state END,
                 settled_at = CASE WHEN s.state NOT IN ('pending', 'sending') THEN ",
        );
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(
            " END,
                 variables = CASE WHEN s.keep THEN m.variables END
             FROM unnest(",
        );
        out.push_bind_param::<Array<SqlUuid>, _>(&self.workspaces)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.leases)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.states)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(&self.due)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Int4>, _>(&self.counted)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Int2>>, _>(&self.codes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.replies)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.reasons)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.keep)?;
        out.push_sql(
            ") AS s(workspace_id, id, lease, state, due_at, counted, reply_code, reply, reason, keep)
             WHERE m.workspace_id = s.workspace_id AND m.id = s.id AND m.lease = s.lease AND (",
        );
        out.push_sql(allowed());
        // A campaign that is paused or cancelled begins nothing, whatever its workers hold.
        out.push_sql(
            ") AND (s.state <> 'sending' OR m.campaign_id IS NULL OR EXISTS (
                 SELECT 1 FROM campaigns AS c
                 WHERE c.workspace_id = m.workspace_id AND c.id = m.campaign_id
                   AND c.state = 'running'))
             RETURNING m.id",
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_allows_what_the_table_allows() {
        assert_eq!(
            allowed(),
            "(m.state = 'claimed' AND s.state IN ('pending', 'sending', 'rejected', 'suppressed', 'skipped')) \
             OR (m.state = 'sending' AND s.state IN ('pending', 'sending', 'accepted', 'rejected', 'ambiguous'))"
        );
    }

    #[test]
    fn variables_are_kept_for_those_that_may_be_sent_again() {
        let of = Held {
            workspace_id: Uuid::nil(),
            id: Uuid::nil(),
            campaign_id: None,
            lead_id: None,
            lease: Uuid::nil(),
        };
        for state in State::ALL {
            let keeps = Move::settle(of, state, None).keep_variables;
            let needed = !matches!(state, State::Accepted | State::Suppressed | State::Skipped);
            assert_eq!(keeps, needed, "{state:?}");
        }
    }
}
