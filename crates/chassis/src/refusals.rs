//! Refused requests in the log: what, to whom, from where. Whoever is refused a thousand times a
//! second hides nothing else there: most of such lines are only counted.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines a second, at most.
const MOST: u32 = 20;

/// A request that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub request_id: &'a str,
    pub method: &'a str,
    /// By its pattern: paths may hold what opens something.
    pub route: &'a str,
    pub status: u16,
    pub code: &'a str,
    /// As far as they showed who they are.
    pub who: Option<&'a str>,
    pub address: Option<IpAddr>,
}

/// Whether an answer refuses somebody: they did not show who they are, may not, ask too often, or
/// ask as no client of ours does. What a person mistyped in a form is none.
pub fn is_one(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 414 | 429 | 431 | 505)
}

/// How much of the log refusals have had.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Purse>);

#[derive(Debug, Default)]
struct Purse {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Refusals {
    pub fn tell(&self, refused: &Refused<'_>) {
        let Some(left_out) = self.take(Instant::now()) else {
            return;
        };
        tracing::info!(
            request.id = refused.request_id,
            method = refused.method,
            route = refused.route,
            status = refused.status,
            code = refused.code,
            who = refused.who,
            address = refused.address.map(tracing::field::display),
            left_out,
            "a request was refused"
        );
    }

    /// How many lines were left out before this one, if there may be one now.
    fn take(&self, now: Instant) -> Option<u64> {
        let mut purse = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |since: Instant| now.duration_since(since) >= Duration::from_secs(1);
        if purse.since.is_none_or(over) {
            purse.since = Some(now);
            purse.lines = 0;
        }
        if purse.lines == MOST {
            purse.left_out += 1;
            return None;
        }
        purse.lines += 1;
        Some(std::mem::take(&mut purse.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_refusals_at_once_are_counted_and_the_count_is_told() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for _ in 0..MOST {
            assert_eq!(refusals.take(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(refusals.take(start), None);
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(refusals.take(later), Some(7));
        assert_eq!(refusals.take(later), Some(0));
    }
}
