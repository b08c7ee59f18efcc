//! Brings answers back to the threads where they are waited for, a commit's at once.
//!
//! Waking a task on another thread costs a system call, and the thread wakes for the first answer
//! only to sleep until the next. So every thread gets its answers in one piece and wakes its own
//! tasks with them.

use std::cell::RefCell;

use tokio::sync::{mpsc, oneshot};

use super::{NotStored, Receipt};

pub(super) type Answer = Result<Receipt, NotStored>;

/// Where the answers of one thread's requests go.
#[derive(Clone, Debug)]
pub(super) struct Desk(mpsc::UnboundedSender<Slips>);

type Slips = Vec<(oneshot::Sender<Answer>, Answer)>;

thread_local! {
    static HERE: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

impl Desk {
    /// This thread's, within a runtime.
    pub(super) fn here() -> Self {
        HERE.with_borrow_mut(|here| match here {
            Some(desk) if !desk.0.is_closed() => desk.clone(),
            // The first on this thread, or the first since its last runtime ended.
            _ => here.insert(Self::open()).clone(),
        })
    }

    fn open() -> Self {
        let (desk, mut slips) = mpsc::unbounded_channel::<Slips>();
        tokio::spawn(async move {
            while let Some(slips) = slips.recv().await {
                hand_out(slips);
            }
        });
        Self(desk)
    }

    fn bring(&self, slips: Slips) {
        // The thread may have ended; whoever waited there may wait elsewhere.
        if let Err(mpsc::error::SendError(slips)) = self.0.send(slips) {
            hand_out(slips);
        }
    }
}

fn hand_out(slips: Slips) {
    for (to, answer) in slips {
        // Whoever asked may have gone; the events are stored all the same.
        to.send(answer).ok();
    }
}

/// Brings every answer to its desk.
pub(super) fn bring(answers: impl Iterator<Item = (Desk, oneshot::Sender<Answer>, Answer)>) {
    let mut piles: Vec<(Desk, Slips)> = Vec::new();
    for (desk, to, answer) in answers {
        match piles
            .iter_mut()
            .find(|(known, _)| known.0.same_channel(&desk.0))
        {
            Some((_, slips)) => slips.push((to, answer)),
            None => piles.push((desk, vec![(to, answer)])),
        }
    }
    for (desk, slips) in piles {
        desk.bring(slips);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Answer = Err(NotStored::Full);

    /// A desk of a runtime that has ended, on this thread.
    fn deserted() -> Desk {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async { Desk::here() })
    }

    #[test]
    fn a_thread_keeps_its_desk_as_long_as_its_runtime() {
        let first = deserted();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let second = Desk::here();
            assert!(!second.0.same_channel(&first.0));
            assert!(second.0.same_channel(&Desk::here().0));
        });
    }

    #[tokio::test]
    async fn every_answer_arrives_where_somebody_waits_and_where_nobody_does() {
        let (to_here, here) = oneshot::channel();
        let (to_gone, gone) = oneshot::channel();
        let deserted = std::thread::spawn(deserted).join().expect("no panic");
        let answers = [(Desk::here(), to_here, ANSWER), (deserted, to_gone, ANSWER)];
        bring(answers.into_iter());
        assert_eq!((here.await, gone.await), (Ok(ANSWER), Ok(ANSWER)));
    }
}
