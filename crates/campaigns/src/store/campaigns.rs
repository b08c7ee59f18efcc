//! The `campaigns` table.

use chrono::{DateTime, Utc};
use common::dto::audience::Audience;
use common::dto::dispatch::{AmbiguousPolicy, Content, Mailbox, Utm};
use common::json::Stored;
use common::values::{EmailAddress, Money};
use common::{CampaignId, SenderId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::campaign::{Campaign, Draft, Held, Status};
use crate::domain::schedule::Schedule;
use crate::schema::campaigns;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
struct Row {
    workspace_id: WorkspaceId,
    id: CampaignId,
    name: String,
    subject: String,
    preheader: String,
    sender: Option<Stored<Mailbox>>,
    reply_to: Option<String>,
    content: Option<Stored<Content>>,
    audience: Stored<Audience>,
    budget: Option<Stored<Money>>,
    schedule: Option<Stored<Schedule>>,
    ambiguous: String,
    status: String,
    paused_reason: Option<String>,
    sender_id: Option<SenderId>,
    held_reason: Option<String>,
    held_since: Option<DateTime<Utc>>,
    utm: Option<Stored<Utm>>,
    version: i64,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Campaign> for Row {
    fn from(campaign: Campaign) -> Self {
        let Campaign { draft, held, .. } = campaign;
        let (held_reason, held_since) = held.map(|held| (held.reason, held.since)).unzip();
        Self {
            workspace_id: campaign.workspace_id,
            id: campaign.id,
            name: draft.name,
            subject: draft.subject,
            preheader: draft.preheader,
            sender: draft.from.map(Stored),
            reply_to: draft.reply_to.map(Into::into),
            content: draft.content.map(Stored),
            audience: Stored(draft.audience),
            budget: draft.budget.map(Stored),
            schedule: draft.schedule.map(Stored),
            ambiguous: match draft.ambiguous {
                AmbiguousPolicy::Hold => "hold".into(),
                AmbiguousPolicy::Resend => "resend".into(),
            },
            status: campaign.status.as_str().into(),
            paused_reason: campaign.paused_reason,
            sender_id: draft.sender_id,
            held_reason,
            held_since,
            utm: draft.utm.map(Stored),
            version: campaign.version,
            started_at: campaign.started_at,
            finished_at: campaign.finished_at,
            created_at: campaign.created_at,
            updated_at: campaign.updated_at,
        }
    }
}

impl From<Row> for Campaign {
    fn from(row: Row) -> Self {
        Self {
            workspace_id: row.workspace_id,
            id: row.id,
            draft: Draft {
                name: row.name,
                subject: row.subject,
                preheader: row.preheader,
                from: row.sender.map(|sender| sender.0),
                // It was an address when it was written.
                reply_to: row
                    .reply_to
                    .and_then(|text| EmailAddress::parse(&text).ok()),
                content: row.content.map(|content| content.0),
                audience: row.audience.0,
                budget: row.budget.map(|budget| budget.0),
                schedule: row.schedule.map(|schedule| schedule.0),
                ambiguous: match row.ambiguous.as_str() {
                    "resend" => AmbiguousPolicy::Resend,
                    _ => AmbiguousPolicy::Hold,
                },
                sender_id: row.sender_id,
                utm: row.utm.map(|utm| utm.0),
            },
            held: row
                .held_reason
                .zip(row.held_since)
                .map(|(reason, since)| Held { reason, since }),
            // The column's check constraint admits no other text.
            status: Status::parse(&row.status).unwrap_or(Status::Draft),
            paused_reason: row.paused_reason,
            version: row.version,
            started_at: row.started_at,
            finished_at: row.finished_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(crate) fn insert(conn: &mut PgConnection, campaign: &Campaign) -> QueryResult<()> {
    diesel::insert_into(campaigns::table)
        .values(Row::from(campaign.clone()))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn update(conn: &mut PgConnection, campaign: &Campaign) -> QueryResult<()> {
    let row = campaigns::table.find((campaign.workspace_id, campaign.id));
    diesel::update(row)
        .set(Row::from(campaign.clone()))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn get(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
) -> QueryResult<Option<Campaign>> {
    let row = campaigns::table
        .find((workspace, id))
        .select(Row::as_select())
        .first(conn);
    Ok(row.optional()?.map(Into::into))
}

/// The campaign, held against every other change until the transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
) -> QueryResult<Option<Campaign>> {
    let query = campaigns::table
        .find((workspace, id))
        .select(Row::as_select())
        .for_update();
    Ok(query.first(conn).optional()?.map(Into::into))
}

/// Up to `limit` campaigns made before `before`, newest first.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    status: Option<Status>,
    before: Option<CampaignId>,
    limit: i64,
) -> QueryResult<Vec<Campaign>> {
    let mut query = campaigns::table
        .filter(campaigns::workspace_id.eq(workspace))
        .order(campaigns::id.desc())
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(campaigns::status.eq(status.as_str()));
    }
    if let Some(before) = before {
        query = query.filter(campaigns::id.lt(before));
    }
    Ok(query.load(conn)?.into_iter().map(Into::into).collect())
}

/// Deletes a draft; false when there is none with this id.
pub(crate) fn delete_draft(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
) -> QueryResult<bool> {
    let draft = campaigns::table
        .find((workspace, id))
        .filter(campaigns::status.eq(Status::Draft.as_str()));
    Ok(diesel::delete(draft).execute(conn)? == 1)
}
