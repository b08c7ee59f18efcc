//! Messages as people look at them, and the operator's word to send again.

use chrono::{DateTime, Utc};
use common::dto::dispatch::Outcome;
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use common::json::RawJson;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bundles;
use super::campaigns::{self, Campaign, Tally};
use crate::domain::state::State;
use crate::schema::messages;

/// A row, as the API shows it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) kind: String,
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) lead_id: Option<LeadId>,
    pub(crate) snapshot_id: Option<Uuid>,
    pub(crate) address: String,
    pub(crate) variables: Option<RawJson>,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) reply: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) settled_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) attachments: Option<serde_json::Value>,
}

/// Which messages are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) lead_id: Option<LeadId>,
    pub(crate) outcome: Option<Outcome>,
}

/// The place after a message in the order of its list, that of the ids.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Place(Uuid);

impl Place {
    pub(crate) fn of(message: &Message) -> Self {
        Self(message.id.0)
    }
}

/// The ids of a campaign's messages all lie here: they begin with its time.
fn span(began_at: DateTime<Utc>) -> (Uuid, Uuid) {
    let millis = u64::try_from(began_at.timestamp_millis()).unwrap_or_default();
    let first = Uuid::from_u64_pair(millis << 16, 0);
    (first, Uuid::from_u64_pair(millis << 16 | 0xffff, u64::MAX))
}

/// Up to `limit` messages after a place.
pub(crate) fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    filter: &Filter,
    after: Option<Place>,
    limit: i64,
) -> QueryResult<Vec<Message>> {
    let mut query = messages::table
        .filter(messages::workspace_id.eq(workspace.0))
        .select(Message::as_select())
        .limit(limit)
        .into_boxed();
    if let Some(lead) = filter.lead_id {
        query = query.filter(messages::lead_id.eq(lead.0));
    }
    if let Some(outcome) = filter.outcome {
        query = match outcome {
            // The index of exceptions serves these two.
            Outcome::Rejected | Outcome::Ambiguous => {
                query.filter(messages::exception.eq(outcome.as_str()))
            }
            _ => query.filter(messages::state.eq_any(State::of(outcome).map(State::as_str))),
        };
    }
    if let Some(campaign) = filter.campaign_id {
        let Some(campaign) = campaigns::find(conn, workspace, campaign)? else {
            return Ok(Vec::new());
        };
        let (first, last) = span(campaign.created_at);
        query = query
            .filter(messages::campaign_id.eq(campaign.id.0))
            .filter(messages::id.between(first, last));
    }
    if let Some(Place(id)) = after {
        query = query.filter(messages::id.gt(id));
    }
    query.order(messages::id.asc()).load(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: MessageId,
) -> QueryResult<Option<Message>> {
    let row = messages::table.find((workspace.0, id.0));
    row.select(Message::as_select()).first(conn).optional()
}

/// Most messages that one transaction lets wait again.
const RETRIED: i64 = 16 * bundles::SIZE as i64;

/// Lets some messages of a campaign with this outcome, rejected or ambiguous, wait to be sent
/// again: those after a place. Answers how many they are and the last one's place; no place when
/// there are none left. `campaign` is locked.
pub(crate) fn retry(
    conn: &mut PgConnection,
    campaign: &Campaign,
    outcome: Outcome,
    after: Option<Place>,
    now: DateTime<Utc>,
) -> QueryResult<(i64, Option<Place>)> {
    let (workspace, id) = (campaign.workspace_id.0, campaign.id.0);
    let sources = State::of(outcome)
        .filter(|state| state.may_become(State::Pending) && state.is_settled())
        .map(State::as_str);
    let Place(first) = after.unwrap_or(Place(span(campaign.created_at).0));
    let ids: Vec<Uuid> = messages::table
        .filter(messages::workspace_id.eq(workspace))
        .filter(messages::campaign_id.eq(id))
        .filter(messages::id.gt(first))
        .filter(messages::exception.eq(outcome.as_str()))
        .filter(messages::state.eq_any(sources))
        .order(messages::id)
        .limit(RETRIED)
        .select(messages::id)
        .for_update()
        .load(conn)?;
    let mut bundles = Vec::new();
    for members in ids.chunks(bundles::SIZE) {
        let bundle = bundles::Fresh {
            workspace_id: workspace,
            id: Uuid::now_v7(),
            campaign_id: Some(id),
            due_at: now,
            members: members.to_vec(),
        };
        let rows = messages::table
            .filter(messages::workspace_id.eq(workspace))
            .filter(messages::id.eq_any(members));
        diesel::update(rows)
            .set((
                messages::state.eq(State::Pending.as_str()),
                messages::bundle_id.eq(bundle.id),
                messages::attempts.eq(0),
                messages::next_attempt_at.eq(now),
                messages::exception.eq(None::<String>),
                messages::reason.eq(None::<String>),
                messages::settled_at.eq(None::<DateTime<Utc>>),
            ))
            .execute(conn)?;
        bundles.push(bundle);
    }
    bundles::insert(conn, &bundles)?;
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    if count > 0 {
        let mut tally = Tally::default();
        tally.add(outcome, -count);
        tally.add(Outcome::Pending, count);
        campaigns::count(conn, workspace, id, tally, now)?;
    }
    Ok((count, ids.last().copied().map(Place)))
}

/// How many messages wait or are in work, for the gauge.
pub(crate) fn waiting(conn: &mut PgConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::Int8)]
        count: i64,
    }
    let row: Count = diesel::sql_query(
        "SELECT (SELECT coalesce(sum(pending), 0) FROM campaigns WHERE settled_at IS NULL)::bigint
              + (SELECT count(*) FROM bundles
                 WHERE campaign_id IS NULL AND lease IS NULL) AS count",
    )
    .get_result(conn)?;
    Ok(row.count)
}
