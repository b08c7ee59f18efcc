//! Campaigns as delivery sees them, with their counts.

use chassis::sql::fixed;
use chrono::{DateTime, Utc};
use common::dto::dispatch::{AmbiguousPolicy, Outcome, Settlement};
use common::events::CampaignSettled;
use common::ids::{CampaignId, WorkspaceId};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int8, Uuid as SqlUuid};
use uuid::Uuid;

use crate::schema::campaigns;

/// A row, as far as others read it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = campaigns)]
pub(crate) struct Campaign {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: CampaignId,
    pub(crate) snapshot_id: Uuid,
    pub(crate) state: String,
    pub(crate) ambiguous_policy: String,
    pub(crate) complete: bool,
    pub(crate) settled_at: Option<DateTime<Utc>>,
    pub(crate) pending: i64,
    pub(crate) accepted: i64,
    pub(crate) rejected: i64,
    pub(crate) suppressed: i64,
    pub(crate) skipped: i64,
    pub(crate) ambiguous: i64,
    pub(crate) created_at: DateTime<Utc>,
    /// Since when nobody knows who of it was mailed.
    pub(crate) restored_at: Option<DateTime<Utc>>,
}

impl Campaign {
    pub(crate) fn settlement(&self) -> Settlement {
        let mut settlement = Settlement {
            audience: 0,
            accepted: self.accepted,
            rejected: self.rejected,
            suppressed: self.suppressed,
            skipped: self.skipped,
            ambiguous: self.ambiguous,
            pending: self.pending,
            settled: self.complete && self.pending == 0,
        };
        settlement.audience = settlement.sum();
        settlement
    }

    pub(crate) fn policy(&self) -> AmbiguousPolicy {
        policy(&self.ambiguous_policy)
    }
}

pub(crate) fn policy(text: &str) -> AmbiguousPolicy {
    match text {
        "resend" => AmbiguousPolicy::Resend,
        _ => AmbiguousPolicy::Hold,
    }
}

fn policy_text(policy: AmbiguousPolicy) -> &'static str {
    match policy {
        AmbiguousPolicy::Hold => "hold",
        AmbiguousPolicy::Resend => "resend",
    }
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
) -> QueryResult<Option<Campaign>> {
    let row = campaigns::table.find((workspace.0, id.0));
    row.select(Campaign::as_select()).first(conn).optional()
}

