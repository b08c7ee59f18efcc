//! A token bucket: so many per second, and a few at once.

use std::time::{Duration, Instant};

/// Tokens that come back with time. The rate is given at each use, so it may change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// An empty one: what was allowed before it began is nobody's.
    pub(crate) fn empty(now: Instant) -> Self {
        Self {
            tokens: 0.0,
            at: now,
        }
    }

    /// Takes one, or tells how long until there is one. A rate of zero never gives any.
    pub(crate) fn take(&mut self, per_second: f64, now: Instant) -> Result<(), Duration> {
        self.fill(per_second, now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(wait(1.0 - self.tokens, per_second))
    }

    /// Adds tokens that were granted elsewhere.
    pub(crate) fn add(&mut self, tokens: u32) {
        self.tokens += f64::from(tokens);
    }

    /// Takes one of those that are there, without any coming back.
    pub(crate) fn take_granted(&mut self) -> bool {
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    fn fill(&mut self, per_second: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * per_second).min(burst(per_second));
    }
}

/// So many may go at once after a pause: what a tenth of a second allows, and one at least.
pub(crate) fn burst(per_second: f64) -> f64 {
    (per_second / 10.0).max(1.0)
}

/// How long `tokens` take to come; an hour when the rate is as good as none.
fn wait(tokens: f64, per_second: f64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(3600);
    Duration::try_from_secs_f64(tokens / per_second).map_or(LONGEST, |wait| wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_gives_as_many_as_the_rate_allows_and_says_when_the_next_comes() {
        let start = Instant::now();
        let mut bucket = Bucket::empty(start);
        assert_eq!(bucket.take(2.0, start), Err(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.take(2.0, later), Ok(()));
        assert_eq!(bucket.take(2.0, later), Err(Duration::from_millis(500)));
    }

    #[test]
    fn a_pause_saves_up_no_more_than_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::empty(start);
        let later = start + Duration::from_secs(3600);
        let taken = (0..100)
            .filter(|_| bucket.take(50.0, later).is_ok())
            .count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn no_rate_gives_none() {
        let start = Instant::now();
        let mut bucket = Bucket::empty(start);
        let wait = bucket.take(0.0, start + Duration::from_secs(9));
        assert_eq!(wait, Err(Duration::from_secs(3600)));
    }

    #[test]
    fn granted_tokens_are_spent_once() {
        let mut bucket = Bucket::empty(Instant::now());
        assert!(!bucket.take_granted());
        bucket.add(2);
        assert!(bucket.take_granted() && bucket.take_granted() && !bucket.take_granted());
    }

    proptest! {
        #[test]
        fn it_never_gives_more_than_time_and_burst_allow(
            rate in 0.5_f64..500.0,
            steps in prop::collection::vec(0_u64..300, 1..200),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::empty(start), start, 0.0);
            for step in steps {
                now += Duration::from_millis(step);
                while bucket.take(rate, now).is_ok() {
                    taken += 1.0;
                }
            }
            let allowed = (now - start).as_secs_f64() * rate + burst(rate);
            prop_assert!(taken <= allowed + 1e-6, "{taken} of {allowed}");
        }
    }
}
