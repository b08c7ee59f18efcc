//! The ledger writer: one thread with one connection commits what all lanes begin and settle.
//!
//! While one group is being committed the next one gathers, so the groups are as large as the load
//! makes them, nobody waits for a timer, and no message costs a commit of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::error::is_away;
use chassis::{Clock, Db, Unavailable};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use tokio::sync::{mpsc, oneshot};

use super::guard::Guard;
use super::hand::InHand;
use super::{Delivery, Meters};
use crate::domain::state::State;
use crate::store::bundles::{self, End};
use crate::store::moves::{self, Held, Move};

/// Most moves in one transaction.
const GROUP: usize = 512;
/// How long the writer still tries when everybody else has gone and Postgres is away.
const LAST_TRIES: Duration = Duration::from_secs(10);
/// So often a group is tried that fails although Postgres is there, before it is taken apart.
const TRIES: u32 = 3;

/// The way to the ledger writer. It ends when all of these are gone.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    entries: mpsc::Sender<Entry>,
    hand: Arc<InHand>,
}

#[derive(Debug)]
enum Entry {
    Move(Move, Option<oneshot::Sender<bool>>),
    End(End),
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
            hand: Arc::clone(&hand),
            guard: Arc::clone(&delivery.guard),
            conn: None,
            entries,
            ends: Vec::new(),
        };
        // Not a task: it blocks, and a runtime that ends must not wait for it.
        std::thread::spawn(move || {
            writer.run();
            ended.send(()).ok();
        });
        let entries = sender;
        (Self { entries, hand }, written)
    }

    /// Writes a move some time soon; it is never given up while Postgres may come back.
    pub(super) async fn write(&self, step: Move) {
        self.send(Entry::Move(step, None)).await;
    }

    /// Writes a move; the answer is whether it was still ours to make.
    pub(super) async fn ask(&self, step: Move) -> oneshot::Receiver<bool> {
        let (written, answer) = oneshot::channel();
        // A writer that has ended drops the sender, which reads as no.
        self.send(Entry::Move(step, Some(written))).await;
        answer
    }

    /// A message that was never asked to begin waits again, with its bundle, until `due_at`.
    pub(super) async fn give_back(&self, of: &Held, due_at: DateTime<Utc>) {
        if let Some(end) = self.hand.give_back(of, due_at) {
            self.end(end).await;
        }
    }

    /// Ends a hold on a bundle.
    pub(super) async fn end(&self, end: End) {
        self.send(Entry::End(end)).await;
    }

    async fn send(&self, entry: Entry) {
        if self.entries.send(entry).await.is_err() {
            tracing::error!("the ledger writer has ended before its time");
        }
    }
}

struct Writer {
    db: Db,
    clock: Clock,
    meters: Meters,
    hand: Arc<InHand>,
    guard: Arc<Guard>,
    conn: Option<PgConnection>,
    entries: mpsc::Receiver<Entry>,
    /// Bundles whose last message has been written; the next group ends them.
    ends: Vec<End>,
}

impl Writer {
    fn run(mut self) {
        // Or the first message of all would wait until it is open and looked at.
        if let Err(error) = opened(&mut self.conn, &self.db, &self.guard, self.clock.now()) {
            tracing::warn!(%error, "the ledger cannot be reached yet");
        }
        let mut group = Vec::with_capacity(GROUP);
        loop {
            // With something to end, what is there now is a group, be it empty.
            let gathered = match self.ends.is_empty() {
                true => self.entries.blocking_recv_many(&mut group, GROUP),
                false => self.gather(&mut group),
            };
            if gathered == 0 && self.ends.is_empty() {
                return;
            }
            self.write_group(std::mem::take(&mut group));
        }
    }

    fn gather(&mut self, group: &mut Vec<Entry>) -> usize {
        while group.len() < GROUP {
            match self.entries.try_recv() {
                Ok(entry) => group.push(entry),
                Err(_) => break,
            }
        }
        group.len()
    }

