//! Events in: bounces and complaints suppress, human opens and clicks are counted.

use std::sync::Arc;

use chassis::Host;
use chassis::client::Peer;
use chassis::feed::{Consumer, payload};
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use common::events::{
    AddressBounced, AddressComplained, EngagementRecorded, Envelope, Event as _, MessageDeclined,
    MessagesSettled,
};
use common::token::MailToken;
use common::values::EmailAddress;
use diesel::{PgConnection, QueryResult};

use crate::api::unsubscribe::{WORDING, unsubscribe};
use crate::store::{leads, suppressions};

/// Follows notifications: an address that does not exist, or whose owner called a mail spam, is not
/// written to again.
pub(crate) fn bounces(host: &Host, notifications: Arc<Peer>) -> Consumer {
    let clock = host.clock.clone();
    Consumer::new(host, notifications, move |conn, event| {
        bounced(conn, event, clock.now())
    })
    .passing_over(&[MessagesSettled::KIND])
}

fn bounced(conn: &mut PgConnection, event: &Envelope, now: DateTime<Utc>) -> QueryResult<()> {
    if let Some(declined) = payload::<MessageDeclined>(event) {
        return leave(conn, event.workspaceid, &declined);
    }
    let bounce = payload::<AddressBounced>(event).map(|told| (told.address, "hard_bounce"));
    let complaint = payload::<AddressComplained>(event).map(|told| (told.address, "complaint"));
    let Some((address, reason)) = bounce.or(complaint) else {
        return Ok(());
    };
    match EmailAddress::parse(&address) {
        Ok(address) => {
            suppressions::add(conn, event.workspaceid, &address, reason, now)?;
        }
        Err(why) => {
            tracing::warn!(event.id = %event.id, %why, "a bounce of what is no address passed over");
        }
    }
    Ok(())
}

/// Somebody wrote to the address in a mail that unsubscribes, as RFC 2369 has it.
fn leave(
    conn: &mut PgConnection,
    workspace_id: WorkspaceId,
    declined: &MessageDeclined,
) -> QueryResult<()> {
    let mail = MailToken {
        workspace_id,
        campaign_id: declined.campaign_id,
        lead_id: Some(declined.lead_id),
        message_id: declined.message_id,
        issued_at: declined.at,
        link: 0,
        url: String::new(),
    };
    // Somebody who is gone gets no mail anyway.
    unsubscribe(
        conn,
        &mail,
        declined.lead_id,
        ("mail", WORDING),
        declined.at,
    )?;
    Ok(())
}

/// Follows analytics: people's opens and clicks, which rules can ask for.
pub(crate) fn engagement(host: &Host, analytics: Arc<Peer>) -> Consumer {
    Consumer::new(host, analytics, |conn, event| {
        if let Some(recorded) = payload::<EngagementRecorded>(event) {
            leads::react(conn, event.workspaceid, &recorded.items)?;
        }
        Ok(())
    })
}
