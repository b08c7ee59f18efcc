//! Claims due deliveries, posts them outside of transactions, and writes down how it went.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use chassis::sealing::Vault;
use chassis::{Clock, Db, Host, Unavailable, outbox};
use chrono::{DateTime, TimeDelta, Utc};
use common::events::WebhookDisabled;
use diesel::PgConnection;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Outlet;
use super::meters::Meters;
use super::post::{Client, Outcome};
use crate::domain::webhook;
use crate::store::webhook_deliveries::{self, Attempt, Delivery, Lease};
use crate::store::webhooks::{self, Webhook};

/// How long a claim holds: longer than any attempt. A killed worker's deliveries are posted again
/// after this.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Requests under way in this process …
const AT_ONCE: usize = 64;
/// … and to one webhook, so that one that is slow holds nobody else up.
const AT_ONCE_EACH: i64 = 8;
/// How often the table is looked at when nobody rings.
const POLL: Duration = Duration::from_millis(500);
/// How often old deliveries are deleted.
const PRUNE: TimeDelta = TimeDelta::minutes(10);

#[derive(Debug, thiserror::Error)]
enum PosterError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// Posts what is due. Every replica has one; what one has claimed the others skip.
#[derive(Clone, Debug)]
pub(crate) struct Poster {
    db: Db,
    clock: Clock,
    vault: Vault,
    client: Client,
    keep: TimeDelta,
    meters: Meters,
    wake: Arc<Notify>,
}

impl Poster {
    pub(crate) fn new(host: &Host, outlet: &Outlet, vault: &Vault) -> Self {
        Self {
            db: host.db.clone(),
            clock: host.clock.clone(),
            vault: vault.clone(),
            client: Client::new(outlet.guard.clone(), outlet.settings.timeout),
            keep: outlet.settings.keep,
            meters: Meters::new(&host.metrics),
            wake: Arc::clone(&outlet.wake),
        }
    }

