//! From the ledger to the mail server: one feeder claims and renders, a few lanes each hold a
//! connection, one ledger writer commits for all of them.

mod breaker;
mod feeder;
mod hand;
mod lane;
mod ledger;
mod letters;
mod links;
mod meters;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Clock, Db};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::partitions::Partitions;
use mail::smtp::{SmtpServer, Timeouts};

pub(crate) use breaker::Breaker;
use feeder::{Feeder, Source};
use hand::InHand;
pub(crate) use lane::Ready;
use lane::{Lane, Queues};
use ledger::Ledger;
pub(crate) use letters::{Letter, compile};
pub(crate) use links::Links;
pub(crate) use meters::Meters;

/// How long a claim holds; a killed worker's messages are looked at again after this.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// How mail is sent.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) server: SmtpServer,
    /// Connections, and so messages in the hands of the server at one time.
    pub(crate) connections: usize,
    pub(crate) timeouts: Timeouts,
    /// Shortens the back-off table.
    pub(crate) retry_scale: f64,
}

/// What delivery works with.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) sending: Sending,
    pub(crate) links: Links,
    pub(crate) meters: Meters,
    pub(crate) breaker: Arc<Breaker>,
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
        let (singles, single) = async_channel::bounded(self.sending.connections);
        let (campaigns, of_campaign) = async_channel::bounded(self.sending.connections * 2 + 64);
        let queues = Queues {
            singles: single,
            campaigns: of_campaign,
        };
        let mut tasks = JoinSet::new();
        for _ in 0..self.sending.connections {
            let lane = Lane::new(&self, ledger.clone(), Arc::clone(&hand), queues.clone());
            tasks.spawn(lane.run(stop.clone()));
        }
        tasks.spawn(recovery::run(self.clone(), Arc::clone(&hand), stop.clone()));
        for (source, queue) in [(Source::Campaigns, campaigns), (Source::Singles, singles)] {
            let feeder = Feeder::new(source, &self, ledger.clone(), Arc::clone(&hand), queue);
            tasks.spawn(feeder.run(stop.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of delivery failed");
            }
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
