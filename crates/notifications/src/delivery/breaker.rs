//! Keeps off a mail server that cannot be reached, and lets one message try again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(15);
const FIRST: Duration = Duration::from_millis(250);

/// Of one sender, shared by all its lanes.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    until: Option<Instant>,
    reason: Option<String>,
    /// It answers and refuses everybody, so that a connection alone says nothing.
    refuses: bool,
    /// One message is finding out.
    tried: bool,
}

/// Whether the mail server may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It works as far as we know.
    Clear,
    /// It did not at the last try; one message may find out.
    Trial,
    /// Not before this long.
    Closed(Duration),
}

impl Breaker {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn way(&self, now: Instant) -> Way {
        let inner = self.inner();
        match inner.until {
            Some(until) if until > now => Way::Closed(until - now),
            _ if inner.failures > 0 => Way::Trial,
            _ => Way::Clear,
        }
    }

    /// The server could not be reached. Lanes that fail together count once.
    pub(crate) fn failed(&self, reason: String, now: Instant) {
        let mut inner = self.inner();
        if inner.until.is_some_and(|until| until > now) {
            return;
        }
        if inner.failures == 0 {
            tracing::warn!(reason, "the mail server is away; messages wait");
        }
        let pause = FIRST * 2u32.saturating_pow(inner.failures.min(10));
        inner.failures += 1;
        inner.until = Some(now + pause.min(LONGEST));
        inner.reason = Some(reason);
    }

    /// It was reached and refuses everybody.
    pub(crate) fn refused(&self, reason: String, now: Instant) {
        self.failed(reason, now);
        self.inner().refuses = true;
    }

    /// True for the one caller that may find out; it says when it has.
    pub(crate) fn try_one(&self) -> bool {
        !std::mem::replace(&mut self.inner().tried, true)
    }

    pub(crate) fn has_tried(&self) {
        self.inner().tried = false;
    }

    pub(crate) fn is_tried(&self) -> bool {
        self.inner().tried
    }

    /// A connection was made.
    pub(crate) fn reached(&self) {
        if !self.inner().refuses {
            self.worked();
        }
    }

    pub(crate) fn worked(&self) {
        let mut inner = self.inner();
        if inner.failures > 0 {
            tracing::info!("the mail server is back");
            *inner = Inner::default();
        }
    }

    /// Why the server is not used at the moment.
    pub(crate) fn reason(&self) -> Option<String> {
        self.inner().reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_longer_each_time_and_opens_at_once() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.way(start), Way::Clear);
        breaker.failed("refused".into(), start);
        breaker.failed("refused".into(), start);
        assert_eq!(
            breaker.way(start),
            Way::Closed(FIRST),
            "failures together count once"
        );
        let later = start + FIRST;
        assert_eq!(breaker.way(later), Way::Trial);
        breaker.failed("refused".into(), later);
        assert_eq!(breaker.way(later), Way::Closed(FIRST * 2));
        assert_eq!(breaker.reason().as_deref(), Some("refused"));
        breaker.worked();
        assert_eq!(breaker.way(later), Way::Clear);
        assert_eq!(breaker.reason(), None);
    }

    #[test]
    fn a_server_that_refuses_everybody_is_not_back_because_it_can_be_reached() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        breaker.refused("550".into(), start);
        breaker.reached();
        assert_eq!(breaker.way(start), Way::Closed(FIRST));
        assert!(breaker.try_one() && !breaker.try_one());
        breaker.has_tried();
        assert!(breaker.try_one() && breaker.is_tried());
        breaker.worked();
        assert_eq!(breaker.way(start), Way::Clear);
    }

    #[test]
    fn the_pause_has_an_end() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..50 {
            breaker.failed("refused".into(), now);
            now += LONGEST;
        }
        breaker.failed("refused".into(), now);
        assert_eq!(breaker.way(now), Way::Closed(LONGEST));
    }
}
