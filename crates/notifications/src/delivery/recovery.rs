//! What is done now and then: leases renewed, lost ones resolved, cancelled campaigns emptied.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::Unavailable;
use chrono::{DateTime, Utc};
use common::dto::dispatch::Outcome;
use diesel::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Delivery;
use super::hand::InHand;
use crate::domain::state::State;
use crate::store::bundles::{self, Bundle, End, Lease};
use crate::store::campaigns::Campaign;
use crate::store::claims::{self, Claimed};
use crate::store::moves::{self, Move};
use crate::store::{campaigns, messages};

const EVERY: Duration = Duration::from_millis(500);
/// Most bundles resolved or skipped in one transaction.
const BATCH: i64 = 8;

#[derive(Debug, thiserror::Error)]
enum RecoveryError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// Looks after the ledger until `stop`. Every replica does; what one has taken the others skip.
pub(super) async fn run(delivery: Delivery, hand: Arc<InHand>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match round(&delivery, &hand).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the ledger cannot be looked after at the moment"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// True when there may be more to do at once.
async fn round(delivery: &Delivery, hand: &InHand) -> Result<bool, RecoveryError> {
    renew(delivery, hand).await?;
    let now = delivery.clock.now();
    let partitions = Arc::clone(&delivery.partitions);
    let (abandoned, cancelled, waiting) = delivery
        .db
        .run(move |conn| {
            partitions.ensure_ahead(conn, now)?;
            let abandoned = bundles::abandoned(conn, now)?;
            let cancelled = campaigns::open(conn, "cancelled")?;
            Ok::<_, RecoveryError>((abandoned, cancelled, messages::waiting(conn)?))
        })
        .await?;
    delivery.meters.waiting(waiting);
    let mut more = false;
    for key in abandoned {
        let taken = move |conn: &mut _| resolve_abandoned(conn, key, now);
        more |= settled(delivery, delivery.db.transaction(taken).await?);
    }
    for campaign in cancelled {
        let emptied = move |conn: &mut _| empty_cancelled(conn, &campaign, now);
        more |= settled(delivery, delivery.db.transaction(emptied).await?);
    }
    Ok(more)
}

/// What a transaction did: how many bundles it went through, and the outcomes.
struct Resolved {
    bundles: usize,
    outcomes: Vec<Outcome>,
}

/// Counts outcomes; true when there may be more bundles.
fn settled(delivery: &Delivery, resolved: Resolved) -> bool {
    for outcome in resolved.outcomes {
        if outcome != Outcome::Pending {
            delivery.meters.settled(outcome);
        }
    }
    if resolved.bundles > 0 {
        delivery.wake.ring();
    }
    i64::try_from(resolved.bundles).is_ok_and(|count| count >= BATCH)
}

/// Extends the leases of what is in hand for long, well before they end.
async fn renew(delivery: &Delivery, hand: &InHand) -> Result<(), RecoveryError> {
    let lease = delivery.sending.lease;
    let now = delivery.clock.now();
    let ending = hand.ending(now + lease * 2 / 3);
    if ending.is_empty() {
        return Ok(());
    }
    let asked = ending.clone();
    let renewed = delivery
        .db
        .run(move |conn| Ok::<_, RecoveryError>(bundles::renew(conn, &asked, now + lease)?))
        .await?;
    if renewed.len() < ending.len() {
        let lost = ending.len() - renewed.len();
        tracing::warn!(lost, "leases were lost; their messages are left alone");
    }
    hand.renewed(&ending, &renewed, now + lease);
    Ok(())
}

/// Decides about messages whose worker is gone: what it had not begun was not sent and waits
/// again; what it had begun is ambiguous, or waits again where the policy says so.
fn resolve_abandoned(
    conn: &mut PgConnection,
    (workspace, campaign): (Uuid, Option<Uuid>),
    now: DateTime<Utc>,
) -> Result<Resolved, RecoveryError> {
    let campaign = match campaign {
        Some(id) => campaigns::lock(conn, workspace.into(), id.into())?,
        None => None,
    };
    let key = (workspace, campaign.as_ref().map(|campaign| campaign.id.0));
    let lease = Lease::brief(now);
    let taken = bundles::claim_abandoned(conn, key, lease, now, BATCH)?;
    let waiting = claims::members(conn, &taken, lease.token, campaign.as_ref())?;
    let begun: HashMap<_, _> = taken.iter().map(|b| (b.id, b.begun())).collect();
    let had_begun = |message: &&Claimed| {
        let begun = begun.get(&message.of.bundle);
        begun.is_some_and(|begun| begun.has(message.of.place))
    };
    let steps: Vec<Move> = waiting
        .iter()
        .filter(had_begun)
        .map(|message| after_lost_lease(message, now))
        .collect();
    moves::write(conn, &steps.iter().collect::<Vec<_>>(), now)?;
    give_back(conn, &taken, lease, now)?;
    if !taken.is_empty() {
        let (bundles, begun) = (taken.len(), steps.len());
        tracing::warn!(
            bundles,
            begun,
            "leases ran out and their messages were resolved"
        );
    }
    Ok(Resolved {
        bundles: taken.len(),
        outcomes: steps.iter().map(|step| step.to.outcome()).collect(),
    })
}

fn after_lost_lease(message: &Claimed, now: DateTime<Utc>) -> Move {
    match State::Sending.after_lost_lease(message.policy) {
        State::Pending => Move {
            counted: true,
            ..Move::put_off(message.of, now)
        },
        state => Move {
            counted: true,
            ..Move::settle(
                message.of,
                state,
                Some("its worker ended while sending it".into()),
            )
        },
    }
}

/// For the one transaction that decides.
/// What is left of these bundles is due now. A bundle that nobody is left in ends when it is
/// claimed.
fn give_back(
    conn: &mut PgConnection,
    taken: &[Bundle],
    lease: Lease,
    now: DateTime<Utc>,
) -> Result<(), RecoveryError> {
    let ends: Vec<_> = taken
        .iter()
        .map(|bundle| End {
            workspace_id: bundle.workspace_id,
            id: bundle.id,
            lease: lease.token,
            due_at: Some(now),
        })
        .collect();
    Ok(bundles::end(conn, &ends)?)
}

/// Skips what waits in a cancelled campaign.
fn empty_cancelled(
    conn: &mut PgConnection,
    campaign: &Campaign,
    now: DateTime<Utc>,
) -> Result<Resolved, RecoveryError> {
    let key = (campaign.workspace_id.0, campaign.id.0);
    campaigns::lock(conn, campaign.workspace_id, campaign.id)?;
    let lease = Lease::brief(now);
    let taken = bundles::claim_any(conn, key, lease, BATCH)?;
    let waiting = claims::members(conn, &taken, lease.token, Some(campaign))?;
    let skipped = (State::Skipped, "cancelled");
    let count = moves::settle_all(conn, &taken, waiting, skipped, lease, now)?;
    Ok(Resolved {
        bundles: taken.len(),
        outcomes: vec![State::Skipped.outcome(); count],
    })
}
