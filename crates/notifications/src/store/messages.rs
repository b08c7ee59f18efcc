//! Messages as people look at them, and the operator's word to send again.

use chrono::{DateTime, Utc};
use common::dto::dispatch::Outcome;
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::campaigns::{self, Tally};
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
    pub(crate) variables: Option<serde_json::Value>,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) due_at: Option<DateTime<Utc>>,
    pub(crate) reply: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) settled_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
}

/// Which messages are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) lead_id: Option<LeadId>,
    pub(crate) outcome: Option<Outcome>,
}

/// The place after a message in the order of its list: by lead within a campaign, by id otherwise,
/// because those are the orders that an index has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Place(Uuid);

impl Filter {
    pub(crate) fn place(&self, message: &Message) -> Place {
        match (self.campaign_id, message.lead_id) {
            (Some(_), Some(lead)) => Place(lead.0),
            _ => Place(message.id.0),
        }
    }
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
    query = match (filter.campaign_id, after) {
        (Some(campaign), None) => query.filter(messages::campaign_id.eq(campaign.0)),
        (Some(campaign), Some(Place(lead))) => query
            .filter(messages::campaign_id.eq(campaign.0))
            .filter(messages::lead_id.gt(lead)),
        (None, Some(Place(id))) => query.filter(messages::id.gt(id)),
        (None, None) => query,
    };
    match filter.campaign_id {
        Some(_) => query.order(messages::lead_id.asc()).load(conn),
        None => query.order(messages::id.asc()).load(conn),
    }
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: MessageId,
) -> QueryResult<Option<Message>> {
    let row = messages::table.find((workspace.0, id.0));
    row.select(Message::as_select()).first(conn).optional()
}

/// Lets every message of a campaign with this outcome, rejected or ambiguous, wait to be sent
/// again, and answers how many they are.
pub(crate) fn retry(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign: CampaignId,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    let sources = State::of(outcome)
        .filter(|state| state.may_become(State::Pending) && state.is_settled())
        .map(State::as_str);
    let rows = messages::table
        .filter(messages::workspace_id.eq(workspace.0))
        .filter(messages::campaign_id.eq(campaign.0))
        .filter(messages::exception.eq(outcome.as_str()))
        .filter(messages::state.eq_any(sources));
    let count = diesel::update(rows)
        .set((
            messages::state.eq(State::Pending.as_str()),
            messages::attempts.eq(0),
            messages::due_at.eq(now),
            messages::exception.eq(None::<String>),
            messages::reason.eq(None::<String>),
            messages::settled_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if count > 0 {
        let mut tally = Tally::default();
        tally.add(outcome, -count);
        tally.add(Outcome::Pending, count);
        campaigns::count(conn, workspace.0, campaign.0, tally, now)?;
    }
    Ok(count)
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
              + (SELECT count(*) FROM messages
                 WHERE campaign_id IS NULL AND due_at IS NOT NULL AND lease IS NULL) AS count",
    )
    .get_result(conn)?;
    Ok(row.count)
}
