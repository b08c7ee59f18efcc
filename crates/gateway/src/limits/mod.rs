//! How many requests somebody may send: the generic cell rate algorithm (GCRA), decided here.
//!
//! A cell is one number, the time at which its holder will have used nothing again; a request moves
//! it on by the rate's interval, and is refused when that would be more than a burst ahead of now.

mod sync;

pub(crate) use sync::sync;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use common::auth::{Caller, Subject};
use uuid::Uuid;

use crate::reply::Reply;
use crate::table::Per;

/// One kind of limit.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    per: Per,
    /// Between two requests at the rate, in microseconds.
    pub(crate) interval: u64,
    pub(crate) burst: u32,
    /// What the policy says: so many in so many seconds.
    policy: String,
}

impl Rule {
    pub(crate) fn new(name: &str, per: Per, count: u32, time: Duration, burst: u32) -> Self {
        let interval = (time.as_micros() as u64 / u64::from(count)).max(1);
        let window = (interval * u64::from(burst)).div_ceil(1_000_000);
        Self {
            name: name.to_owned(),
            per,
            interval,
            burst,
            policy: format!("\"{name}\";q={burst};w={window}"),
        }
    }

    /// Whom this rule counts a request for.
    pub(crate) fn who(&self, caller: Option<&Caller>, address: IpAddr) -> Who {
        match (self.per, caller) {
            (Per::Everybody, _) => Who::Everybody,
            (Per::Workspace, Some(caller)) => Who::Workspace(caller.workspace.0),
            (Per::Caller, Some(caller)) => Who::of(caller),
            _ => Who::Address(network(address)),
        }
    }
}

/// Whoever is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Everybody,
    Workspace(Uuid),
    User(Uuid),
    Key(Uuid),
    Address(IpAddr),
}

impl Who {
    fn of(caller: &Caller) -> Self {
        match caller.subject {
            Subject::User(id) => Self::User(id.0),
            Subject::ApiKey(id) => Self::Key(id.0),
            Subject::Service(_) => Self::Everybody,
        }
    }
}

/// A customer of a provider has a whole network of IPv6 addresses, of which one is as good as
/// another.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !(u128::from(u64::MAX));
            IpAddr::V6(bits.into())
        }
        address => address,
    }
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    /// Microseconds: until the next request is allowed, or everything is as if there had been none.
    pub(crate) retry: u64,
    pub(crate) reset: u64,
}

impl Verdict {
    /// The fields of draft-ietf-httpapi-ratelimit-headers.
    pub(crate) fn tell(&self, rule: &Rule, reply: &mut Reply) {
        let mut line = Line::default();
        line.text("\"");
        line.text(&rule.name);
        line.text("\";r=");
        line.number(self.remaining);
        line.text(";t=");
        let wait = if self.allowed { self.reset } else { self.retry };
        line.number(wait.div_ceil(1_000_000));
        reply.say("ratelimit-policy", rule.policy.as_bytes());
        reply.say("ratelimit", line.as_bytes());
    }
}

/// A short text without memory of its own.
struct Line {
    bytes: [u8; 128],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 128],
            length: 0,
        }
    }
}

