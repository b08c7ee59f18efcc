//! From the ledger to the mail server: one feeder claims and renders, a few lanes each hold a
//! connection, one ledger writer commits for all of them.

mod allowance;
mod breaker;
mod courses;
mod feeder;
mod guard;
mod hand;
mod heavy;
mod holds;
mod lane;
mod ledger;
mod letters;
mod links;
mod marks;
mod meters;
mod outlet;
mod outlets;
mod rates;
mod recovery;
mod signing;

use std::sync::Arc;

use chassis::sealing::Vault;
use chassis::{Clock, Db};
use chrono::TimeDelta;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::partitions::Partitions;
use mail::smtp::{SmtpServer, Timeouts};

use breaker::Breaker;
use feeder::{Feeder, Source};
pub(crate) use guard::Guard;
use hand::InHand;
use lane::Lane;
pub(crate) use lane::Ready;
use ledger::Ledger;
pub(crate) use letters::{Letter, compile, try_out};
pub(crate) use links::Links;
pub(crate) use meters::Meters;
pub(crate) use outlet::Outlet;
use outlets::Dispatcher;
pub(crate) use outlets::Outlets;
pub(crate) use rates::Rates;

/// How mail is sent.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) server: SmtpServer,
    /// Connections, and so messages in the hands of the server at one time.
    pub(crate) connections: usize,
    pub(crate) timeouts: Timeouts,
    /// Shortens the back-off table.
    pub(crate) retry_scale: f64,
    /// How long a claim holds; a killed worker's messages are looked at again after this.
    pub(crate) lease: TimeDelta,
    /// Bytes that mails with files may take while they are made and sent.
    pub(crate) attachments_memory: u64,
}

/// What delivery works with.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) sending: Sending,
    pub(crate) links: Links,
    pub(crate) vault: Vault,
    pub(crate) meters: Meters,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) wake: Arc<Wake>,
}

/// Rung when there is something new to send.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    pub(crate) campaigns: Notify,
    pub(crate) singles: Notify,
}

impl Wake {
    pub(crate) fn ring(&self) {
        self.campaigns.notify_one();
        self.singles.notify_one();
    }
}

impl Delivery {
    /// Sends what is due until `stop`; then messages in the hands of the server end, and all others
    /// go back to wait. Dropped instead, it leaves them to their leases, as a kill would.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let hand = Arc::new(InHand::default());
        let (ledger, written) = Ledger::start(&self, Arc::clone(&hand));
        let (starts, mut starting) = mpsc::unbounded_channel();
        let dispatcher = Dispatcher {
            outlets: Arc::clone(&self.outlets),
            ledger: ledger.clone(),
            clock: self.clock.clone(),
            meters: self.meters.clone(),
            starts,
        };
        self.guard.round(&self.db, self.clock.now()).await;
        // Or the first messages would go through the installation's server.
        let held = self.guard.held();
        let refreshed = self.outlets.refresh(&self.db, held, self.clock.now());
        if let Err(error) = refreshed.await {
            tracing::warn!(%error, "senders cannot be read at the moment");
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(recovery::run(self.clone(), Arc::clone(&hand), stop.clone()));
        let (watch, until) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            let Self {
                db,
                clock,
                guard,
                wake,
                ..
            } = watch;
            guard.run(&db, &clock, &wake, until).await;
        });
        let (outlets, shared, rates) = (self.clone(), self.clone(), stop.clone());
        let until = stop.clone();
        tasks.spawn(async move { shared.outlets.rates.run(rates).await });
        tasks.spawn(async move {
            let Self {
                db,
                clock,
                meters,
                outlets,
                guard,
                ..
            } = outlets;
            outlets.run(&db, &clock, &meters, &guard, until).await;
        });
        for source in [Source::Campaigns, Source::Singles] {
            let feeder = Feeder::new(
                source,
                &self,
                ledger.clone(),
                Arc::clone(&hand),
                dispatcher.clone(),
            );
            tasks.spawn(feeder.run(stop.clone()));
        }
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                Some(outlet) = starting.recv() => {
                    for _ in 0..outlet.connections {
                        let (outlet, dispatcher) = (Arc::clone(&outlet), dispatcher.clone());
                        let lane = Lane::new(&self, outlet, dispatcher, Arc::clone(&hand));
                        tasks.spawn(lane.run(stop.clone()));
                    }
                }
                Some(ended) = tasks.join_next() => failed(ended),
            }
        }
        drop(dispatcher);
        while let Some(ended) = tasks.join_next().await {
            failed(ended);
        }
        let now = self.clock.now();
        for end in hand.release_all(now) {
            ledger.end(end).await;
        }
        drop(ledger);
        // The writer ends when everything is written.
        written.await.ok();
    }
}

fn failed(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a part of delivery failed");
    }
}
