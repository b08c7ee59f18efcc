//! One process of a service: how busy it is, and whether it may be asked.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::stream::Secure;

/// The first pause of a replica that failed, and the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

static NEXT: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(crate) struct Replica {
    /// What its kept connections are found by.
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    /// What it is called in requests: `host:port`.
    pub(crate) host: Arc<str>,
    /// Only by TLS, if there is something here.
    pub(crate) secure: Option<Secure>,
    /// Requests that it has not answered yet.
    active: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    /// Until when it is left alone, in milliseconds since the pool was made.
    paused_until: AtomicU64,
    pauses: AtomicU32,
    /// What the last checks said.
    sick: AtomicBool,
    checks_failed: AtomicU32,
}

impl Replica {
    pub(crate) fn new(address: SocketAddr, host: Arc<str>, secure: Option<Secure>) -> Self {
        Self {
            // A number of this process's own; only its being different counts.
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address,
            host,
            secure,
            active: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            paused_until: AtomicU64::new(0),
            pauses: AtomicU32::new(0),
            sick: AtomicBool::new(false),
            checks_failed: AtomicU32::new(0),
        }
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    pub(crate) fn is_sick(&self) -> bool {
        self.sick.load(Ordering::Relaxed)
    }

    pub(crate) fn is_paused(&self, now_ms: u64) -> bool {
        self.paused_until.load(Ordering::Relaxed) > now_ms
    }

    /// It answered.
    pub(crate) fn worked(&self) {
        // Most of the time there is nothing to write, and the line stays in everybody's cache.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.pauses.load(Ordering::Relaxed) != 0 {
            self.pauses.store(0, Ordering::Relaxed);
            self.paused_until.store(0, Ordering::Relaxed);
        }
    }

    /// It failed; after `allowed` times in a row it is left alone, each time for longer, unless it
    /// is the `only` one: then it is asked again soon.
    pub(crate) fn failed(&self, allowed: u32, only: bool, now_ms: u64, why: &impl Display) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 < allowed || self.is_paused(now_ms) {
            return;
        }
        let pauses = self.pauses.fetch_add(1, Ordering::Relaxed).min(8);
        let pause = match only {
            true => SHORTEST_PAUSE,
            false => (SHORTEST_PAUSE * 2_u32.pow(pauses)).min(LONGEST_PAUSE),
        };
        let until = now_ms + pause.as_millis() as u64;
        self.paused_until.store(until, Ordering::Relaxed);
        tracing::warn!(address = %self.address, host = %self.host, reason = %why,
            pause_ms = pause.as_millis() as u64, "a replica fails and is left alone");
    }

    /// What a health check said: two that fail make it sick, one that does not makes it well.
    pub(crate) fn checked(&self, found: Result<(), impl Display>) {
        let failed = match &found {
            Ok(()) => 0,
            Err(_) => self.checks_failed.load(Ordering::Relaxed) + 1,
        };
        self.checks_failed.store(failed, Ordering::Relaxed);
        let sick = failed >= 2 || (failed > 0 && self.is_sick());
        if self.sick.swap(sick, Ordering::Relaxed) != sick {
            let reason = found.err().map(|why| why.to_string());
            tracing::info!(address = %self.address, host = %self.host, sick, reason, "health of a replica");
        }
    }
}

/// A request that a replica is working on; it counts as long as this lives.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Replica>);

impl Lease {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        replica.active.fetch_add(1, Ordering::Relaxed);
        Self(replica)
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica() -> Replica {
        Replica::new(([127, 0, 0, 1], 1).into(), "x:1".into(), None)
    }

    #[test]
    fn it_is_left_alone_for_longer_each_time_it_fails_again() {
        let it = replica();
        it.failed(2, false, 0, &"no");
        assert!(!it.is_paused(0), "once is allowed");
        it.failed(2, false, 0, &"no");
        assert!(it.is_paused(499) && !it.is_paused(500));
        it.failed(2, false, 500, &"no");
        assert!(it.is_paused(1_499) && !it.is_paused(1_500));
        it.worked();
        assert!(!it.is_paused(0));
        it.failed(1, true, 0, &"no");
        it.failed(1, true, 600, &"no");
        assert!(it.is_paused(600) && !it.is_paused(1_100), "the only one");
    }

    #[test]
    fn two_checks_that_fail_make_it_sick_and_one_makes_it_well() {
        let it = replica();
        it.checked(Err("no"));
        assert!(!it.is_sick());
        it.checked(Err("no"));
        assert!(it.is_sick());
        it.checked(Ok::<_, &str>(()));
        it.checked(Err("no"));
        assert!(!it.is_sick());
    }

    #[test]
    fn requests_in_hand_are_counted() {
        let it = Arc::new(replica());
        let (one, two) = (Lease::new(Arc::clone(&it)), Lease::new(Arc::clone(&it)));
        assert_eq!(it.active(), 2);
        drop((one, two));
        assert_eq!(it.active(), 0);
    }
}
