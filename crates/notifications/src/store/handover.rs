//! Messages coming into the ledger.

use std::collections::{BTreeMap, HashSet};

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use common::dto::audience::Standing;
use common::dto::dispatch::{HandedRecipient, Outcome};
use common::events::SettledMessage;
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use common::json::RawJson;
use common::values::EmailAddress;
use diesel::prelude::*;
use diesel::sql_types::{Array, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::attachments;
use super::bundles;
use super::campaigns::{self, Campaign, Tally};
use super::claims::Kind;
use super::moves;
use super::partitions::{self, Partitions};
use super::restored;
use crate::domain::attachment::Attachment;
use crate::domain::state::State;
use crate::schema::messages;

/// The id of a campaign's message to a lead, the same however often it is handed over: a UUIDv8
/// (RFC 9562 §5.8) that begins with the campaign's time in milliseconds, as UUIDv7 does, so that
/// a campaign's messages lie together; 74 bits of a hash of campaign and lead follow.
pub(crate) fn message_id(campaign: CampaignId, began_at: DateTime<Utc>, lead: LeadId) -> MessageId {
    let mut bytes = *Uuid::new_v5(&campaign.0, lead.0.as_bytes()).as_bytes();
    bytes[..6].copy_from_slice(&began_at.timestamp_millis().to_be_bytes()[2..]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
}

/// A message about to be written down.
struct Fresh {
    id: Uuid,
    lead_id: Uuid,
    address: String,
    variables: Option<RawJson>,
    state: State,
    reason: Option<String>,
    due_at: Option<DateTime<Utc>>,
    bundle_id: Option<Uuid>,
}

impl Fresh {
    fn new(campaign: &Campaign, handed: HandedRecipient, now: DateTime<Utc>) -> Self {
        let recipient = handed.recipient;
        let (mut state, mut reason) = fate(recipient.standing, &recipient.email);
        if state == State::Pending && campaign.restored_at.is_some() {
            (state, reason) = (State::Ambiguous, Some(restored::REASON.into()));
        }
        let pending = state == State::Pending;
        Self {
            id: message_id(campaign.id, campaign.created_at, recipient.lead_id).0,
            lead_id: recipient.lead_id.0,
            address: recipient.email,
            variables: Some(recipient.lead).filter(|_| pending || state == State::Ambiguous),
            state,
            reason,
            due_at: pending.then(|| handed.not_before.unwrap_or(now)),
            bundle_id: None,
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
    partitions: &Partitions,
    campaign: &Campaign,
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
    if let Some(first) = fresh.first() {
        partitions.ensure(conn, partitions::month_of(first.id))?;
    }
    let mut bundles = bundle(campaign, &mut fresh);
    let added = insert(conn, campaign, &fresh, now)?;
    for bundle in &mut bundles {
        bundle.members.retain(|id| added.contains(id));
    }
    bundles::insert(conn, &bundles)?;
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
    moves::tell_batches(conn, campaign.workspace_id, Some(campaign.id), settled)?;
    if !tally.is_zero() {
        campaigns::count(conn, campaign.workspace_id.0, campaign.id.0, tally, now)?;
    }
    Ok(i64::try_from(added.len()).unwrap_or(i64::MAX))
}

/// Puts those that wait into bundles by their due times.
fn bundle(campaign: &Campaign, fresh: &mut [Fresh]) -> Vec<bundles::Fresh> {
    let mut by_time = BTreeMap::<DateTime<Utc>, Vec<bundles::Fresh>>::new();
    for message in fresh {
        let Some(due_at) = message.due_at else {
            continue;
        };
        let bundles = by_time.entry(due_at).or_default();
        let full = |last: &bundles::Fresh| last.members.len() >= bundles::SIZE;
        if bundles.last().is_none_or(full) {
            bundles.push(bundles::Fresh {
                workspace_id: campaign.workspace_id.0,
                id: Uuid::now_v7(),
                campaign_id: Some(campaign.id.0),
                due_at,
                members: Vec::with_capacity(bundles::SIZE),
            });
        }
        if let Some(last) = bundles.last_mut() {
            last.members.push(message.id);
            message.bundle_id = Some(last.id);
        }
    }
    by_time.into_values().flatten().collect()
}

fn insert(
    conn: &mut PgConnection,
    campaign: &Campaign,
    fresh: &[Fresh],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<Uuid>> {
    fn column<'f, T>(fresh: &'f [Fresh], pick: impl Fn(&'f Fresh) -> T) -> Vec<T> {
        fresh.iter().map(pick).collect()
    }
    let settled = |message: &Fresh| message.state.is_settled().then_some(now);
    let added: Vec<Uuid> = fixed::<SqlUuid>(
        "INSERT INTO messages (workspace_id, id, kind, campaign_id, lead_id, address, variables,
                               state, reason, exception, bundle_id, next_attempt_at, settled_at,
                               created_at)
         SELECT $1, f.id, 'campaign', $2, f.lead_id, f.address, f.variables, f.state, f.reason,
                CASE f.state WHEN 'ambiguous' THEN f.state END, f.bundle_id, f.due_at, f.settled_at,
                $3
         FROM unnest($4, $5, $6, $7, $8, $9, $10, $11, $12)
             AS f(id, lead_id, address, variables, state, reason, bundle_id, due_at, settled_at)
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(campaign.workspace_id.0)
    .bind::<SqlUuid, _>(campaign.id.0)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(column(fresh, |m| m.id))
    .bind::<Array<SqlUuid>, _>(column(fresh, |m| m.lead_id))
    .bind::<Array<Text>, _>(column(fresh, |m| m.address.as_str()))
    .bind::<Array<Nullable<Json>>, _>(column(fresh, |m| m.variables.as_ref()))
    .bind::<Array<Text>, _>(column(fresh, |m| m.state.as_str()))
    .bind::<Array<Nullable<Text>>, _>(column(fresh, |m| m.reason.as_deref()))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(fresh, |m| m.bundle_id))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(fresh, |m| m.due_at))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(fresh, settled))
    .load(conn)?;
    Ok(added.into_iter().collect())
}

/// A message that belongs to no campaign.
#[derive(Debug)]
pub(crate) struct Single<'m> {
    pub(crate) kind: Kind,
    pub(crate) to: &'m EmailAddress,
    pub(crate) snapshot_id: Uuid,
    pub(crate) variables: &'m RawJson,
    pub(crate) attachments: &'m [Attachment],
}

/// Writes down one message without a campaign, due at once.
pub(crate) fn add_single(
    conn: &mut PgConnection,
    partitions: &Partitions,
    workspace: WorkspaceId,
    single: &Single<'_>,
    now: DateTime<Utc>,
) -> QueryResult<MessageId> {
    let id = MessageId::new();
    partitions.ensure(conn, partitions::month_of(id.0))?;
    let bundle = bundles::Fresh {
        workspace_id: workspace.0,
        id: Uuid::now_v7(),
        campaign_id: None,
        due_at: now,
        members: vec![id.0],
    };
    let listed = Some(single.attachments).filter(|files| !files.is_empty());
    let listed = listed
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    diesel::insert_into(messages::table)
        .values((
            messages::workspace_id.eq(workspace.0),
            messages::id.eq(id.0),
            messages::attachments.eq(listed),
            messages::kind.eq(single.kind.as_str()),
            messages::snapshot_id.eq(single.snapshot_id),
            messages::address.eq(single.to.as_str()),
            messages::variables.eq(single.variables),
            messages::state.eq(State::Pending.as_str()),
            messages::bundle_id.eq(bundle.id),
            messages::next_attempt_at.eq(now),
            messages::created_at.eq(now),
        ))
        .execute(conn)?;
    let files: Vec<_> = single.attachments.iter().map(|file| file.id).collect();
    if !files.is_empty() {
        attachments::give(conn, workspace, &files, id)?;
    }
    bundles::insert(conn, std::slice::from_ref(&bundle))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_depends_on_both_and_on_nothing_else() {
        let (campaign, lead, at) = (CampaignId::new(), LeadId::new(), Utc::now());
        let id = message_id(campaign, at, lead);
        assert_eq!(id, message_id(campaign, at, lead));
        assert_ne!(id, message_id(campaign, at, LeadId::new()));
        assert_ne!(id, message_id(CampaignId::new(), at, lead));
        assert_eq!(id.0.get_version_num(), 8);
        let next = at + chrono::TimeDelta::milliseconds(1);
        assert!(
            id < message_id(campaign, next, lead),
            "later ids are larger"
        );
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
