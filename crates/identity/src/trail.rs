//! Takes what every service noted about changes over into the audit trail.

use std::sync::Arc;
use std::time::Duration;

use chassis::audit::{self, Entry, Taken};
use chassis::client::{Peer, PeerError};
use common::auth::Service;
use serde_json::json;

use crate::error::Error;
use crate::state::State;
use crate::store::audit_log;

/// How long a change may take to show in the trail, more or less.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A service that is away is asked less often.
const AWAY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum TrailError {
    #[error(transparent)]
    Ours(#[from] Error),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// Takes over what this service itself noted, until it stops.
pub(crate) async fn follow_own(state: State) {
    loop {
        let taken = state
            .host
            .db
            .transaction(|conn| {
                let entries = audit::waiting(conn)?;
                audit_log::append(conn, Service::Identity, &entries)?;
                let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
                Ok::<_, Error>(audit::taken(conn, &ids)?)
            })
            .await;
        let pause = match taken {
            Ok(0) => LOOK_EVERY,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(%error, "the audit trail stands still for now");
                AWAY
            }
        };
        tokio::select! {
            () = state.host.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The same for another service. Each entry is in the trail before it is forgotten there, and one
/// that comes twice is there once.
pub(crate) async fn follow(state: State, peer: Arc<Peer>) {
    let mut away = false;
    loop {
        let pause = match step(&state, &peer).await {
            Ok(0) => LOOK_EVERY,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                if !away {
                    let service = peer.service.as_str();
                    tracing::warn!(%error, service, "its part of the audit trail is late");
                }
                AWAY
            }
        };
        away = pause == AWAY;
        tokio::select! {
            () = state.host.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn step(state: &State, peer: &Peer) -> Result<usize, TrailError> {
    let entries: Vec<Entry> = peer.get("/internal/audit", &json!({})).await?;
    if entries.is_empty() {
        return Ok(0);
    }
    let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    let service = peer.service;
    state
        .host
        .db
        .transaction(move |conn| Ok::<_, Error>(audit_log::append(conn, service, &entries)?))
        .await?;
    let count = ids.len();
    let _: usize = peer.post("/internal/audit/taken", &Taken { ids }).await?;
    Ok(count)
}