impl Line {
    fn text(&mut self, text: &str) {
        let room = self.bytes.len() - self.length;
        let count = text.len().min(room);
        self.bytes[self.length..self.length + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
    }

    fn number(&mut self, number: u64) {
        self.text(itoa::Buffer::new().format(number));
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Name of the rule, by its hash, and who.
pub(crate) type CellKey = (u64, Who);

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// When its holder will have used nothing again, in microseconds since 1970.
    free_at: u64,
    /// Requests that were allowed here and that the other gateways have not heard of.
    untold: u32,
    /// Of the rule, in microseconds.
    interval: u64,
    ahead: u64,
}

/// Requests that the other gateways are to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    pub(crate) key: CellKey,
    pub(crate) count: u32,
    pub(crate) interval: u64,
    /// How far ahead of now a cell may be.
    pub(crate) ahead: u64,
}

const SHARDS: usize = 16;
/// Cells of a shard before those that say nothing any more are thrown away.
const CROWDED: usize = 8_192;

/// All cells. Workers share them, in parts, so that they hardly ever meet.
#[derive(Debug)]
pub(crate) struct Limits {
    shards: [Mutex<HashMap<CellKey, Cell, foldhash::fast::RandomState>>; SHARDS],
    hasher: foldhash::fast::RandomState,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl Limits {
    /// Counts one request of `who` at `now`, if it is allowed.
    pub(crate) fn take(&self, rule: &Rule, who: Who, now: u64) -> Verdict {
        let key = (rule_key(&rule.name), who);
        let ahead = rule.interval * u64::from(rule.burst);
        let mut shard = self.shard(&key);
        if shard.len() >= CROWDED && !shard.contains_key(&key) {
            shard.retain(|_, cell| cell.free_at > now || cell.untold > 0);
        }
        let cell = shard.entry(key).or_default();
        let used = cell.free_at.saturating_sub(now);
        let next = used + rule.interval;
        if next > ahead {
            return Verdict {
                allowed: false,
                remaining: 0,
                retry: next - ahead,
                reset: used,
            };
        }
        cell.free_at = now + next;
        cell.untold = cell.untold.saturating_add(1);
        (cell.interval, cell.ahead) = (rule.interval, ahead);
        Verdict {
            allowed: true,
            remaining: (ahead - next) / rule.interval,
            retry: 0,
            reset: next,
        }
    }

    /// What was allowed here since the last time, at most `count` cells of it.
    pub(crate) fn untold(&self, count: usize) -> Vec<Untold> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, cell) in shard.iter_mut().filter(|(_, cell)| cell.untold > 0) {
                if found.len() == count {
                    return found;
                }
                found.push(Untold {
                    key: *key,
                    count: std::mem::take(&mut cell.untold),
                    interval: cell.interval,
                    ahead: cell.ahead,
                });
            }
        }
        found
    }

    /// What all gateways together have allowed: a cell only ever moves on.
    pub(crate) fn hear(&self, key: CellKey, free_at: u64) {
        let mut shard = self.shard(&key);
        let cell = shard.entry(key).or_default();
        cell.free_at = cell.free_at.max(free_at);
    }

    fn shard(
        &self,
        key: &CellKey,
    ) -> MutexGuard<'_, HashMap<CellKey, Cell, foldhash::fast::RandomState>> {
        use std::hash::BuildHasher;
        let at = self.hasher.hash_one(key) as usize >> 7 & (SHARDS - 1);
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same in every gateway (FNV-1a).
pub(crate) fn rule_key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;

    fn rule(count: u32, burst: u32) -> Rule {
        Rule::new("x", Per::Address, count, Duration::from_secs(1), burst)
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let (limits, rule, who) = (Limits::default(), rule(10, 5), Who::Everybody);
        let start = 1_000 * SECOND;
        for left in (0..5).rev() {
            let verdict = limits.take(&rule, who, start);
            assert!(verdict.allowed && verdict.remaining == left, "{verdict:?}");
        }
        let refused = limits.take(&rule, who, start);
        assert!(!refused.allowed);
        assert_eq!(refused.retry, SECOND / 10);
        assert!(!limits.take(&rule, who, start + SECOND / 10 - 1).allowed);
        assert!(limits.take(&rule, who, start + SECOND / 10).allowed);
        assert!(!limits.take(&rule, who, start + SECOND / 10).allowed);
    }

    #[test]
    fn everybody_has_a_cell_of_their_own() {
        let (limits, rule) = (Limits::default(), rule(1, 1));
        let one = Who::Address([10, 0, 0, 1].into());
        let two = Who::Address([10, 0, 0, 2].into());
        assert!(limits.take(&rule, one, SECOND).allowed);
        assert!(!limits.take(&rule, one, SECOND).allowed);
        assert!(limits.take(&rule, two, SECOND).allowed);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let rule = rule(1, 1);
        let who = |text: &str| rule.who(None, text.parse().expect("an address"));
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:2"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
    }

    #[test]
    fn what_others_allowed_counts_here_too() {
        let (limits, rule, who) = (Limits::default(), rule(10, 5), Who::Everybody);
        assert!(limits.take(&rule, who, SECOND).allowed);
        let untold = limits.untold(10);
        let [told] = untold[..] else {
            panic!("{untold:?}")
        };
        assert_eq!((told.key, told.count), ((rule_key("x"), who), 1));
        assert!(limits.untold(10).is_empty());
        limits.hear(told.key, SECOND + 5 * SECOND / 10);
        assert!(!limits.take(&rule, who, SECOND).allowed);
        limits.hear(told.key, 0);
        assert!(
            !limits.take(&rule, who, SECOND).allowed,
            "a cell only moves on"
        );
    }

    #[test]
    fn the_fields_are_those_of_the_draft() {
        let mut reply = Reply::default();
        let (limits, rule) = (Limits::default(), rule(2, 4));
        limits
            .take(&rule, Who::Everybody, SECOND)
            .tell(&rule, &mut reply);
        let lines = reply.lines().as_bytes();
        let expected = "ratelimit-policy: \"x\";q=4;w=2\r\nratelimit: \"x\";r=3;t=1\r\n";
        assert_eq!(std::str::from_utf8(lines), Ok(expected));
    }

    proptest! {
        /// In any stretch of time, no more than a burst and what the rate adds to it.
        #[test]
        fn never_more_than_burst_and_rate(
            steps in prop::collection::vec(0_u64..300_000, 1..200), count in 1_u32..50, burst in 1_u32..20,
        ) {
            let (limits, rule) = (Limits::default(), rule(count, burst));
            let start = 1_000 * SECOND;
            let (mut now, mut allowed) = (start, 0_u64);
            for step in steps {
                now += step;
                allowed += u64::from(limits.take(&rule, Who::Everybody, now).allowed);
                let most = u64::from(burst) + (now - start) / rule.interval;
                prop_assert!(allowed <= most, "{allowed} of {most}");
            }
        }
    }
}
