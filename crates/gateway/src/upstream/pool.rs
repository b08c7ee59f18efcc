//! The replicas of one service, and which of them is asked next.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use chassis::Unavailable;
use tokio::net::lookup_host;

use super::replica::{Lease, Replica};
use super::stream::Secure;
use crate::error::Error;

/// A replica of several is left alone after so many failures in a row; the only one is given more
/// chances, because there is nobody else to ask.
const ALLOWED: u32 = 3;
const ALLOWED_ONLY: u32 = 10;
/// While nobody may be asked, somebody is, so often.
const PROBE_MS: u64 = 100;
/// A request earns so much of a repetition, up to a reserve.
const EARNED_PER_REQUEST: i64 = 200;
const REPETITION: i64 = 1_000;
const RESERVE: i64 = 200 * REPETITION;

/// `host:port` of replicas, as the settings name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Only by TLS, if there is something here.
    pub(crate) secure: Option<Secure>,
}

#[derive(Debug)]
pub(crate) struct Pool {
    name: String,
    places: Vec<Place>,
    /// The path that says whether a replica is ready.
    pub(crate) check: String,
    replicas: ArcSwap<Vec<Arc<Replica>>>,
    started: Instant,
    turn: AtomicUsize,
    probed_ms: AtomicU64,
    /// What repetitions may cost, in thousandths.
    budget: AtomicI64,
}

