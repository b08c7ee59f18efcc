//! What waits for a commit.
//!
//! A commit costs as much as many rows, so a second writer begins only when enough waits to be worth
//! one, or while the first waits for the disk. Otherwise what arrives shares the next commit.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Submission;

/// Rows that are worth a commit of their own while another is under way.
const WORTH: usize = 500;

/// Puts submissions into a queue; the queue ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Inlet(Arc<Closing>);

#[derive(Debug)]
struct Closing(Outlet);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.0.changed.notify_all();
    }
}

/// Where writers take submissions. Clones take from the same queue.
#[derive(Clone, Debug)]
pub(super) struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Submission>,
    rows: usize,
    /// Writers that are at work on something to commit.
    busy: usize,
    closed: bool,
}

impl State {
    /// Whether somebody should take what waits.
    fn is_due(&self) -> bool {
        !self.waiting.is_empty() && (self.busy == 0 || self.rows >= WORTH || self.closed)
    }

    fn pop(&mut self) -> Option<Submission> {
        let submission = self.waiting.pop_front()?;
        self.rows -= submission.events.len();
        Some(submission)
    }
}

pub(super) fn queue() -> (Inlet, Outlet) {
    let outlet = Outlet(Arc::default());
    (Inlet(Arc::new(Closing(outlet.clone()))), outlet)
}

impl Inlet {
    pub(super) fn put(&self, submission: Submission) {
        let Closing(outlet) = &*self.0;
        let mut state = outlet.lock();
        state.rows += submission.events.len();
        state.waiting.push_back(submission);
        let due = state.is_due();
        drop(state);
        if due {
            outlet.0.changed.notify_one();
        }
    }
}

impl Outlet {
    /// Waits until a commit is due and takes submissions of `rows` or a little more; nothing when the
    /// queue has ended. They are under way until the turn is dropped.
    pub(super) fn take(&self, rows: usize) -> Option<(Vec<Submission>, Turn<'_>)> {
        let ended = |state: &State| state.closed && state.waiting.is_empty();
        let waited = self
            .0
            .changed
            .wait_while(self.lock(), |state| !state.is_due() && !ended(state));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let (mut taken, mut sum) = (Vec::with_capacity(state.waiting.len()), 0);
        while sum < rows
            && let Some(submission) = state.pop()
        {
            sum += submission.events.len();
            taken.push(submission);
        }
        if taken.is_empty() {
            return None;
        }
        state.busy += 1;
        let turn = Turn {
            queue: self,
            works: true,
        };
        Some((taken, turn))
    }

    /// Takes everything, whether it is due or not.
    pub(super) fn clear(&self) -> Vec<Submission> {
        let mut state = self.lock();
        state.rows = 0;
        state.waiting.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer's, while it has something to commit.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    queue: &'a Outlet,
    works: bool,
}

impl Turn<'_> {
    /// Nothing is left but to wait for the disk: another writer may begin meanwhile.
    pub(super) fn only_waits(&mut self) {
        if std::mem::take(&mut self.works) {
            let mut state = self.queue.lock();
            state.busy -= 1;
            let due = state.is_due();
            drop(state);
            if due {
                self.queue.0.changed.notify_one();
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.only_waits();
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Gate;
    use super::super::{Limits, desk::Desk};
    use super::*;
    use crate::domain::event::{Event, VIEW};
    use chrono::Utc;
    use common::WorkspaceId;
    use prometheus::IntGauge;
    use tokio::sync::oneshot;

    fn submission(rows: usize) -> Submission {
        let gate = Gate::new(
            Limits::default(),
            IntGauge::new("rows", "rows").expect("a name"),
        );
        let event = Event::new(WorkspaceId::new(), VIEW, Utc::now());
        Submission {
            events: vec![event; rows],
            answer: oneshot::channel().0,
            desk: Desk::here(),
            _permit: gate.enter(rows, 0).expect("room"),
        }
    }

    fn rows(taken: &[Submission]) -> Vec<usize> {
        let rows = taken.iter().map(|submission| submission.events.len());
        rows.collect()
    }

    #[tokio::test]
    async fn what_arrives_during_a_commit_shares_the_next() {
        let (inlet, outlet) = queue();
        inlet.put(submission(1));
        let (first, turn) = outlet.take(5000).expect("something waits");
        assert_eq!(rows(&first), [1]);
        inlet.put(submission(2));
        inlet.put(submission(3));
        assert!(!outlet.lock().is_due());
        drop(turn);
        let (second, _turn) = outlet.take(5000).expect("something waits");
        assert_eq!(rows(&second), [2, 3]);
    }

    #[tokio::test]
    async fn a_writer_that_only_waits_for_the_disk_holds_nobody_up() {
        let (inlet, outlet) = queue();
        inlet.put(submission(1));
        let (_first, mut turn) = outlet.take(5000).expect("something waits");
        inlet.put(submission(2));
        assert!(!outlet.lock().is_due());
        turn.only_waits();
        let (second, _second) = outlet.take(5000).expect("something waits");
        assert_eq!(rows(&second), [2]);
        inlet.put(submission(3));
        drop(turn);
        assert!(!outlet.lock().is_due(), "the second is at work");
    }

    #[tokio::test]
    async fn much_is_taken_by_a_second_writer_and_never_more_than_a_batch() {
        let (inlet, outlet) = queue();
        inlet.put(submission(1));
        let (_first, _turn) = outlet.take(5000).expect("something waits");
        for _ in 0..6 {
            inlet.put(submission(WORTH / 5));
        }
        let (second, _turn) = outlet.take(WORTH / 2).expect("a commit's worth waits");
        assert_eq!(second.len(), 3);
        assert_eq!(rows(&outlet.clear()).len(), 3);
    }

    #[tokio::test]
    async fn a_writer_that_breaks_down_leaves_the_rest_to_others() {
        let (inlet, outlet) = queue();
        inlet.put(submission(1));
        let other = outlet.clone();
        let broken = std::thread::spawn(move || {
            let _taken = other.take(5000);
            panic!("as in a writer");
        });
        assert!(broken.join().is_err());
        inlet.put(submission(2));
        let (taken, _turn) = outlet.take(5000).expect("something waits");
        assert_eq!(rows(&taken), [2]);
    }

    #[tokio::test]
    async fn it_ends_with_the_last_inlet_and_after_what_waits() {
        let (inlet, outlet) = queue();
        let waiting = std::thread::spawn({
            let outlet = outlet.clone();
            move || outlet.take(5000).is_none()
        });
        drop(inlet);
        assert!(waiting.join().expect("no panic"), "nothing is left");
        let (inlet, outlet) = queue();
        inlet.clone().put(submission(1));
        inlet.put(submission(2));
        let (_first, _turn) = outlet.take(1).expect("something waits");
        drop(inlet);
        assert_eq!(rows(&outlet.take(1).expect("the last").0), [2]);
        assert!(outlet.take(1).is_none());
    }
}