    fn write_group(&mut self, group: Vec<Entry>) {
        let mut ends = std::mem::take(&mut self.ends);
        let (mut steps, mut answers) = (Vec::with_capacity(group.len()), Vec::new());
        for entry in group {
            match entry {
                Entry::Move(step, answer) => {
                    steps.push(step);
                    answers.push(answer);
                }
                Entry::End(end) => ends.push(end),
            }
        }
        let Some(moved) = self.persist(&steps, &ends) else {
            return;
        };
        self.meters.group(&steps);
        for ((step, answer), moved) in steps.iter().zip(answers).zip(moved) {
            if moved && step.to.is_settled() {
                self.meters.settled(step.to.outcome());
            }
            if step.to != State::Sending {
                self.ends.extend(self.hand.leave(&step.of));
            }
            if let Some(answer) = answer {
                // A lane that was dropped waits for nothing.
                answer.send(moved).ok();
            }
        }
    }

    /// Commits a group, however long Postgres is away; answers for each move whether it was made.
    /// None when there is nobody left to wait.
    fn persist(&mut self, steps: &[Move], ends: &[End]) -> Option<Vec<bool>> {
        let (since, mut tries, mut pause) = (Instant::now(), 0, Duration::from_millis(20));
        loop {
            let error = match self.commit(steps, ends) {
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
                return Some(self.one_by_one(steps, ends));
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

    fn commit(&mut self, steps: &[Move], ends: &[End]) -> Result<Vec<bool>, WriteError> {
        let now = self.clock.now();
        let conn = opened(&mut self.conn, &self.db, &self.guard, now)?;
        let without_begins: Vec<Move>;
        let allowed = match self.guard.is_open() {
            true => steps,
            false => {
                let others = steps.iter().filter(|step| step.to != State::Sending);
                without_begins = others.cloned().collect();
                &without_begins
            }
        };
        let moved = self
            .db
            .transaction_on(conn, |conn| {
                let moved = moves::apply(conn, allowed, now)?;
                bundles::end(conn, ends)?;
                Ok(moved)
            })
            .map_err(WriteError::Query)?;
        Ok(steps
            .iter()
            .map(|step| moved.contains(&step.of.id))
            .collect())
    }

    /// A group that Postgres refuses holds a move that it refuses; the bundle of that one is left
    /// to its lease.
    fn one_by_one(&mut self, steps: &[Move], ends: &[End]) -> Vec<bool> {
        let mut moved = Vec::with_capacity(steps.len());
        for step in steps {
            match self.commit(std::slice::from_ref(step), &[]) {
                Ok(answer) => moved.extend(answer),
                Err(error) => {
                    tracing::error!(message.id = %step.of.id, to = step.to.as_str(), %error, "a move cannot be written");
                    self.hand.abandon(&step.of);
                    moved.push(false);
                }
            }
        }
        if let Err(error) = self.commit(&[], ends) {
            tracing::error!(%error, "bundles cannot be ended; their leases will");
        }
        moved
    }
}

/// The writer's connection, which is made when there is none.
fn opened<'a>(
    conn: &'a mut Option<PgConnection>,
    db: &Db,
    guard: &Guard,
    now: DateTime<Utc>,
) -> Result<&'a mut PgConnection, WriteError> {
    match conn {
        Some(conn) => Ok(conn),
        none => {
            let mut conn = connect(db)?;
            // It may be another server: nothing begins on it before it was looked at.
            guard.look_on(&mut conn, now).map_err(WriteError::Query)?;
            Ok(none.insert(conn))
        }
    }
}

/// A connection for the one thing that is written on it: everything is looked up by key, and no
/// plan is made twice.
fn connect(db: &Db) -> Result<PgConnection, WriteError> {
    let mut conn = db.connect()?;
    conn.batch_execute(
        "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
         SET plan_cache_mode = force_generic_plan",
    )
    .map_err(WriteError::Query)?;
    Ok(conn)
}
