//! The messages of claimed bundles.

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use common::dto::dispatch::AmbiguousPolicy;
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use common::json::RawJson;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{
    Array, Int2, Int4, Json, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use uuid::Uuid;

use super::bundles::Bundle;
use super::campaigns::Campaign;
use super::moves::Held;
use crate::domain::attachment::Attachment;

/// Why messages without a campaign are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Campaign,
    Transactional,
    Test,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Transactional => "transactional",
            Self::Test => "test",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "transactional" => Self::Transactional,
            "test" => Self::Test,
            _ => Self::Campaign,
        }
    }

    /// What becomes of a message whose fate is unknown when it has no campaign to say so: a
    /// receipt or a password link is better twice than never.
    pub(crate) fn policy(self) -> AmbiguousPolicy {
        match self {
            Self::Transactional => AmbiguousPolicy::Resend,
            Self::Campaign | Self::Test => AmbiguousPolicy::Hold,
        }
    }
}

/// A message in its worker's hands.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) of: Held,
    pub(crate) kind: Kind,
    pub(crate) snapshot_id: Uuid,
    pub(crate) policy: AmbiguousPolicy,
    /// When its campaign began.
    pub(crate) began_at: Option<DateTime<Utc>>,
    pub(crate) address: String,
    pub(crate) variables: RawJson,
    pub(crate) attempts: u32,
    pub(crate) attachments: Vec<Attachment>,
}

impl Claimed {
    pub(crate) fn id(&self) -> MessageId {
        self.of.id.into()
    }

    pub(crate) fn workspace(&self) -> WorkspaceId {
        self.of.workspace_id.into()
    }

    pub(crate) fn campaign(&self) -> Option<CampaignId> {
        self.of.campaign_id.map(Into::into)
    }

    pub(crate) fn lead(&self) -> Option<LeadId> {
        self.of.lead_id.map(Into::into)
    }
}

/// A message of a bundle, in the order in which [`members`] selects it.
#[derive(Queryable)]
struct Row {
    workspace_id: Uuid,
    id: Uuid,
    kind: String,
    lead_id: Option<Uuid>,
    snapshot_id: Option<Uuid>,
    address: String,
    variables: Option<RawJson>,
    attempts: i32,
    bundle_id: Uuid,
    place: i16,
    attachments: Option<serde_json::Value>,
}

type Columns = (
    SqlUuid,
    SqlUuid,
    Text,
    Nullable<SqlUuid>,
    Nullable<SqlUuid>,
    Text,
    Nullable<Json>,
    Int4,
    SqlUuid,
    Int2,
    Nullable<Jsonb>,
);

impl Row {
    fn claimed(self, lease: Uuid, campaign: Option<&Campaign>) -> Claimed {
        let kind = Kind::parse(&self.kind);
        Claimed {
            of: Held {
                workspace_id: self.workspace_id,
                id: self.id,
                campaign_id: campaign.map(|campaign| campaign.id.0),
                lead_id: self.lead_id,
                bundle: self.bundle_id,
                place: self.place.unsigned_abs(),
                lease,
            },
            kind,
            snapshot_id: campaign.map_or(self.snapshot_id.unwrap_or_default(), |c| c.snapshot_id),
            policy: campaign.map_or(kind.policy(), Campaign::policy),
            began_at: campaign.map(|campaign| campaign.created_at),
            address: self.address,
            variables: self.variables.unwrap_or_default(),
            attempts: self.attempts.unsigned_abs(),
            attachments: Attachment::listed(self.attachments),
        }
    }
}

/// A handful of rows is looked up by key, whatever the planner knows of a ledger that grew within
/// the last seconds. Holds for the running transaction.
pub(crate) fn by_key(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
    )
}

/// The messages of `bundles`, all of `campaign` or all without one, that wait to be sent.
pub(crate) fn members(
    conn: &mut PgConnection,
    bundles: &[Bundle],
    lease: Uuid,
    campaign: Option<&Campaign>,
) -> QueryResult<Vec<Claimed>> {
    if bundles.is_empty() {
        return Ok(Vec::new());
    }
    let (mut workspaces, mut ids, mut of, mut places) = (vec![], vec![], vec![], vec![]);
    for bundle in bundles {
        for (place, id) in (0_i16..).zip(&bundle.members) {
            workspaces.push(bundle.workspace_id);
            ids.push(*id);
            of.push(bundle.id);
            places.push(place);
        }
    }
    by_key(conn)?;
    let rows: Vec<Row> = fixed::<Columns>(
        "SELECT m.workspace_id, m.id, m.kind, m.lead_id, m.snapshot_id, m.address, m.variables,
                m.attempts, b.bundle_id, b.place, m.attachments
         FROM unnest($1, $2, $3, $4) AS b(workspace_id, id, bundle_id, place)
         JOIN messages AS m ON m.workspace_id = b.workspace_id AND m.id = b.id
         WHERE m.bundle_id = b.bundle_id AND m.state = 'pending'",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<SqlUuid>, _>(of)
    .bind::<Array<Int2>, _>(places)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| row.claimed(lease, campaign))
        .collect())
}

/// Which of the claimed must not be mailed after all, and why: suppressed since they were handed
/// over, unsubscribed since their campaign began, or deleted.
pub(crate) fn withheld(
    conn: &mut PgConnection,
    claimed: &[Claimed],
) -> QueryResult<Vec<(Uuid, String)>> {
    fixed::<(SqlUuid, Text)>(
        "SELECT c.id, coalesce(s.reason, w.reason)
         FROM unnest($1, $2, $3, $4, $5) AS c(workspace_id, id, address, lead_id, began_at)
         LEFT JOIN suppressed_addresses AS s
             ON s.workspace_id = c.workspace_id AND s.address = c.address
         LEFT JOIN withdrawn_leads AS w
             ON w.workspace_id = c.workspace_id AND w.lead_id = c.lead_id
                AND (w.reason = 'deleted' OR w.at >= c.began_at)
         WHERE s.address IS NOT NULL OR w.lead_id IS NOT NULL",
    )
    .bind::<Array<SqlUuid>, _>(
        claimed
            .iter()
            .map(|c| c.of.workspace_id)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<SqlUuid>, _>(claimed.iter().map(|c| c.of.id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(
        claimed
            .iter()
            .map(|c| c.address.to_lowercase())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<SqlUuid>>, _>(claimed.iter().map(|c| c.of.lead_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(claimed.iter().map(|c| c.began_at).collect::<Vec<_>>())
    .load(conn)
}
