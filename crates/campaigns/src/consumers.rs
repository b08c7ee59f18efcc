//! Events in: notifications says when a campaign has no pending message left, and when no mail
//! server takes anything of it.

use std::sync::Arc;

use chassis::{feed, outbox};
use chrono::{DateTime, Utc};
use common::events::{
    CampaignFinished, CampaignHeld, CampaignReleased, CampaignSettled, Event as _, MessagesSettled,
};
use common::{CampaignId, WorkspaceId};
use diesel::prelude::*;

use crate::State;
use crate::domain::campaign::{Campaign, Held, Status, Step};
use crate::store::campaigns;

/// Finishes campaigns that are settled, and notes which are held.
pub(crate) fn settled(state: &State) -> feed::Consumer {
    let clock = state.host.clock.clone();
    let producer = Arc::clone(&state.peers.notifications);
    feed::Consumer::new(&state.host, producer, move |conn, event| {
        let workspace = event.workspaceid;
        if let Some(settled) = feed::payload::<CampaignSettled>(event) {
            return finish(conn, workspace, settled, clock.now());
        }
        if let Some(CampaignHeld {
            campaign_id,
            reason,
            since,
        }) = feed::payload(event)
        {
            return hold(conn, workspace, campaign_id, Some(Held { reason, since }));
        }
        match feed::payload::<CampaignReleased>(event) {
            Some(released) => hold(conn, workspace, released.campaign_id, None),
            None => Ok(()),
        }
    })
    .passing_over(&[MessagesSettled::KIND])
}

/// Notes why no mail server takes anything of a campaign, or that one does again.
fn hold(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: CampaignId,
    held: Option<Held>,
) -> QueryResult<()> {
    let Some(campaign) = campaigns::lock(conn, workspace, id)? else {
        return Ok(());
    };
    // A pause may have overtaken the news.
    let held = held.filter(|_| campaign.status == Status::Running);
    campaigns::update(conn, &Campaign { held, ..campaign })
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
