//! What a restored ledger has pending: nobody knows whether it was mailed since the backup.

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Int8, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::bundles::{Bundle, Columns, Lease};
use super::campaigns;
use super::claims::{self, Claimed};
use super::moves;
use crate::domain::state::State;

/// Most bundles in one transaction.
const BATCH: i64 = 16;
/// Why a message is ambiguous that was pending in a restored ledger.
pub(crate) const REASON: &str =
    "the ledger was restored from a backup and it may have been sent since then";

/// A campaign that may have been sent further than its restored ledger knows.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(crate) struct InDoubt {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) workspace_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(crate) id: Uuid,
}

/// Notes of all campaigns with somebody left to send to, or to be handed over, that they are in
/// doubt. Waits for hand-overs that have written their counts; others see it.
pub(crate) fn doubt_campaigns(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> QueryResult<Vec<InDoubt>> {
    sql_query(
        "UPDATE campaigns SET restored_at = coalesce(restored_at, $1)
         WHERE state <> 'cancelled' AND (pending > 0 OR NOT complete)
         RETURNING workspace_id, id",
    )
    .bind::<Timestamptz, _>(now)
    .load(conn)
}

/// Makes some of a campaign's pending messages ambiguous, whoever holds them; answers how many, or
/// none when nothing is left of it.
pub(crate) fn doubt_some(
    conn: &mut PgConnection,
    campaign: InDoubt,
    now: DateTime<Utc>,
) -> QueryResult<Option<usize>> {
    let (workspace, id) = (campaign.workspace_id.into(), campaign.id.into());
    let Some(campaign) = campaigns::lock(conn, workspace, id)? else {
        return Ok(None);
    };
    let lease = Lease::brief(now);
    let taken: Vec<Bundle> = fixed::<Columns>(
        "WITH taken AS (
             SELECT workspace_id, id FROM bundles
             WHERE workspace_id = $3 AND campaign_id = $4
             ORDER BY id LIMIT $5 FOR UPDATE
         )
         UPDATE bundles AS b SET lease = $1, due_at = $2
         FROM taken WHERE b.workspace_id = taken.workspace_id AND b.id = taken.id
         RETURNING b.workspace_id, b.id, b.campaign_id, b.members, b.begun::text",
    )
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<SqlUuid, _>(campaign.workspace_id.0)
    .bind::<SqlUuid, _>(campaign.id.0)
    .bind::<Int8, _>(BATCH)
    .load(conn)?;
    let waiting = claims::members(conn, &taken, lease.token, Some(&campaign))?;
    doubt(conn, &taken, waiting, lease, now)
}

/// The same with messages without a campaign that were written down before `held_at`. What was
/// asked for later was not sent by anybody.
pub(crate) fn doubt_singles(
    conn: &mut PgConnection,
    held_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Option<usize>> {
    let lease = Lease::brief(now);
    let taken: Vec<Bundle> = fixed::<Columns>(
        "WITH taken AS (
             SELECT b.workspace_id, b.id FROM bundles AS b
             JOIN messages AS m ON m.workspace_id = b.workspace_id AND m.id = b.members[1]
             WHERE b.campaign_id IS NULL AND m.created_at < $3
             ORDER BY b.id LIMIT $4 FOR UPDATE OF b
         )
         UPDATE bundles AS b SET lease = $1, due_at = $2
         FROM taken WHERE b.workspace_id = taken.workspace_id AND b.id = taken.id
         RETURNING b.workspace_id, b.id, b.campaign_id, b.members, b.begun::text",
    )
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Timestamptz, _>(lease.until)
    .bind::<Timestamptz, _>(held_at)
    .bind::<Int8, _>(BATCH)
    .load(conn)?;
    let waiting = claims::members(conn, &taken, lease.token, None)?;
    doubt(conn, &taken, waiting, lease, now)
}

fn doubt(
    conn: &mut PgConnection,
    taken: &[Bundle],
    waiting: Vec<Claimed>,
    lease: Lease,
    now: DateTime<Utc>,
) -> QueryResult<Option<usize>> {
    if taken.is_empty() {
        return Ok(None);
    }
    let ambiguous = (State::Ambiguous, REASON);
    moves::settle_all(conn, taken, waiting, ambiguous, lease, now).map(Some)
}
