//! The ledger writer: one thread with one connection commits what all lanes begin and settle.
//!
//! While one group is being committed the next one gathers, so the groups are as large as the load
//! makes them, nobody waits for a timer, and no message costs a commit of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::error::is_away;
use chassis::{Clock, Db, Unavailable};
use diesel::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::hand::InHand;
use super::{Delivery, Meters};
use crate::domain::state::State;
use crate::store::moves::{self, Move};

/// Most moves in one transaction.
const GROUP: usize = 512;
/// How long the writer still tries when everybody else has gone and Postgres is away.
const LAST_TRIES: Duration = Duration::from_secs(10);
/// So often a group is tried that fails although Postgres is there, before it is taken apart.
const TRIES: u32 = 3;

/// The way to the ledger writer. It ends when all of these are gone.
#[derive(Clone, Debug)]
pub(super) struct Ledger(mpsc::Sender<Entry>);

#[derive(Debug)]
struct Entry {
    step: Move,
    written: Option<oneshot::Sender<bool>>,
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Ledger {
    /// Starts the writer; the receiver answers when it has written everything and ended.
    pub(super) fn start(delivery: &Delivery, hand: Arc<InHand>) -> (Self, oneshot::Receiver<()>) {
        let (sender, entries) = mpsc::channel(GROUP * 4);
        let (ended, written) = oneshot::channel();
        let writer = Writer {
            db: delivery.db.clone(),
            clock: delivery.clock.clone(),
            meters: delivery.meters.clone(),
            hand,
            conn: None,
            entries,
        };
        // Not a task: it blocks, and a runtime that ends must not wait for it.
        std::thread::spawn(move || {
            writer.run();
            ended.send(()).ok();
        });
        (Self(sender), written)
    }

    /// Writes a move some time soon; it is never given up while Postgres may come back.
    pub(super) async fn write(&self, step: Move) {
        let entry = Entry {
            step,
            written: None,
        };
        if self.0.send(entry).await.is_err() {
            tracing::error!("the ledger writer has ended before its time");
        }
    }

    /// Writes a move; the answer is whether it was still ours to make.
    pub(super) async fn ask(&self, step: Move) -> oneshot::Receiver<bool> {
        let (written, answer) = oneshot::channel();
        let entry = Entry {
            step,
            written: Some(written),
        };
        // A writer that has ended drops the sender, which reads as no.
        self.0.send(entry).await.ok();
        answer
    }
}

struct Writer {
    db: Db,
    clock: Clock,
    meters: Meters,
    hand: Arc<InHand>,
    conn: Option<PgConnection>,
    entries: mpsc::Receiver<Entry>,
}

impl Writer {
    fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.entries.blocking_recv_many(&mut group, GROUP) > 0 {
            self.write_group(std::mem::take(&mut group));
        }
    }

    fn write_group(&mut self, group: Vec<Entry>) {
        let (steps, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|entry| (entry.step, entry.written))
            .unzip();
        let Some(moved) = self.persist(&steps) else {
            return;
        };
        self.meters.group(&steps);
        self.hand.leave(
            steps
                .iter()
                .filter(|step| step.to != State::Sending)
                .map(|step| step.of),
        );
        for ((step, answer), moved) in steps.iter().zip(answers).zip(moved) {
            if moved && step.to.is_settled() {
                self.meters.settled(step.to.outcome());
            }
            if let Some(answer) = answer {
                // A lane that was dropped waits for nothing.
                answer.send(moved).ok();
            }
        }
    }

    /// Commits a group, however long Postgres is away; answers for each move whether it was made.
    /// None when there is nobody left to wait.
    fn persist(&mut self, steps: &[Move]) -> Option<Vec<bool>> {
        let (since, mut tries, mut pause) = (Instant::now(), 0, Duration::from_millis(20));
        loop {
            let error = match self.commit(steps) {
                Ok(moved) => return Some(moved),
                Err(error) => error,
            };
            let away = match &error {
                WriteError::Unavailable(_) => true,
                WriteError::Query(error) => is_away(error),
            };
            if away {
                self.conn = None;
            } else {
                tries += 1;
            }
            if tries == 1 || (away && pause.as_millis() == 20) {
                tracing::warn!(%error, moves = steps.len(), "the ledger cannot be written at the moment");
            }
            if tries >= TRIES {
                return Some(self.one_by_one(steps));
            }
            if self.entries.is_closed() && since.elapsed() > LAST_TRIES {
                tracing::error!(
                    moves = steps.len(),
                    "the ledger stays behind: leases will tell"
                );
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn commit(&mut self, steps: &[Move]) -> Result<Vec<bool>, WriteError> {
        let now = self.clock.now();
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(self.db.connect()?),
        };
        let moved = self
            .db
            .transaction_on(conn, |conn| moves::apply(conn, steps, now))
            .map_err(WriteError::Query)?;
        Ok(steps
            .iter()
            .map(|step| moved.contains(&step.of.id))
            .collect())
    }

    /// A group that Postgres refuses holds a move that it refuses; that one is left to its lease.
    fn one_by_one(&mut self, steps: &[Move]) -> Vec<bool> {
        let mut moved = Vec::with_capacity(steps.len());
        for step in steps {
            match self.commit(std::slice::from_ref(step)) {
                Ok(answer) => moved.extend(answer),
                Err(error) => {
                    tracing::error!(message.id = %step.of.id, to = step.to.as_str(), %error, "a move cannot be written");
                    moved.push(false);
                }
            }
        }
        moved
    }
}
