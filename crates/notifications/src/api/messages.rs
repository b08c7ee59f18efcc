//! `/api/v1/messages`

use actix_web::web::{self, Data};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::dto::dispatch::Outcome;
use common::ids::{CampaignId, LeadId, MessageId};
use common::page::{self, Page};
use serde::{Deserialize, Serialize};

use super::feedback::FeedbackView;
use crate::domain::attachment::Attachment;
use crate::domain::state::State;
use crate::store::campaigns;
use crate::store::feedback;
use crate::store::messages::{self, Filter, Message, Place};
use crate::{AppState, Error};

/// One message and how it went.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Message)]
pub(crate) struct MessageView {
    id: MessageId,
    /// `campaign`, `transactional` or `test`.
    kind: String,
    campaign_id: Option<CampaignId>,
    lead_id: Option<LeadId>,
    to: String,
    outcome: Outcome,
    /// How often a server judged it.
    attempts: i32,
    /// The server's last words about it.
    smtp_reply: Option<String>,
    /// Why it has this outcome when no reply says so.
    reason: Option<String>,
    /// When a pending message is tried next.
    next_attempt_at: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// The files it brings. Their bytes are kept until it has an outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let state = State::parse(&message.state).unwrap_or(State::Pending);
        Self {
            id: message.id,
            kind: message.kind,
            campaign_id: message.campaign_id,
            lead_id: message.lead_id,
            to: message.address,
            outcome: state.outcome(),
            attempts: message.attempts,
            smtp_reply: message.reply,
            reason: message.reason,
            next_attempt_at: message.next_attempt_at,
            settled_at: message.settled_at,
            created_at: message.created_at,
            attachments: Attachment::listed(message.attachments),
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    campaign_id: Option<CampaignId>,
    lead_id: Option<LeadId>,
    outcome: Option<Outcome>,
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before, of the same filters.
    cursor: Option<String>,
}

/// `GET /api/v1/messages`
#[utoipa::path(
    get, path = "/api/v1/messages", tag = "notifications", operation_id = "notifications_messages_list",
    params(ListQuery),
    responses((status = 200, description = "Messages, in the order of their ids", body = Page<MessageView>))
)]
#[tracing::instrument(name = "messages.list", skip_all)]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<web::Json<Page<MessageView>>, Error> {
    caller.require(Scope::MessagesRead)?;
    let query = query.into_inner();
    let refused = |name: &'static str| {
        move |why: common::values::Invalid| InvalidInput::field(name, why.to_string())
    };
    let limit = page::limit(query.limit).map_err(refused("query/limit"))?;
    let after = query.cursor.as_deref().map(page::decode_cursor).transpose();
    let after = after.map_err(refused("query/cursor"))?;
    let filter = Filter {
        campaign_id: query.campaign_id,
        lead_id: query.lead_id,
        outcome: query.outcome,
    };
    let rows = state
        .db
        .run(move |conn| {
            let rows = messages::list(conn, caller.workspace, &filter, after, limit + 1)?;
            Ok::<_, Error>(rows)
        })
        .await?;
    Ok(web::Json(Page::from_rows(
        rows,
        limit,
        Place::of,
        MessageView::from,
    )))
}

/// One message with what came back about it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::MessageDetail)]
pub(crate) struct MessageDetail {
    #[serde(flatten)]
    message: MessageView,
    /// What was told after it was handed over, oldest first. It does not change the outcome.
    feedback: Vec<FeedbackView>,
}

/// `GET /api/v1/messages/{id}`
#[utoipa::path(
    get, path = "/api/v1/messages/{id}", tag = "notifications", operation_id = "notifications_messages_show",
    params(("id" = uuid::Uuid, Path, description = "The message")),
    responses(
        (status = 200, description = "The message", body = MessageDetail),
        (status = 404, description = "There is no such message", body = common::Problem),
    )
)]
#[tracing::instrument(name = "messages.show", skip_all, fields(message.id = %id.0))]
pub(crate) async fn show(
    state: Data<AppState>,
    caller: Caller,
    id: Path<MessageId>,
) -> Result<web::Json<MessageDetail>, Error> {
    caller.require(Scope::MessagesRead)?;
    let id = id.into_inner();
    let (message, feedback) = state
        .db
        .run(move |conn| {
            let message =
                messages::find(conn, caller.workspace, id)?.ok_or(Error::NoMessage(id))?;
            Ok::<_, Error>((message, feedback::of_message(conn, caller.workspace, id)?))
        })
        .await?;
    Ok(web::Json(MessageDetail {
        message: message.into(),
        feedback: feedback.into_iter().map(FeedbackView::from).collect(),
    }))
}

/// Which messages of a campaign are to be sent again.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::Retry)]
pub(crate) struct Retry {
    campaign_id: CampaignId,
    outcome: Retried,
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = notifications::RetriedOutcome)]
pub(crate) enum Retried {
    Rejected,
    Ambiguous,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::RetryCount)]
pub(crate) struct RetryCount {
    /// How many messages wait again.
    retried: i64,
}

/// `POST /api/v1/messages/retry`
#[utoipa::path(
    post, path = "/api/v1/messages/retry", tag = "notifications", operation_id = "notifications_messages_retry",
    request_body = Retry,
    responses(
        (status = 200, description = "They wait to be sent again", body = RetryCount),
        (status = 404, description = "There is no such campaign", body = common::Problem),
        (status = 409, description = "The campaign was cancelled", body = common::Problem),
    )
)]
#[tracing::instrument(name = "messages.retry", skip_all, fields(campaign.id = %body.campaign_id))]
pub(crate) async fn retry(
    state: Data<AppState>,
    caller: Caller,
    body: Json<Retry>,
) -> Result<web::Json<RetryCount>, Error> {
    caller.require(Scope::MessagesSend)?;
    let (id, now) = (body.campaign_id, state.clock.now());
    let outcome = match body.outcome {
        Retried::Rejected => Outcome::Rejected,
        Retried::Ambiguous => Outcome::Ambiguous,
    };
    let (mut retried, mut after) = (0, None);
    loop {
        // A transaction for some at a time, so that the campaign is never held for long.
        let (some, last) = state
            .db
            .transaction(move |conn| retry_some(conn, caller.workspace, id, outcome, after, now))
            .await?;
        retried += some;
        after = last;
        if after.is_none() {
            break;
        }
    }
    state.wake.ring();
    Ok(web::Json(RetryCount { retried }))
}

fn retry_some(
    conn: &mut diesel::PgConnection,
    workspace: common::WorkspaceId,
    id: CampaignId,
    outcome: Outcome,
    after: Option<Place>,
    now: DateTime<Utc>,
) -> Result<(i64, Option<Place>), Error> {
    let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NoCampaign(id))?;
    if campaign.state == "cancelled" {
        return Err(Error::Cancelled(id));
    }
    Ok(messages::retry(conn, &campaign, outcome, after, now)?)
}
