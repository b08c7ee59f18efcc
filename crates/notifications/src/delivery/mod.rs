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
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::moves::Move;
use mail::smtp::{SmtpServer, Timeouts};

pub(crate) use breaker::Breaker;
use feeder::Feeder;
use hand::InHand;
use lane::{Lane, Ready};
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
    /// Rung when there is something new to send.
    pub(crate) wake: Arc<Notify>,
}

impl Delivery {
    /// Sends what is due until `stop`; then messages in the hands of the server end, and all others
    /// go back to wait. Dropped instead, it leaves them to their leases, as a kill would.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let hand = Arc::new(InHand::default());
        let (ledger, written) = Ledger::start(&self, Arc::clone(&hand));
        let (queue, waiting) = mpsc::channel::<Ready>(self.sending.connections * 4 + 32);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut tasks = JoinSet::new();
        for _ in 0..self.sending.connections {
            let lane = Lane::new(
                &self,
                ledger.clone(),
                Arc::clone(&hand),
                Arc::clone(&waiting),
            );
            tasks.spawn(lane.run(stop.clone()));
        }
        tasks.spawn(recovery::run(self.clone(), Arc::clone(&hand), stop.clone()));
        tasks.spawn(Feeder::new(&self, ledger.clone(), Arc::clone(&hand), queue).run(stop));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of delivery failed");
            }
        }
        let now = self.clock.now();
        for of in hand.all() {
            ledger.write(Move::put_back(of, now)).await;
        }
        drop(ledger);
        // The writer ends when everything is written.
        written.await.ok();
    }
}
