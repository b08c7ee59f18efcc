//! Events in: bounces suppress, human opens and clicks are counted.

use std::sync::Arc;

use chassis::Host;
use chassis::client::Peer;
use chassis::feed::{Consumer, payload};
use common::events::{AddressBounced, EngagementRecorded, Envelope, Event as _, MessagesSettled};
use common::values::EmailAddress;
use diesel::{PgConnection, QueryResult};

use crate::store::{leads, suppressions};

/// Follows notifications: an address that does not exist is not written to again.
pub(crate) fn bounces(host: &Host, notifications: Arc<Peer>) -> Consumer {
    let clock = host.clock.clone();
    Consumer::new(host, notifications, move |conn, event| {
        bounced(conn, event, clock.now())
    })
    .passing_over(&[MessagesSettled::KIND])
}

fn bounced(
    conn: &mut PgConnection,
    event: &Envelope,
    now: chrono::DateTime<chrono::Utc>,
) -> QueryResult<()> {
    let Some(bounce) = payload::<AddressBounced>(event) else {
        return Ok(());
    };
    match EmailAddress::parse(&bounce.address) {
        Ok(address) => {
            suppressions::add(conn, event.workspaceid, &address, "hard_bounce", now)?;
        }
        Err(why) => {
            tracing::warn!(event.id = %event.id, %why, "a bounce of what is no address passed over");
        }
    }
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
