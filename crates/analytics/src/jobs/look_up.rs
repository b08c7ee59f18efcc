//! Asks leads whose addresses people were identified by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::Host;
use chassis::client::{Peer, PeerError};
use common::WorkspaceId;
use common::dto::people::{LeadsByEmail, LeadsFound};
use tokio::sync::Notify;

use crate::error::Error;
use crate::store::people;

/// How often it looks when nobody rings.
const EVERY: Duration = Duration::from_secs(30);
/// An address without a lead is asked about again after this; new leads are told of before.
const AGAIN_HOURS: i64 = 24;
/// Most addresses of one question.
const AT_ONCE: i64 = 500;

/// Asks until the service stops, whenever `bell` rings.
pub async fn run(host: Host, leads: Arc<Peer>, bell: Arc<Notify>) {
    loop {
        match once(&host, &leads).await {
            Ok(asked) if asked == AT_ONCE as usize => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "leads cannot be asked about addresses at the moment")
            }
        }
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = bell.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    #[error(transparent)]
    Own(#[from] Error),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// One round; answers how many addresses were asked about.
pub async fn once(host: &Host, leads: &Peer) -> Result<usize, LookUpError> {
    let now = host.clock.now();
    let before = now - chrono::Duration::hours(AGAIN_HOURS);
    let waiting = host
        .db
        .run(move |conn| Ok::<_, Error>(people::to_ask(conn, before, AT_ONCE)?))
        .await?;
    let count = waiting.len();
    let mut by_workspace: BTreeMap<WorkspaceId, Vec<String>> = BTreeMap::new();
    for (workspace, email) in waiting {
        by_workspace.entry(workspace).or_default().push(email);
    }
    for (workspace_id, emails) in by_workspace {
        let question = LeadsByEmail {
            workspace_id,
            emails,
        };
        let answer: LeadsFound = leads.post("/internal/leads/by-email", &question).await?;
        let found: Vec<_> = answer
            .items
            .into_iter()
            .map(|found| (found.email.to_lowercase(), found.lead_id))
            .collect();
        host.db
            .transaction(move |conn| {
                people::asked(conn, workspace_id, &question.emails, now)?;
                Ok::<_, Error>(people::found(conn, workspace_id, &found)?)
            })
            .await?;
    }
    Ok(count)
}
