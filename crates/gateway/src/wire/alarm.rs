//! A deadline that moves with every message.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::rt::time::{Sleep, sleep_until};

/// Deadlines mostly move into the future, and are hardly ever reached. So the timer is left where
/// it is, and moved only when it rings too early: a message costs no work in the timer wheel.
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    until: Instant,
}

impl Default for Alarm {
    fn default() -> Self {
        let (sleep, until) = (None, Instant::now());
        Self { sleep, until }
    }
}

impl Alarm {
    pub(crate) fn set(&mut self, until: Instant) {
        self.until = until;
        if let Some(sleep) = &mut self.sleep
            && sleep.deadline().into_std() > until
        {
            sleep.as_mut().reset(until.into());
        }
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if sleep.deadline().into_std() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until.into());
        }
    }

    /// What `work` comes to, or nothing if it is not done by the deadline.
    pub(crate) async fn bound<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn it_rings_at_the_last_deadline_that_was_set() {
        let (mut alarm, start) = (Alarm::default(), Instant::now());
        for millis in [20, 60_000, 50] {
            alarm.set(start + Duration::from_millis(millis));
            assert_eq!(alarm.bound(tokio::task::yield_now()).await, Some(()));
        }
        let never = std::future::pending::<()>();
        assert_eq!(alarm.bound(never).await, None);
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}
