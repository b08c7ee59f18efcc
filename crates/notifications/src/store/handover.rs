//! Messages coming into the ledger.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use common::dto::audience::Standing;
use common::dto::dispatch::{HandedRecipient, Outcome};
use common::events::SettledMessage;
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use common::values::EmailAddress;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::campaigns::{self, Tally};
use super::claims::Kind;
use super::moves;
use crate::domain::state::State;
use crate::schema::messages;

/// The id of a campaign's message to a lead: the same however often it is handed over.
pub(crate) fn message_id(campaign: CampaignId, lead: LeadId) -> MessageId {
    Uuid::new_v5(&campaign.0, lead.0.as_bytes()).into()
}

/// A message about to be written down.
struct Fresh {
    id: Uuid,
    lead_id: Uuid,
    address: String,
    variables: Option<serde_json::Value>,
    state: State,
    reason: Option<String>,
    due_at: Option<DateTime<Utc>>,
}

impl Fresh {
    fn new(campaign: CampaignId, handed: HandedRecipient, now: DateTime<Utc>) -> Self {
        let recipient = handed.recipient;
        let (state, reason) = fate(recipient.standing, &recipient.email);
        let pending = state == State::Pending;
        Self {
            id: message_id(campaign, recipient.lead_id).0,
            lead_id: recipient.lead_id.0,
            address: recipient.email,
            variables: Some(recipient.lead).filter(|_| pending),
            state,
            reason,
            due_at: pending.then(|| handed.not_before.unwrap_or(now)),
        }
    }
}

fn fate(standing: Standing, address: &str) -> (State, Option<String>) {
    match (standing, EmailAddress::parse(address)) {
        (Standing::Suppressed, _) => (State::Suppressed, Some("suppressed".into())),
        (Standing::Unsubscribed, _) => (State::Suppressed, Some("unsubscribed".into())),
        (Standing::Sendable, Ok(_)) => (State::Pending, None),
        (Standing::Sendable, Err(why)) => (State::Skipped, Some(format!("the address {why}"))),
    }
}

/// Writes down those of a page that the ledger does not know yet, with their counts, and answers
/// how many they were.
pub(crate) fn add_recipients(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign: CampaignId,
    page: Vec<HandedRecipient>,
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    let mut fresh: Vec<Fresh> = page
        .into_iter()
        .map(|handed| Fresh::new(campaign, handed, now))
        .collect();
    // One order for all, so that two hand-overs of the same page never wait for each other.
    fresh.sort_by_key(|message| message.id);
    fresh.dedup_by_key(|message| message.id);
    let added = insert(conn, workspace, campaign, &fresh, now)?;
    let mut tally = Tally::default();
    let mut settled = Vec::new();
    for message in fresh.iter().filter(|message| added.contains(&message.id)) {
        tally.add(message.state.outcome(), 1);
        if message.state.outcome() != Outcome::Pending {
            settled.push(SettledMessage {
                message_id: message.id.into(),
                lead_id: Some(message.lead_id.into()),
                outcome: message.state.outcome(),
                at: now,
            });
        }
    }
    moves::tell_batches(conn, workspace, Some(campaign), settled)?;
    if !tally.is_zero() {
        campaigns::count(conn, workspace.0, campaign.0, tally, now)?;
    }
    Ok(i64::try_from(added.len()).unwrap_or(i64::MAX))
}

fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign: CampaignId,
    fresh: &[Fresh],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<Uuid>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let settled = |message: &Fresh| message.state.is_settled().then_some(now);
    let rows: Vec<Id> = sql_query(
        "INSERT INTO messages (workspace_id, id, kind, campaign_id, lead_id, address, variables,
                               state, reason, due_at, settled_at, created_at)
         SELECT $1, f.id, 'campaign', $2, f.lead_id, f.address, f.variables, f.state, f.reason,
                f.due_at, f.settled_at, $3
         FROM unnest($4, $5, $6, $7, $8, $9, $10, $11)
             AS f(id, lead_id, address, variables, state, reason, due_at, settled_at)
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(workspace.0)
    .bind::<SqlUuid, _>(campaign.0)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(fresh.iter().map(|m| m.id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(fresh.iter().map(|m| m.lead_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(fresh.iter().map(|m| m.address.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Jsonb>>, _>(
        fresh
            .iter()
            .map(|m| m.variables.as_ref())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(fresh.iter().map(|m| m.state.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(
        fresh
            .iter()
            .map(|m| m.reason.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Timestamptz>>, _>(fresh.iter().map(|m| m.due_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(fresh.iter().map(settled).collect::<Vec<_>>())
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A message that belongs to no campaign.
#[derive(Debug)]
pub(crate) struct Single<'m> {
    pub(crate) kind: Kind,
    pub(crate) to: &'m EmailAddress,
    pub(crate) snapshot_id: Uuid,
    pub(crate) variables: &'m serde_json::Value,
}

/// Writes down one message without a campaign, due at once.
pub(crate) fn add_single(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    single: &Single<'_>,
    now: DateTime<Utc>,
) -> QueryResult<MessageId> {
    let id = MessageId::new();
    diesel::insert_into(messages::table)
        .values((
            messages::workspace_id.eq(workspace.0),
            messages::id.eq(id.0),
            messages::kind.eq(single.kind.as_str()),
            messages::snapshot_id.eq(single.snapshot_id),
            messages::address.eq(single.to.as_str()),
            messages::variables.eq(single.variables),
            messages::state.eq(State::Pending.as_str()),
            messages::due_at.eq(now),
            messages::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_depends_on_both_and_on_nothing_else() {
        let (campaign, lead) = (CampaignId::new(), LeadId::new());
        let id = message_id(campaign, lead);
        assert_eq!(id, message_id(campaign, lead));
        assert_ne!(id, message_id(campaign, LeadId::new()));
        assert_ne!(id, message_id(CampaignId::new(), lead));
    }

    #[test]
    fn only_the_sendable_with_a_sound_address_wait() {
        let state = |standing, address| fate(standing, address).0;
        assert_eq!(state(Standing::Sendable, "a@b.example"), State::Pending);
        assert_eq!(state(Standing::Sendable, "a@b\r\nRCPT"), State::Skipped);
        assert_eq!(
            state(Standing::Suppressed, "a@b.example"),
            State::Suppressed
        );
        assert_eq!(state(Standing::Unsubscribed, ""), State::Suppressed);
    }
}