    /// Works until `stop`; then the requests under way end. Dropped instead, it leaves them to
    /// their leases, as a kill would.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut posting = JoinSet::new();
        let mut pruned: Option<DateTime<Utc>> = None;
        while !stop.is_cancelled() {
            while posting.try_join_next().is_some() {}
            if let Err(error) = self.fill(&mut posting).await {
                tracing::warn!(%error, "webhooks cannot be claimed at the moment");
            }
            self.meters.posting(posting.len());
            let now = self.clock.now();
            if pruned.is_none_or(|at| now - at >= PRUNE) {
                pruned = Some(now);
                self.prune(now).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                // Its place is free: there may be more for it.
                Some(_) = posting.join_next() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        while posting.join_next().await.is_some() {}
    }

    /// Claims as many as may be under way, and begins them.
    async fn fill(&self, posting: &mut JoinSet<()>) -> Result<(), PosterError> {
        let free = i64::try_from(AT_ONCE.saturating_sub(posting.len())).unwrap_or(0);
        if free == 0 {
            return Ok(());
        }
        let now = self.clock.now();
        let lease = Lease {
            token: Uuid::now_v7(),
            until: now + LEASE,
        };
        let claimed = self
            .db
            .run(move |conn| {
                if !webhook_deliveries::is_due(conn, now)? {
                    return Ok(Vec::new());
                }
                let claimed = webhook_deliveries::claim(conn, lease, now, AT_ONCE_EACH, free)?;
                Ok::<_, PosterError>(claimed)
            })
            .await?;
        for delivery in claimed {
            let poster = self.clone();
            posting.spawn(async move { poster.deliver(delivery, lease.token).await });
        }
        Ok(())
    }

    async fn deliver(self, delivery: Delivery, lease: Uuid) {
        if let Err(error) = self.attempt(&delivery, lease).await {
            // Its lease runs out, and it is posted again.
            tracing::warn!(%error, delivery.id = %delivery.id, "a delivery could not be written down");
        }
    }

    async fn attempt(&self, delivery: &Delivery, lease: Uuid) -> Result<(), PosterError> {
        let (workspace, id) = (delivery.workspace_id, delivery.webhook_id);
        let found = self
            .db
            .run(move |conn| Ok::<_, PosterError>(webhooks::find(conn, workspace, id)?))
            .await?;
        // Deleted meanwhile, and its deliveries with it.
        let Some(webhook) = found else { return Ok(()) };
        let now = self.clock.now();
        let outcome = match webhook.secrets(&self.vault, now) {
            Ok(secrets) => self.client.post(&webhook, delivery, &secrets, now).await,
            Err(unreadable) => Outcome::unsent(format!("its secret cannot be read: {unreadable}")),
        };
        self.settle(delivery, lease, outcome).await
    }

    async fn settle(
        &self,
        delivery: &Delivery,
        lease: Uuid,
        outcome: Outcome,
    ) -> Result<(), PosterError> {
        let now = self.clock.now();
        let attempt = judged(delivery, &outcome, now, chance());
        let (state, delivery) = (attempt.state, delivery.clone());
        let (recorded, disabled) = self
            .db
            .transaction(move |conn| written(conn, &delivery, lease, &attempt, &outcome, now))
            .await?;
        if recorded {
            self.meters.attempted(state);
        }
        if let Some(webhook) = disabled {
            self.meters.disabled();
            tracing::warn!(
                webhook.id = %webhook.id, workspace.id = %webhook.workspace_id,
                reason = webhook.disabled_reason, "a webhook was disabled"
            );
        }
        Ok(())
    }

    async fn prune(&self, now: DateTime<Utc>) {
        let before = now - self.keep;
        let pruned = self
            .db
            .run(move |conn| Ok::<_, PosterError>(webhook_deliveries::prune(conn, before)?))
            .await;
        match pruned {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old deliveries pruned"),
            Err(error) => {
                tracing::warn!(%error, "old deliveries cannot be pruned at the moment");
            }
        }
    }
}

/// What an attempt makes of a delivery.
fn judged(delivery: &Delivery, outcome: &Outcome, now: DateTime<Utc>, chance: f64) -> Attempt {
    let attempts = delivery.attempts + 1;
    let pause = webhook::pause(attempts, chance).filter(|_| !outcome.is_gone());
    let (state, next_at) = match (outcome.is_success(), pause) {
        (true, _) => ("delivered", now),
        (false, Some(pause)) => ("pending", now + pause),
        (false, None) => ("failed", now),
    };
    Attempt {
        state,
        attempts,
        next_at,
        lease: None,
        lease_until: None,
        attempted_at: Some(now),
        status: outcome.status.map(|status| status.as_u16().into()),
        answer: outcome.answer.clone(),
        problem: outcome.problem.clone(),
        took_ms: i64::try_from(outcome.took.as_millis()).ok(),
    }
}

/// Writes an attempt down, the webhook first, as everybody locks them. Answers whether the lease
/// still held, and the webhook if this disabled it.
fn written(
    conn: &mut PgConnection,
    delivery: &Delivery,
    lease: Uuid,
    attempt: &Attempt,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(bool, Option<Webhook>), PosterError> {
    let (workspace, id) = (delivery.workspace_id, delivery.webhook_id);
    let locked = match outcome.is_success() {
        true => {
            webhooks::succeeded(conn, workspace, id)?;
            None
        }
        false => webhooks::lock(conn, workspace, id)?,
    };
    let recorded = webhook_deliveries::record(conn, workspace, delivery.id, lease, attempt)?;
    let Some(mut webhook) = locked.filter(|webhook| recorded && webhook.enabled) else {
        return Ok((recorded, None));
    };
    let failing_since = *webhook.failing_since.get_or_insert(now);
    let reason = match outcome.is_gone() {
        true => Some("it answered 410 Gone"),
        false if webhook::is_given_up(failing_since, now) => Some("it failed for five days"),
        false => None,
    };
    match reason {
        None => {
            webhooks::update(conn, &webhook)?;
            Ok((recorded, None))
        }
        Some(reason) => Ok((recorded, Some(disable(conn, webhook, reason, now)?))),
    }
}

/// Disables a webhook because of its answers, and tells so.
fn disable(
    conn: &mut PgConnection,
    mut webhook: Webhook,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Webhook, PosterError> {
    webhook.enabled = false;
    webhook.disabled_reason = Some(reason.to_owned());
    webhook.version += 1;
    webhook.updated_at = now;
    webhooks::update(conn, &webhook)?;
    webhook_deliveries::fail_waiting(conn, webhook.workspace_id, webhook.id)?;
    let told = WebhookDisabled {
        webhook_id: webhook.id,
        url: webhook.url.clone(),
        reason: reason.to_owned(),
        at: now,
    };
    outbox::push(conn, webhook.workspace_id, &told)?;
    Ok(webhook)
}

/// A number from 0 to 1; without random numbers everything is simply tried at the same time.
fn chance() -> f64 {
    let mut bytes = [0; 2];
    rand::fill(&mut bytes).map_or(0.0, |()| {
        f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
    })
}