impl Pool {
    pub(crate) fn new(name: &str, places: Vec<Place>, check: &str) -> Self {
        // What is an address already needs no look-up.
        let known = places.iter().filter_map(|place| {
            let address = place.host.trim_matches(['[', ']']).parse().ok()?;
            Some(replica(SocketAddr::new(address, place.port), place))
        });
        Self {
            name: name.to_owned(),
            check: check.to_owned(),
            replicas: ArcSwap::from_pointee(known.collect()),
            places,
            started: Instant::now(),
            turn: AtomicUsize::new(0),
            probed_ms: AtomicU64::new(0),
            budget: AtomicI64::new(RESERVE),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this installation has the service at all.
    pub(crate) fn exists(&self) -> bool {
        !self.places.is_empty()
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn replicas(&self) -> Arc<Vec<Arc<Replica>>> {
        self.replicas.load_full()
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The least busy replica that is well and was not tried; if none is well, one that may be.
    pub(crate) fn pick(&self, tried: &[u64]) -> Result<Lease, Error> {
        let replicas = self.replicas.load();
        if let [only] = replicas.as_slice()
            && tried.is_empty()
        {
            return self.probe(only);
        }
        let now = self.now_ms();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = replicas.len().max(1);
        let in_turn = (0..replicas.len()).map(|at| &replicas[(at + turn) % count]);
        let untried = in_turn.filter(|it| !tried.contains(&it.id));
        // Fewest in hand, among equals the next in turn.
        let best = untried.min_by_key(|it| (it.is_paused(now), it.is_sick(), it.active()));
        match best {
            Some(best) if !best.is_paused(now) || !tried.is_empty() => {
                Ok(Lease::new(Arc::clone(best)))
            }
            Some(best) => self.probe(best),
            None => Err(self.away()),
        }
    }

    /// The breaker: while a replica is paused, one request in a while finds out how it is.
    fn probe(&self, replica: &Arc<Replica>) -> Result<Lease, Error> {
        let now = self.now_ms();
        if replica.is_paused(now) {
            let last = self.probed_ms.load(Ordering::Relaxed);
            let taken = now < last + PROBE_MS
                || self
                    .probed_ms
                    .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err();
            if taken {
                return Err(self.away());
            }
        }
        Ok(Lease::new(Arc::clone(replica)))
    }

    pub(crate) fn away(&self) -> Error {
        Unavailable::new(&self.name).into()
    }

    /// A replica refused a connection or broke one off.
    pub(crate) fn failed(&self, replica: &Replica, refused: bool, why: &impl Display) {
        let only = self.replicas.load().len() == 1;
        let allowed = match (only, refused) {
            (true, _) => ALLOWED_ONLY,
            (false, true) => 1,
            (false, false) => ALLOWED,
        };
        replica.failed(allowed, only, self.now_ms(), why);
    }

    /// Counts a request, which earns a part of a repetition.
    pub(crate) fn earn(&self) {
        if self.budget.load(Ordering::Relaxed) < RESERVE {
            self.budget.fetch_add(EARNED_PER_REQUEST, Ordering::Relaxed);
        }
    }

    /// Whether a request may be repeated: a service in trouble must not get twice the requests.
    pub(crate) fn may_repeat(&self) -> bool {
        let left = self.budget.fetch_sub(REPETITION, Ordering::Relaxed) >= REPETITION;
        if !left {
            self.budget.fetch_add(REPETITION, Ordering::Relaxed);
        }
        left
    }

    /// Looks names up anew. Replicas that stay keep what is known of them; a name that cannot be
    /// looked up at the moment keeps its replicas.
    pub(crate) async fn resolve(&self) {
        let known = self.replicas.load_full();
        let mut found: Vec<Arc<Replica>> = Vec::new();
        for place in &self.places {
            let host: Arc<str> = format!("{}:{}", place.host, place.port).into();
            match lookup_host((place.host.trim_matches(['[', ']']), place.port)).await {
                Ok(addresses) => {
                    for address in preferred(addresses.collect()) {
                        let same = known.iter().find(|it| it.address == address);
                        let it = same.cloned().unwrap_or_else(|| replica(address, place));
                        if !found.iter().any(|other| other.address == address) {
                            found.push(it);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, pool = self.name, %host, "a name cannot be looked up");
                    found.extend(known.iter().filter(|it| it.host == host).cloned());
                }
            }
        }
        let same = found.len() == known.len()
            && found
                .iter()
                .all(|it| known.iter().any(|old| old.id == it.id));
        if !same {
            tracing::info!(pool = self.name, replicas = found.len(), "replicas");
            self.replicas.store(Arc::new(found));
        }
    }

    /// Whether any place is a name rather than an address.
    pub(crate) fn has_names(&self) -> bool {
        let is_name = |place: &Place| {
            let host = place.host.trim_matches(['[', ']']);
            host.parse::<std::net::IpAddr>().is_err()
        };
        self.places.iter().any(is_name)
    }

    /// Whether its names lead to nobody, or were not looked up yet.
    pub(crate) fn is_lost(&self) -> bool {
        self.has_names() && self.replicas.load().is_empty()
    }
}

/// A name with addresses of both families names the same replicas twice.
fn preferred(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn replica(address: SocketAddr, place: &Place) -> Arc<Replica> {
    let host = format!("{}:{}", place.host, place.port).into();
    Arc::new(Replica::new(address, host, place.secure.clone()))
}

/// All pools by name. They outlive the table: a reload keeps those whose places stay the same.
pub(crate) type Pools = BTreeMap<String, Arc<Pool>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(count: u16) -> Pool {
        let place = |port| Place {
            host: "127.0.0.1".into(),
            port,
            secure: None,
        };
        Pool::new("x", (1..=count).map(place).collect(), "/health/ready")
    }

    #[test]
    fn the_least_busy_is_asked() {
        let pool = pool(3);
        let leases: Vec<_> = (0..6).map(|_| pool.pick(&[]).expect("one")).collect();
        assert!(pool.replicas().iter().all(|it| it.active() == 2));
        let id = leases[4].replica().id;
        drop(leases.into_iter().nth(4));
        assert_ne!(pool.pick(&[id]).expect("one").replica().id, id);
    }

    #[test]
    fn one_that_refuses_is_left_alone_while_there_are_others() {
        let pool = pool(2);
        let first = Arc::clone(&pool.replicas()[0]);
        pool.failed(&first, true, &"no");
        for _ in 0..8 {
            assert_ne!(pool.pick(&[]).expect("one").replica().id, first.id);
        }
        let second = Arc::clone(&pool.replicas()[1]);
        pool.failed(&second, true, &"no");
        assert!(
            pool.pick(&[first.id]).is_ok(),
            "rather a paused one than none"
        );
        assert!(pool.pick(&[first.id, second.id]).is_err());
    }

    #[test]
    fn a_breaker_lets_one_through_in_a_while() {
        let pool = pool(1);
        let only = Arc::clone(&pool.replicas()[0]);
        for _ in 0..ALLOWED_ONLY {
            assert!(pool.pick(&[]).is_ok());
            pool.failed(&only, true, &"no");
        }
        let through = (0..100).filter(|_| pool.pick(&[]).is_ok()).count();
        assert!(through <= 1, "{through}");
        only.worked();
        assert!(pool.pick(&[]).is_ok());
    }

    #[test]
    fn repetitions_are_a_part_of_the_requests() {
        let pool = pool(1);
        while pool.may_repeat() {}
        (0..10).for_each(|_| pool.earn());
        assert_eq!((0..10).filter(|_| pool.may_repeat()).count(), 2);
    }

    #[tokio::test]
    async fn names_are_looked_up_and_what_stays_is_kept() {
        let place = Place {
            host: "localhost".into(),
            port: 7,
            secure: None,
        };
        let pool = Pool::new("x", vec![place], "/");
        assert!(pool.is_lost());
        pool.resolve().await;
        assert!(!pool.is_lost());
        let first = pool.replicas();
        assert_eq!(first[0].host.as_ref(), "localhost:7");
        pool.resolve().await;
        assert_eq!(pool.replicas()[0].id, first[0].id);
    }
}
