//! Events in: notifications says when a campaign has no pending message left.

use std::sync::Arc;

use chassis::{feed, outbox};
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use common::events::{CampaignFinished, CampaignSettled};
use diesel::prelude::*;

use crate::State;
use crate::domain::campaign::Step;
use crate::store::campaigns;

/// Finishes campaigns that are settled.
pub(crate) fn settled(state: &State) -> feed::Consumer {
    let clock = state.host.clock.clone();
    let producer = Arc::clone(&state.peers.notifications);
    feed::Consumer::new(
        &state.host,
        producer,
        move |conn, event| match feed::payload::<CampaignSettled>(event) {
            Some(settled) => finish(conn, event.workspaceid, settled, clock.now()),
            None => Ok(()),
        },
    )
}

fn finish(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    CampaignSettled { campaign_id }: CampaignSettled,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let Some(campaign) = campaigns::lock(conn, workspace, campaign_id)? else {
        return Ok(());
    };
    // A cancelled campaign settles too, and a retry settles a finished one again.
    let Ok(finished) = campaign.moved(Step::Finish, now) else {
        return Ok(());
    };
    campaigns::update(conn, &finished)?;
    outbox::push(conn, workspace, &CampaignFinished { campaign_id })
}
