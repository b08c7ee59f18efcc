//! Claims what is due, makes messages of it, and keeps the lanes supplied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Unavailable;
use chrono::TimeDelta;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::breaker::Way;
use super::hand::InHand;
use super::lane::Ready;
use super::ledger::Ledger;
use super::letters::{Found, Letters, LoadError};
use super::{Delivery, LEASE};
use crate::domain::state::State;
use crate::store::campaigns;
use crate::store::claims::{self, Claimed, Lease};
use crate::store::moves::{self, Move};

/// Most messages claimed at a time.
const BATCH: usize = 500;
/// A new claim is made when fewer than this are in hand.
const ENOUGH: usize = 750;
/// Messages made in one go on a blocking thread.
const CHUNK: usize = 32;
/// How often an idle feeder looks; whoever adds messages in this process wakes it earlier.
const POLL: Duration = Duration::from_millis(250);

pub(super) struct Feeder {
    delivery: Delivery,
    ledger: Ledger,
    hand: Arc<InHand>,
    queue: mpsc::Sender<Ready>,
    letters: Letters,
}

#[derive(Debug, thiserror::Error)]
enum ClaimError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Feeder {
    pub(super) fn new(
        delivery: &Delivery,
        ledger: Ledger,
        hand: Arc<InHand>,
        queue: mpsc::Sender<Ready>,
    ) -> Self {
        Self {
            delivery: delivery.clone(),
            ledger,
            hand,
            queue,
            letters: Letters::default(),
        }
    }

    /// Works until `stop`. Claims that did not reach a lane by then are given back by the caller.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (batches, mut claimed) = mpsc::channel::<Vec<Claimed>>(1);
        let claimer = Claimer {
            delivery: self.delivery.clone(),
            hand: Arc::clone(&self.hand),
        };
        let making = async {
            while let Some(batch) = claimed.recv().await {
                self.make(batch).await;
            }
        };
        let making = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = making => {}
            }
        };
        // A claim is never cut off: what it took must be known to be in hand.
        tokio::join!(claimer.run(batches, &stop), making);
    }

    async fn make(&mut self, batch: Vec<Claimed>) {
        let mut work = Vec::with_capacity(CHUNK);
        for message in batch {
            match self.letters.of(&self.delivery.db, &message).await {
                Ok(found) => work.push((message, found)),
                Err(error) => self.wait_out(message, error).await,
            }
            if work.len() == CHUNK {
                self.make_chunk(std::mem::take(&mut work)).await;
            }
        }
        self.make_chunk(work).await;
    }

    /// The content cannot be read now; the message waits as if it had not been claimed.
    async fn wait_out(&self, message: Claimed, error: LoadError) {
        tracing::warn!(message.id = %message.of.id, %error, "a content cannot be read at the moment");
        self.ledger
            .write(Move::put_back(message.of, self.delivery.clock.now()))
            .await;
    }

    async fn make_chunk(&self, work: Vec<(Claimed, Found)>) {
        if work.is_empty() {
            return;
        }
        let (links, now) = (self.delivery.links.clone(), self.delivery.clock.now());
        let made = tokio::task::spawn_blocking(move || {
            let make = |(message, found): (Claimed, Found)| {
                let made = found
                    .map_err(|why| why.to_string())
                    .and_then(|letter| letter.make(&message, &links, now));
                made.map_err(|why| (message.of, why))
            };
            work.into_iter().map(make).collect::<Vec<_>>()
        });
        let made = match made.await {
            Ok(made) => made,
            Err(error) => {
                return tracing::error!(%error, "making messages failed; their leases will end");
            }
        };
        for message in made {
            match message {
                Ok(ready) => {
                    if self.queue.send(ready).await.is_err() {
                        return;
                    }
                }
                Err((of, why)) => {
                    self.ledger
                        .write(Move::settle(of, State::Skipped, Some(why)))
                        .await
                }
            }
        }
    }
}

/// Takes hold of due messages, as many as the lanes can use.
struct Claimer {
    delivery: Delivery,
    hand: Arc<InHand>,
}

impl Claimer {
    async fn run(self, batches: mpsc::Sender<Vec<Claimed>>, stop: &CancellationToken) {
        loop {
            let limit = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                limit = self.room() => limit,
            };
            match self.claim(limit).await {
                Ok(batch) if !batch.is_empty() => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        sent = batches.send(batch) => match sent {
                            Ok(()) => continue,
                            Err(_) => return,
                        },
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "messages cannot be claimed at the moment"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.delivery.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Waits until more can be used; answers how many.
    async fn room(&self) -> usize {
        loop {
            match self.delivery.breaker.way(Instant::now()) {
                Way::Closed(wait) => tokio::time::sleep(wait).await,
                Way::Trial if self.hand.len() == 0 => return 1,
                Way::Clear if self.hand.len() < ENOUGH => return BATCH,
                Way::Trial | Way::Clear => tokio::select! {
                    () = self.hand.left.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                },
            }
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, ClaimError> {
        let now = self.delivery.clock.now();
        let until = now + TimeDelta::from_std(LEASE).unwrap_or_default();
        let lease = Lease {
            token: Uuid::now_v7(),
            until,
        };
        let (claimed, withheld) = self
            .delivery
            .db
            .transaction(move |conn| claim(conn, lease, now, limit))
            .await?;
        self.hand
            .take(claimed.iter().map(|message| message.of), until);
        if withheld > 0 {
            self.delivery
                .meters
                .settled_many(common::dto::dispatch::Outcome::Suppressed, withheld);
        }
        Ok(claimed)
    }
}

/// Messages without a campaign first; then every running campaign gets an equal part. Those who
/// must not be mailed any more are settled in the same transaction.
fn claim(
    conn: &mut diesel::PgConnection,
    lease: Lease,
    now: chrono::DateTime<chrono::Utc>,
    limit: usize,
) -> Result<(Vec<Claimed>, usize), ClaimError> {
    let mut claimed = claims::without_campaign(conn, lease, now, limit)?;
    let running = campaigns::open(conn, "running")?;
    for (index, campaign) in running.iter().enumerate() {
        let part = (limit - claimed.len()).div_ceil(running.len() - index);
        if part > 0 {
            claimed.extend(claims::of_campaign(conn, campaign, lease, now, part)?);
        }
    }
    if claimed.is_empty() {
        return Ok((claimed, 0));
    }
    let withheld = claims::withheld(conn, &claimed)?;
    let mut steps = Vec::with_capacity(withheld.len());
    for (id, reason) in withheld {
        if let Some(at) = claimed.iter().position(|message| message.of.id == id) {
            let message = claimed.swap_remove(at);
            steps.push(Move::settle(message.of, State::Suppressed, Some(reason)));
        }
    }
    moves::apply(conn, &steps, now)?;
    Ok((claimed, steps.len()))
}
