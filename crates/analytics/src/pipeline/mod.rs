//! From a request to a commit: a bounded queue, a few writers, and an answer after the commit.
//!
//! A request waits until the batch that holds its events is durable. Many requests share a
//! commit, so waiting costs little and nothing that was answered can be lost.

mod batch;
mod desk;
mod gate;
mod queue;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::Host;
use chassis::host::Starting;
use tokio::sync::{Notify, oneshot};

use crate::domain::event::Event;
use crate::live::Live;
use crate::metrics::Counters;
use desk::{Answer, Desk};
use gate::{Gate, Permit};
use queue::{Inlet, Outlet};
use writer::Writer;

/// How long a request waits for its commit before it is told to come back.
const WAIT: Duration = Duration::from_secs(15);
/// How long a person who follows a link is kept waiting for the commit.
const WAIT_OF_A_PERSON: Duration = Duration::from_secs(1);

/// How much may wait, and how many writers work on it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub writers: usize,
    pub rows: usize,
    pub requests: usize,
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            writers: 2,
            rows: 50_000,
            requests: 10_000,
            bytes: 64 * 1024 * 1024,
        }
    }
}

/// How many events of a request are stored now, and how many were before.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub accepted: usize,
    pub duplicates: usize,
}

/// Whether a hit is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Durably,
    Later,
}

type Answered = oneshot::Receiver<Answer>;

/// Why nothing of a request is known to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    #[error("too many events are waiting to be stored; nothing of this request was taken")]
    Full,
    #[error("the database does not answer at the moment; send the events again with the same ids")]
    Away,
    #[error("something went wrong on our side")]
    Failed,
}

/// The way in for everything that is recorded.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Events that clients report.
    pub events: Lane,
    /// Clicks and opens. They have a writer of their own, so that nobody who follows a link waits
    /// behind somebody's bulk upload, and it keeps what it has until Postgres is back.
    pub hits: Lane,
    /// Rings when addresses are to be looked up.
    pub addresses: Arc<Notify>,
}

/// A bounded queue with its writers. Clones share it.
#[derive(Clone, Debug)]
pub struct Lane {
    queue: Inlet,
    gate: Gate,
    away: Arc<AtomicBool>,
}

/// The events of one request, and where its answer goes.
#[derive(Debug)]
struct Submission {
    events: Vec<Event>,
    answer: oneshot::Sender<Answer>,
    desk: Desk,
    /// Its place in the queue, given back when it is answered.
    _permit: Permit,
}

impl Pipeline {
    /// Starts the writers as tasks of the service. They end when the last clone of the pipeline
    /// is gone and everything that waited is answered.
    pub fn start(
        starting: &mut Starting,
        limits: Limits,
        counters: &Counters,
        live: &Live,
    ) -> Self {
        let host = starting.host.clone();
        let addresses = Arc::new(Notify::new());
        let mut lane = |name: &'static str, writers: usize, hits: bool| {
            let (lane, queue) = Lane::new(name, limits, counters);
            for _ in 0..writers {
                let writer = Writer::new(
                    &host,
                    &queue,
                    &lane.away,
                    counters.clone(),
                    &addresses,
                    live,
                    hits,
                );
                starting.spawn(name, run(writer, host.clone()));
            }
            lane
        };
        Self {
            events: lane("events", limits.writers, false),
            hits: lane("hits", 1, true),
            addresses,
        }
    }
}

/// Runs a writer on a thread of its own.
async fn run(writer: Writer, host: Host) {
    if let Err(panic) = tokio::task::spawn_blocking(move || writer.run()).await {
        tracing::error!(service = %host.service, %panic, "a writer broke down");
    }
}

impl Lane {
    fn new(name: &'static str, limits: Limits, counters: &Counters) -> (Self, Outlet) {
        let (queue, outlet) = queue::queue();
        let lane = Self {
            queue,
            gate: Gate::new(limits, counters.queue_rows.with_label_values(&[name])),
            away: Arc::default(),
        };
        (lane, outlet)
    }

    /// Stores `events` and answers after their commit, all or none. `bytes` is what they weigh.
    pub async fn store(&self, events: Vec<Event>, bytes: usize) -> Result<Receipt, NotStored> {
        if self.away.load(Ordering::Relaxed) {
            return Err(NotStored::Away);
        }
        let answered = self.submit(events, bytes)?;
        match tokio::time::timeout(WAIT, answered).await {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(_)) | Err(_) => Err(NotStored::Away),
        }
    }

    /// Stores one hit and says whether it was committed in the time a person can wait. If not, it
    /// waits in memory for Postgres to come back.
    pub async fn record(&self, hit: Event, bytes: usize) -> Result<Recorded, NotStored> {
        let answered = self.submit(vec![hit], bytes)?;
        if self.away.load(Ordering::Relaxed) {
            return Ok(Recorded::Later);
        }
        match tokio::time::timeout(WAIT_OF_A_PERSON, answered).await {
            Ok(Ok(receipt)) => receipt.map(|_| Recorded::Durably),
            Ok(Err(_)) => Err(NotStored::Away),
            Err(_) => Ok(Recorded::Later),
        }
    }

    fn submit(&self, events: Vec<Event>, bytes: usize) -> Result<Answered, NotStored> {
        let permit = self
            .gate
            .enter(events.len(), bytes)
            .ok_or(NotStored::Full)?;
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            events,
            answer,
            desk: Desk::here(),
            _permit: permit,
        };
        self.queue.put(submission);
        Ok(answered)
    }
}
