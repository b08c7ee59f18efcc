//! Events as they become visible, each once.
//!
//! Nothing orders commits but Postgres itself. A snapshot's `xmin` is the oldest transaction that
//! is not over: all before it are, and what they wrote is to be seen. So what lies between the
//! `xmin`s of two snapshots is new, complete, and the same for every replica that asks.

use chrono::{DateTime, Utc};
use common::{CampaignId, EventId, LeadId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::Serialize;

/// An event as whoever watches sees it.
#[derive(Clone, Debug, Serialize, QueryableByName, utoipa::ToSchema)]
#[schema(as = analytics::LiveEvent)]
pub struct LiveEvent {
    #[diesel(sql_type = SqlUuid)]
    pub id: EventId,
    #[diesel(sql_type = Text)]
    #[serde(rename = "type")]
    pub kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub occurred_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub received_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub campaign_id: Option<CampaignId>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub lead_id: Option<LeadId>,
    #[diesel(sql_type = Nullable<Text>)]
    pub user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub anonymous_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub url: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub device: Option<String>,
    /// `human`, `scanner`, `prefetch` or `bot`. An event that is judged anew is told again.
    #[diesel(sql_type = Text)]
    pub verdict: String,
}

/// The oldest transaction that is not over.
pub fn horizon(conn: &mut PgConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Horizon {
        #[diesel(sql_type = BigInt)]
        horizon: i64,
    }
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon";
    Ok(sql_query(sql).get_result::<Horizon>(conn)?.horizon)
}

/// Which events are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub workspace: WorkspaceId,
    pub campaign: Option<CampaignId>,
    /// Written by transactions from this one on, and before that one.
    pub from: i64,
    pub to: i64,
    /// Received since; so that not everything is looked at.
    pub since: DateTime<Utc>,
}

/// The events of a stretch in their order, some at a time.
pub fn events(
    conn: &mut PgConnection,
    stretch: Stretch,
    skip: i64,
    limit: i64,
) -> QueryResult<Vec<LiveEvent>> {
    // A row knows 32 bits of its transaction; the distance to a known one tells the rest.
    sql_query(
        "SELECT id, type AS kind, name, occurred_at, received_at, campaign_id, lead_id, user_id,
             anonymous_id, url, device, verdict
         FROM events
         WHERE workspace_id = $1 AND received_at >= $2 AND ($3::uuid IS NULL OR campaign_id = $3)
           AND $5 + ((xmin::text::bigint - $5 + 2147483648) & 4294967295) - 2147483648 >= $4
           AND $5 + ((xmin::text::bigint - $5 + 2147483648) & 4294967295) - 2147483648 < $5
         ORDER BY received_at, id OFFSET $6 LIMIT $7",
    )
    .bind::<SqlUuid, _>(stretch.workspace)
    .bind::<Timestamptz, _>(stretch.since)
    .bind::<Nullable<SqlUuid>, _>(stretch.campaign)
    .bind::<BigInt, _>(stretch.from)
    .bind::<BigInt, _>(stretch.to)
    .bind::<BigInt, _>(skip)
    .bind::<BigInt, _>(limit)
    .load(conn)
}
