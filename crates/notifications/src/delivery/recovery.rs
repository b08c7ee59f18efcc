//! What is done now and then: leases renewed, lost ones resolved, cancelled campaigns emptied.

use std::sync::Arc;
use std::time::Duration;

use chassis::Unavailable;
use chrono::{DateTime, TimeDelta, Utc};
use common::dto::dispatch::Outcome;
use diesel::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hand::InHand;
use super::{Delivery, LEASE};
use crate::domain::state::State;
use crate::store::campaigns::Campaign;
use crate::store::claims::{self, Lease, Orphan};
use crate::store::moves::{self, Move};
use crate::store::{campaigns, messages};

const EVERY: Duration = Duration::from_millis(500);
/// Most messages resolved or skipped in one transaction.
const BATCH: i64 = 2_000;

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
    // Each in a transaction of its own, so that campaigns are always locked in one order.
    let mut outcomes = delivery
        .db
        .transaction(move |conn| resolve_orphans(conn, now))
        .await?;
    let cancelled = delivery
        .db
        .run(move |conn| Ok::<_, RecoveryError>(campaigns::open(conn, "cancelled")?))
        .await?;
    for campaign in cancelled {
        outcomes.extend(
            delivery
                .db
                .transaction(move |conn| empty_cancelled(conn, &campaign, now))
                .await?,
        );
    }
    let waiting = delivery
        .db
        .run(|conn| Ok::<_, RecoveryError>(messages::waiting(conn)?))
        .await?;
    delivery.meters.waiting(waiting);
    for outcome in outcomes
        .iter()
        .filter(|outcome| **outcome != Outcome::Pending)
    {
        delivery.meters.settled(*outcome);
    }
    if !outcomes.is_empty() {
        delivery.wake.notify_one();
    }
    Ok(i64::try_from(outcomes.len()).is_ok_and(|count| count >= BATCH))
}

/// Extends the leases of what is in hand for long, well before they end.
async fn renew(delivery: &Delivery, hand: &InHand) -> Result<(), RecoveryError> {
    let lease = TimeDelta::from_std(LEASE).unwrap_or_default();
    let now = delivery.clock.now();
    let ending = hand.ending(now + lease * 2 / 3);
    if ending.is_empty() {
        return Ok(());
    }
    let asked = ending.clone();
    let renewed = delivery
        .db
        .run(move |conn| Ok::<_, RecoveryError>(claims::renew(conn, &asked, now + lease)?))
        .await?;
    if renewed.len() < ending.len() {
        let lost = ending.len() - renewed.len();
        tracing::warn!(lost, "leases were lost; their messages are left alone");
    }
    hand.renewed(&ending, &renewed, now + lease);
    Ok(())
}

/// Decides about messages whose worker is gone; answers what became of them.
fn resolve_orphans(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Outcome>, RecoveryError> {
    let orphans = claims::orphans(conn, now, BATCH)?;
    if orphans.is_empty() {
        return Ok(Vec::new());
    }
    let steps: Vec<Move> = orphans.iter().map(|orphan| resolved(orphan, now)).collect();
    moves::apply(conn, &steps, now)?;
    tracing::warn!(
        messages = steps.len(),
        "leases ran out and their messages were resolved"
    );
    Ok(steps.iter().map(|step| step.to.outcome()).collect())
}

fn resolved(orphan: &Orphan, now: DateTime<Utc>) -> Move {
    match orphan.state.after_lost_lease(orphan.policy) {
        State::Pending => Move {
            counted: orphan.state == State::Sending,
            ..Move::put_back(orphan.of, now)
        },
        state => Move {
            counted: true,
            ..Move::settle(
                orphan.of,
                state,
                Some("its worker ended while sending it".into()),
            )
        },
    }
}

/// Skips what waits in a cancelled campaign.
fn empty_cancelled(
    conn: &mut PgConnection,
    campaign: &Campaign,
    now: DateTime<Utc>,
) -> Result<Vec<Outcome>, RecoveryError> {
    let until = now + TimeDelta::from_std(LEASE).unwrap_or_default();
    let lease = Lease {
        token: Uuid::now_v7(),
        until,
    };
    let held = claims::of_cancelled(conn, campaign, lease, BATCH)?;
    let skip = |of| Move::settle(of, State::Skipped, Some("cancelled".into()));
    let steps: Vec<Move> = held.into_iter().map(skip).collect();
    moves::apply(conn, &steps, now)?;
    Ok(steps.iter().map(|step| step.to.outcome()).collect())
}