/// The campaign, held against other writers until this transaction ends. Taken before its bundles
/// and messages, and several in the order of their keys, so that nobody waits in a circle.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
) -> QueryResult<Option<Campaign>> {
    let row = campaigns::table.find((workspace.0, id.0));
    row.select(Campaign::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Holds these campaigns, given in the order of their keys, as [`lock`] does.
pub(crate) fn lock_several(conn: &mut PgConnection, keys: &[(Uuid, Uuid)]) -> QueryResult<()> {
    let (workspaces, ids): (Vec<_>, Vec<_>) = keys.iter().copied().unzip();
    fixed::<()>(
        "SELECT FROM campaigns
         WHERE (workspace_id, id) IN (SELECT * FROM unnest($1, $2))
         ORDER BY workspace_id, id FOR NO KEY UPDATE",
    )
    .bind::<Array<SqlUuid>, _>(workspaces)
    .bind::<Array<SqlUuid>, _>(ids)
    .execute(conn)
    .map(drop)
}

/// Makes the campaign known; one that is known already stays as it is.
pub(crate) fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
    snapshot: Uuid,
    ambiguous: AmbiguousPolicy,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let added = diesel::insert_into(campaigns::table)
        .values((
            campaigns::workspace_id.eq(workspace.0),
            campaigns::id.eq(id.0),
            campaigns::snapshot_id.eq(snapshot),
            campaigns::ambiguous_policy.eq(policy_text(ambiguous)),
            campaigns::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

/// Gives a campaign that nobody was handed over to yet another content.
pub(crate) fn replace_snapshot(
    conn: &mut PgConnection,
    campaign: &Campaign,
    snapshot: Uuid,
    ambiguous: AmbiguousPolicy,
) -> QueryResult<()> {
    diesel::update(campaigns::table.find((campaign.workspace_id.0, campaign.id.0)))
        .set((
            campaigns::snapshot_id.eq(snapshot),
            campaigns::ambiguous_policy.eq(policy_text(ambiguous)),
        ))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn set_state(
    conn: &mut PgConnection,
    campaign: &Campaign,
    state: &str,
) -> QueryResult<()> {
    diesel::update(campaigns::table.find((campaign.workspace_id.0, campaign.id.0)))
        .set(campaigns::state.eq(state))
        .execute(conn)?;
    Ok(())
}

/// Everybody was handed over; settles the campaign when nobody is left to send to.
pub(crate) fn complete(
    conn: &mut PgConnection,
    campaign: &Campaign,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (workspace, id) = (campaign.workspace_id.0, campaign.id.0);
    let changed: Campaign = diesel::update(campaigns::table.find((workspace, id)))
        .set(campaigns::complete.eq(true))
        .returning(Campaign::as_returning())
        .get_result(conn)?;
    if changed.pending == 0 && changed.settled_at.is_none() {
        settle(conn, workspace, id, now)?;
    }
    Ok(())
}

/// Those with messages to send or to skip, in the order of their ids.
pub(crate) fn open(conn: &mut PgConnection, state: &str) -> QueryResult<Vec<Campaign>> {
    campaigns::table
        .filter(campaigns::settled_at.is_null())
        .filter(campaigns::state.eq(state))
        .filter(campaigns::pending.gt(0))
        .order((campaigns::workspace_id, campaigns::id))
        .select(Campaign::as_select())
        .load(conn)
}

/// How the counts of one campaign change, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally([i64; 6]);

impl Tally {
    /// One message goes from one outcome to another.
    pub(crate) fn moved(&mut self, from: Outcome, to: Outcome) {
        self.add(from, -1);
        self.add(to, 1);
    }

    pub(crate) fn add(&mut self, outcome: Outcome, count: i64) {
        self.0[outcome as usize] += count;
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0 == [0; 6]
    }
}

/// Changes a campaign's counts, in the transaction that moved its messages, and settles it when
/// that was the last one. A campaign that had been settled is open again when messages are added.
pub(crate) fn count(
    conn: &mut PgConnection,
    workspace: Uuid,
    id: Uuid,
    tally: Tally,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let [pending, accepted, rejected, suppressed, skipped, ambiguous] = tally.0;
    let (complete, pending, settled): Standing = fixed::<(Bool, Int8, Bool)>(
        "UPDATE campaigns SET
             pending = pending + $3,
             accepted = accepted + $4,
             rejected = rejected + $5,
             suppressed = suppressed + $6,
             skipped = skipped + $7,
             ambiguous = ambiguous + $8,
             settled_at = CASE WHEN pending + $3 = 0 THEN settled_at END
         WHERE workspace_id = $1 AND id = $2
         RETURNING complete, pending, settled_at IS NOT NULL",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(id)
    .bind::<Int8, _>(pending)
    .bind::<Int8, _>(accepted)
    .bind::<Int8, _>(rejected)
    .bind::<Int8, _>(suppressed)
    .bind::<Int8, _>(skipped)
    .bind::<Int8, _>(ambiguous)
    .get_result(conn)?;
    if complete && pending == 0 && !settled {
        settle(conn, workspace, id, now)?;
    }
    Ok(())
}

/// Whether everybody was handed over, how many wait, and whether it is settled.
type Standing = (bool, i64, bool);

/// Nobody is left to wait for.
pub(crate) fn settle(
    conn: &mut PgConnection,
    workspace: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(campaigns::table.find((workspace, id)))
        .set(campaigns::settled_at.eq(now))
        .execute(conn)?;
    let event = CampaignSettled {
        campaign_id: id.into(),
    };
    chassis::outbox::push(conn, workspace.into(), &event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_changes_no_sum() {
        let mut tally = Tally::default();
        tally.moved(Outcome::Pending, Outcome::Accepted);
        tally.moved(Outcome::Pending, Outcome::Ambiguous);
        assert_eq!(tally.0, [-2, 1, 0, 0, 0, 1]);
        assert_eq!(tally.0.iter().sum::<i64>(), 0);
        tally.moved(Outcome::Accepted, Outcome::Accepted);
        assert_eq!(tally.0[1], 1);
    }
}
