//! Taking hold of messages, and finding those whose holder is gone.

use chrono::{DateTime, Utc};
use common::dto::dispatch::AmbiguousPolicy;
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Int4, Int8, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::campaigns::{Campaign, policy};
use super::moves::Held;
use crate::domain::state::State;

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
    pub(crate) variables: serde_json::Value,
    pub(crate) attempts: u32,
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

/// A lease as it is given: the token, and until when it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) token: Uuid,
    pub(crate) until: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    workspace_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    lead_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    snapshot_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    variables: Option<serde_json::Value>,
    #[diesel(sql_type = Int4)]
    attempts: i32,
}

impl Row {
    fn claimed(self, lease: Uuid, campaign: Option<&Campaign>) -> Claimed {
        let kind = Kind::parse(&self.kind);
        Claimed {
            of: Held {
                workspace_id: self.workspace_id,
                id: self.id,
                campaign_id: campaign.map(|campaign| campaign.id.0),
                lead_id: self.lead_id,
                lease,
            },
            kind,
            snapshot_id: campaign.map_or(self.snapshot_id.unwrap_or_default(), |c| c.snapshot_id),
            policy: campaign.map_or(kind.policy(), Campaign::policy),
            began_at: campaign.map(|campaign| campaign.created_at),
            address: self.address,
            variables: self.variables.unwrap_or_default(),
            attempts: self.attempts.unsigned_abs(),
        }
    }
}

/// What every claim does with the rows it chose; whoever else wants them finds them locked or
/// held.
macro_rules! claim {
    ($due:literal) => {
        concat!(
            "WITH due AS (",
            $due,
            " FOR UPDATE SKIP LOCKED)
             UPDATE messages AS m SET state = 'claimed', lease = $1, due_at = $2
             FROM due WHERE m.workspace_id = due.workspace_id AND m.id = due.id
             RETURNING m.workspace_id, m.id, m.kind, m.lead_id, m.snapshot_id, m.address,
                       m.variables, m.attempts"
        )
    };
}

/// Claims up to `limit` messages of a campaign that are due at `now`, the longest due first.
pub(crate) fn of_campaign(
    conn: &mut PgConnection,
    campaign: &Campaign,
    lease: Lease,
    now: DateTime<Utc>,
    limit: usize,
) -> QueryResult<Vec<Claimed>> {
    let rows: Vec<Row> = sql_query(claim!(
        "SELECT workspace_id, id FROM messages
         WHERE workspace_id = $3 AND campaign_id = $4 AND due_at <= $5 AND lease IS NULL
         ORDER BY due_at LIMIT $6"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<SqlUuid, _>(campaign.workspace_id.0)
    .bind::<SqlUuid, _>(campaign.id.0)
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| row.claimed(lease.token, Some(campaign)))
        .collect())
}

/// Claims up to `limit` due messages that belong to no campaign.
pub(crate) fn without_campaign(
    conn: &mut PgConnection,
    lease: Lease,
    now: DateTime<Utc>,
    limit: usize,
) -> QueryResult<Vec<Claimed>> {
    let rows: Vec<Row> = sql_query(claim!(
        "SELECT workspace_id, id FROM messages
         WHERE due_at <= $3 AND lease IS NULL AND campaign_id IS NULL
         ORDER BY due_at LIMIT $4"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| row.claimed(lease.token, None))
        .collect())
}

/// Extends leases that are still held; answers the ids of those.
pub(crate) fn renew(
    conn: &mut PgConnection,
    held: &[Held],
    until: DateTime<Utc>,
) -> QueryResult<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let column = |pick: fn(&Held) -> Uuid| held.iter().map(pick).collect::<Vec<_>>();
    let ids: Vec<Id> = sql_query(
        "UPDATE messages AS m SET due_at = $1
         FROM unnest($2, $3, $4) AS s(workspace_id, id, lease)
         WHERE m.workspace_id = s.workspace_id AND m.id = s.id AND m.lease = s.lease
         RETURNING m.id",
    )
    .bind::<Timestamptz, _>(until)
    .bind::<Array<SqlUuid>, _>(column(|held| held.workspace_id))
    .bind::<Array<SqlUuid>, _>(column(|held| held.id))
    .bind::<Array<SqlUuid>, _>(column(|held| held.lease))
    .load(conn)?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

/// A message whose lease ran out.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) of: Held,
    pub(crate) state: State,
    pub(crate) policy: AmbiguousPolicy,
}

/// Locks up to `limit` messages whose lease ran out before `now`.
pub(crate) fn orphans(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Orphan>> {
    #[derive(QueryableByName)]
    struct OrphanRow {
        #[diesel(sql_type = SqlUuid)]
        workspace_id: Uuid,
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        campaign_id: Option<Uuid>,
        #[diesel(sql_type = Nullable<SqlUuid>)]
        lead_id: Option<Uuid>,
        #[diesel(sql_type = SqlUuid)]
        lease: Uuid,
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Nullable<Text>)]
        ambiguous_policy: Option<String>,
    }
    let rows: Vec<OrphanRow> = sql_query(
        "SELECT m.workspace_id, m.id, m.campaign_id, m.lead_id, m.lease, m.state, m.kind,
                (SELECT c.ambiguous_policy FROM campaigns AS c
                 WHERE c.workspace_id = m.workspace_id AND c.id = m.campaign_id) AS ambiguous_policy
         FROM messages AS m
         WHERE m.lease IS NOT NULL AND m.due_at < $1
         ORDER BY m.due_at LIMIT $2 FOR UPDATE OF m SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(limit)
    .load(conn)?;
    let orphan = |row: OrphanRow| {
        Some(Orphan {
            of: Held {
                workspace_id: row.workspace_id,
                id: row.id,
                campaign_id: row.campaign_id,
                lead_id: row.lead_id,
                lease: row.lease,
            },
            state: State::parse(&row.state)?,
            policy: match row.ambiguous_policy {
                Some(text) => policy(&text),
                None => Kind::parse(&row.kind).policy(),
            },
        })
    };
    Ok(rows.into_iter().filter_map(orphan).collect())
}

/// Which of the claimed must not be mailed after all, and why: suppressed since they were handed
/// over, unsubscribed since their campaign began, or deleted.
pub(crate) fn withheld(
    conn: &mut PgConnection,
    claimed: &[Claimed],
) -> QueryResult<Vec<(Uuid, String)>> {
    #[derive(QueryableByName)]
    struct Withheld {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Text)]
        reason: String,
    }
    let rows: Vec<Withheld> = sql_query(
        "SELECT c.id, coalesce(s.reason, w.reason) AS reason
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
    .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row.reason)).collect())
}

/// Claims messages of a cancelled campaign, due or not, to be skipped.
pub(crate) fn of_cancelled(
    conn: &mut PgConnection,
    campaign: &Campaign,
    lease: Lease,
    limit: i64,
) -> QueryResult<Vec<Held>> {
    let rows: Vec<Row> = sql_query(claim!(
        "SELECT workspace_id, id FROM messages
         WHERE workspace_id = $3 AND campaign_id = $4 AND due_at IS NOT NULL AND lease IS NULL
         LIMIT $5"
    ))
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<SqlUuid, _>(campaign.workspace_id.0)
    .bind::<SqlUuid, _>(campaign.id.0)
    .bind::<Int8, _>(limit)
    .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| row.claimed(lease.token, Some(campaign)).of)
        .collect())
}
