//! Outgoing webhooks (Standard Webhooks 1.0.0): events become deliveries in the transaction that
//! takes them in, and workers post those until they are taken.

mod meters;
mod post;
mod poster;
mod settings;

use std::sync::Arc;

use chassis::outbound::Guard;
use chrono::{DateTime, Utc};
use common::events::{Envelope, Event, LeadDeleted};
use diesel::{PgConnection, QueryResult};
use tokio::sync::Notify;

pub(crate) use poster::Poster;
pub(crate) use settings::Settings;

use crate::store::{webhook_deliveries, webhooks};

/// What handlers and workers share.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    pub(crate) guard: Guard,
    settings: Settings,
    /// Rung when there is something new to post.
    pub(crate) wake: Arc<Notify>,
}

impl Outlet {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            guard: Guard::new(settings.rules),
            settings,
            wake: Arc::default(),
        }
    }
}

/// Makes a delivery of `event` for each webhook of its workspace that wants it.
pub(crate) fn fan_out(
    conn: &mut PgConnection,
    event: &Envelope,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let wanting = webhooks::wanting(conn, event.workspaceid, &event.kind)?;
    if wanting.is_empty() {
        return Ok(());
    }
    webhook_deliveries::add(conn, &outside(event), &wanting, now)?;
    Ok(())
}

/// The event as others see it: which request of ours caused it is our business, and somebody who
/// was erased is told of by id only.
fn outside(event: &Envelope) -> Envelope {
    let mut outside = Envelope {
        traceparent: None,
        ..event.clone()
    };
    if outside.kind == LeadDeleted::KIND
        && let Some(data) = outside.data.as_object_mut()
    {
        data.remove("email");
    }
    outside
}
