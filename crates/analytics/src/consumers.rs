//! Events of other services that are events here too.

use chassis::Host;
use chassis::feed::{self, Consumer};
use common::auth::Service;
use common::events::{Envelope, LeadUnsubscribed};
use diesel::{PgConnection, QueryResult};
use url::Url;

use crate::domain::event::{Event, UNSUBSCRIBE};
use crate::store;

/// Reads leads' feed for unsubscribes.
pub fn leads(host: &Host, url: Url) -> Consumer {
    let clock = host.clock.clone();
    let effect = move |conn: &mut PgConnection, envelope: &Envelope| match feed::payload::<
        LeadUnsubscribed,
    >(envelope)
    {
        Some(fact) => record(conn, envelope, &fact, clock.now()),
        None => Ok(()),
    };
    Consumer::new(host, host.peer(Service::Leads, url), effect)
}

/// An unsubscribe is an event of the campaign whose mail led to it. The feed gives each once.
fn record(
    conn: &mut PgConnection,
    envelope: &Envelope,
    fact: &LeadUnsubscribed,
    now: chrono::DateTime<chrono::Utc>,
) -> QueryResult<()> {
    let mut event = Event::new(envelope.workspaceid, UNSUBSCRIBE, now);
    event.id = envelope.id.into();
    event.occurred_at = fact.at;
    event.campaign_id = fact.campaign_id;
    event.lead_id = Some(fact.lead_id);
    event.message_id = fact.message_id;
    store::events::copy(conn, vec![&event])
}
