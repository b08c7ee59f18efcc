//! Events of other services that are events here too.

use std::sync::Arc;

use chassis::Host;
use chassis::client::Peer;
use chassis::feed::{self, Consumer};
use common::events::{
    Envelope, LeadCreated, LeadDeleted, LeadSubscribed, LeadUnsubscribed, LeadUpdated,
    LeadsImported,
};
use diesel::{PgConnection, QueryResult};
use serde_json::json;
use tokio::sync::Notify;

use crate::domain::event::{Event, GOAL, RawJson, Said, UNSUBSCRIBE};
use crate::domain::visitor::Visitor;
use crate::store::{self, people};

/// Reads leads' feed: unsubscribes and subscriptions are events here, and new leads may be people who are known by
/// their address. `addresses` rings when some are to be looked up again.
pub fn leads(host: &Host, leads: Arc<Peer>, addresses: Arc<Notify>) -> Consumer {
    let clock = host.clock.clone();
    Consumer::new(host, leads, move |conn, envelope| {
        let workspace = envelope.workspaceid;
        if let Some(fact) = feed::payload::<LeadUnsubscribed>(envelope) {
            record(conn, envelope, &fact, clock.now())?;
        }
        if let Some(fact) = feed::payload::<LeadSubscribed>(envelope) {
            reach(conn, envelope, &fact, clock.now())?;
        }
        let created = feed::payload::<LeadCreated>(envelope).map(|fact| (fact.email, fact.lead_id));
        let updated = feed::payload::<LeadUpdated>(envelope).map(|fact| (fact.email, fact.lead_id));
        if let Some((email, lead)) = created.or(updated) {
            people::found(conn, workspace, &[(email.to_lowercase(), lead)])?;
        }
        if feed::payload::<LeadsImported>(envelope).is_some() {
            people::ask_again(conn, workspace)?;
            addresses.notify_one();
        }
        if let Some(fact) = feed::payload::<LeadDeleted>(envelope) {
            store::erasures::ask(conn, workspace, fact.lead_id, clock.now())?;
            people::forget(conn, workspace, fact.lead_id, &fact.email.to_lowercase())?;
        }
        Ok(())
    })
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
    event.recognise();
    store::events::copy(conn, &[&event])
}

/// What every form of leads is called as a goal; its properties name the form.
const SUBSCRIBED: &str = "Subscribed";

/// A subscription is a goal of the lead, who is the visitor that the page with the form knew.
fn reach(
    conn: &mut PgConnection,
    envelope: &Envelope,
    fact: &LeadSubscribed,
    now: chrono::DateTime<chrono::Utc>,
) -> QueryResult<()> {
    let workspace = envelope.workspaceid;
    let mut event = Event::new(workspace, GOAL, now);
    event.id = envelope.id.into();
    event.occurred_at = fact.at;
    event.lead_id = Some(fact.lead_id);
    event.anonymous_id.clone_from(&fact.anonymous_id);
    event.name = Some(SUBSCRIBED.to_owned());
    let properties = json!({ "form_id": fact.form_id, "form": fact.form });
    event.properties = Some(RawJson(properties.to_string()));
    event.recognise();
    store::events::copy(conn, &[&event])?;
    let anonymous = fact.anonymous_id.as_deref();
    let said = Said::Identified {
        anonymous: anonymous.map(|id| Visitor::anonymous(workspace, id)),
        user: None,
        lead: Some(fact.lead_id),
        email: Some(fact.email.to_lowercase()),
    };
    people::hear(conn, &[(workspace, &said)])?;
    Ok(())
}
