//! One sender at work in this process: its queue, its breaker, and what it may send now.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::ids::SenderId;
use mail::smtp::{Reply, SmtpServer};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::allowance::Allowance;
use super::breaker::Way;
use super::lane::Ready;
use super::marks::Marks;
use super::meters::SenderState;
use super::{Breaker, Sending};
use crate::domain::pace::Pace;
use crate::domain::routing::{self, FALLBACK, Rank, Serves, Standing};
use crate::domain::sender::OTHERS;
use crate::store::senders::Sender;

/// A sender that took a message this short a time ago refuses a message, not everybody.
const LATELY: Duration = Duration::from_secs(10);
/// Most destination domains whose speed is remembered.
const MOST_DOMAINS: usize = 2_000;

pub(crate) struct Outlet {
    pub(super) id: Option<SenderId>,
    pub(super) version: i64,
    pub(super) name: String,
    /// Names it in metrics and in the limits that replicas share.
    pub(super) key: String,
    /// None when its password cannot be read.
    pub(super) server: Option<SmtpServer>,
    pub(super) marks: Marks,
    pub(super) connections: usize,
    priority: i32,
    domains: Vec<String>,
    pub(super) per_second: Option<f64>,
    domain_rates: BTreeMap<String, f64>,
    pub(super) allowance: Option<Allowance>,
    pub(crate) breaker: Breaker,
    singles: Queue,
    campaigns: Queue,
    /// Rung when a message left the queue.
    pub(super) room: Notify,
    /// Its lanes take turns in waiting for what it is allowed.
    pub(super) turn: tokio::sync::Mutex<()>,
    domains_served: Mutex<Served>,
    /// Messages that its server answered.
    flow: Mutex<Flow>,
    /// When it last took the sender's address of a message.
    passed: Mutex<Option<Instant>>,
    /// It is not used any more: deleted, or made anew with other settings.
    pub(super) retired: CancellationToken,
    started: AtomicBool,
}

type Queue = (async_channel::Sender<Ready>, async_channel::Receiver<Ready>);

/// What is known of destination domains.
#[derive(Debug, Default)]
struct Served {
    paces: HashMap<String, Pace>,
    flows: HashMap<String, Flow>,
    /// A lane waits for a token of this domain; the others do not.
    waiting: Vec<String>,
}

/// How many messages a domain took, in this span of ten seconds and the one before.
#[derive(Clone, Copy, Debug)]
struct Flow {
    since: Instant,
    now: u32,
    before: u32,
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outlet({})", self.key)
    }
}

impl Outlet {
    /// The installation's own mail server.
    pub(super) fn installed(sending: &Sending) -> Self {
        let server = sending.server.clone();
        Self {
            key: format!("default-{}:{}", server.host, server.port),
            marks: Marks::of(&server.host),
            server: Some(server),
            ..Self::bare("default", sending.connections)
        }
    }

    pub(super) fn new(sender: &Sender, vault: &Vault) -> Self {
        let connections = usize::try_from(sender.connections).unwrap_or(1);
        let of = (sender.workspace_id, sender.id);
        let outlet = Self {
            id: Some(sender.id),
            version: sender.version,
            key: sender.id.to_string(),
            marks: Marks::of(&sender.host),
            server: sender.server(vault),
            priority: sender.priority,
            domains: sender.domains.clone(),
            per_second: sender.per_second,
            domain_rates: sender.domain_rates(),
            allowance: sender.warm_up().map(|plan| Allowance::new(of, plan)),
            ..Self::bare(&sender.name, connections)
        };
        if outlet.server.is_none() {
            let reason = "its password cannot be read with the data keys in use";
            outlet.breaker.failed(reason.to_owned(), Instant::now());
        }
        outlet
    }

    fn bare(name: &str, connections: usize) -> Self {
        Self {
            id: None,
            version: 0,
            name: name.to_owned(),
            key: String::new(),
            server: None,
            marks: Marks::Nothing,
            connections,
            priority: 0,
            domains: Vec::new(),
            per_second: None,
            domain_rates: BTreeMap::new(),
            allowance: None,
            breaker: Breaker::default(),
            singles: async_channel::bounded(connections + 8),
            campaigns: async_channel::bounded(connections * 2 + 64),
            room: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            domains_served: Mutex::default(),
            flow: Mutex::new(Flow {
                since: Instant::now(),
                now: 0,
                before: 0,
            }),
            passed: Mutex::default(),
            retired: CancellationToken::new(),
            started: AtomicBool::new(false),
        }
    }

    /// Where it stands in the order for mail from `domain`.
    pub(super) fn rank(&self, chosen: Option<SenderId>, domain: &str) -> Option<Rank> {
        let Some(id) = self.id else {
            return Some(FALLBACK);
        };
        let serves = Serves {
            id,
            priority: self.priority,
            domains: &self.domains,
        };
        routing::rank(serves, chosen, domain)
    }

    /// Whether it can take a message, of a campaign or of none.
    pub(super) fn standing(&self, single: bool, now: Instant, at: DateTime<Utc>) -> Standing {
        let queue = self.queue(single);
        let waiting = self.singles.1.len() + self.campaigns.1.len();
        match self.breaker.way(now) {
            Way::Closed(_) => return Standing::Closed,
            Way::Trial if waiting > 0 || self.breaker.is_tried() => return Standing::Closed,
            Way::Trial | Way::Clear => {}
        }
        if self
            .allowance
            .as_ref()
            .is_some_and(|allowed| allowed.is_spent(at))
        {
            return Standing::Spent;
        }
        match queue.1.is_full() || (!single && queue.1.len() >= self.enough()) {
            true => Standing::Full,
            false => Standing::Open(waiting),
        }
    }

    /// More than two seconds' worth need not wait here.
    fn enough(&self) -> usize {
        let two_seconds = |rate: f64| (rate * 2.0).ceil().max(2.0) as usize;
        self.per_second.map_or(usize::MAX, two_seconds)
    }

    fn queue(&self, single: bool) -> &Queue {
        match single {
            true => &self.singles,
            false => &self.campaigns,
        }
    }

    /// Takes the message, or gives it back when there is no room any more.
    pub(super) fn push(&self, ready: Ready) -> Result<(), Box<Ready>> {
        let single = ready.of.campaign_id.is_none();
        let pushed = self.queue(single).0.try_send(ready);
        pushed.map_err(|refused| Box::new(refused.into_inner()))
    }

    /// The next message, those without a campaign first; none when there will be no more.
    pub(super) async fn next(&self) -> Option<Ready> {
        let ready = tokio::select! {
            biased;
            Ok(ready) = self.singles.1.recv() => Some(ready),
            Ok(ready) = self.campaigns.1.recv() => Some(ready),
            else => None,
        };
        self.room.notify_one();
        ready
    }

    /// The next message of a campaign, if one is there and nothing more urgent is.
    pub(super) fn next_of_campaign(&self) -> Option<Ready> {
        if !self.singles.1.is_empty() {
            return None;
        }
        let ready = self.campaigns.1.try_recv().ok()?;
        self.room.notify_one();
        Some(ready)
    }

    /// Whether a lane waits for what it may send before it takes a message.
    pub(super) fn is_limited(&self) -> bool {
        self.per_second.is_some() || self.allowance.is_some()
    }

    /// What waits, for another sender to take.
    pub(super) fn drain(&self) -> Vec<Ready> {
        let queues = [&self.singles.1, &self.campaigns.1];
        let waiting = queues
            .into_iter()
            .flat_map(|queue| std::iter::from_fn(|| queue.try_recv().ok()));
        waiting.collect()
    }

    /// True once: its lanes must be started.
    pub(super) fn starts(&self) -> bool {
        !self.started.swap(true, Ordering::Relaxed)
    }

    /// It takes nothing any more, and its lanes end.
    pub(super) fn retire(&self) {
        self.singles.0.close();
        self.campaigns.0.close();
        self.retired.cancel();
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        let served = self.domains_served.lock();
        served.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages a second may go to `domain`; none when as many as we like.
    pub(super) fn domain_rate(&self, domain: &str, at: DateTime<Utc>) -> Option<f64> {
        let set = self
            .domain_rates
            .get(domain)
            .or_else(|| self.domain_rates.get(OTHERS));
        let pace = self
            .served()
            .paces
            .get(domain)
            .and_then(|pace| pace.rate(at));
        match (set.copied(), pace) {
            (Some(set), Some(pace)) => Some(set.min(pace)),
            (set, pace) => set.or(pace),
        }
    }

    /// Whether the caller may wait for a token of `domain`; then it must say when it has done so.
    pub(super) fn begin_waiting(&self, domain: &str) -> bool {
        let mut served = self.served();
        let first = !served.waiting.iter().any(|other| other == domain);
        if first {
            served.waiting.push(domain.to_owned());
        }
        first
    }

    pub(super) fn end_waiting(&self, domain: &str) {
        self.served().waiting.retain(|other| other != domain);
    }

    /// How it is doing, for operators.
    pub(super) fn state(&self, now: Instant) -> SenderState {
        let open = !matches!(self.breaker.way(now), Way::Closed(_));
        let flow = *self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        SenderState {
            key: self.key.clone(),
            open: open && self.breaker.reason().is_none(),
            per_second: flow.rate(now),
            limit: self.per_second,
        }
    }

    /// `domain` took a message.
    pub(super) fn flowed(&self, domain: &str, now: Instant) {
        let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        flow.count(now);
        drop(flow);
        let mut served = self.served();
        if served.flows.len() >= MOST_DOMAINS {
            served.flows.clear();
        }
        match served.flows.get_mut(domain) {
            Some(flow) => flow.count(now),
            None => {
                let flow = Flow {
                    since: now,
                    now: 1,
                    before: 0,
                };
                served.flows.insert(domain.to_owned(), flow);
            }
        }
    }

    /// `domain` asked for less; answers what it gets now.
    pub(super) fn slow_down(&self, domain: &str, now: Instant, at: DateTime<Utc>) -> Option<f64> {
        let set = self
            .domain_rates
            .get(domain)
            .or_else(|| self.domain_rates.get(OTHERS));
        let mut served = self.served();
        let seen = served.flows.get(domain).map_or(0.0, |flow| flow.rate(now));
        // What was reached, at most what was allowed.
        let from = set.map_or(seen, |set| set.min(seen.max(1.0)));
        let pace = match served.paces.get(domain) {
            Some(pace) if pace.rate(at).is_some() => pace.halved_again(at),
            _ => Pace::halved_from(from, at),
        };
        served.paces.insert(domain.to_owned(), pace);
        pace.rate(at)
    }

    /// The domains that are served more slowly than usual.
    pub(crate) fn paces(&self, at: DateTime<Utc>) -> HashMap<String, Pace> {
        let mut served = self.served();
        served.paces.retain(|_, pace| pace.rate(at).is_some());
        served.paces.clone()
    }

    /// Takes over what other replicas were told later than we.
    pub(super) fn adopt(&self, paces: &HashMap<String, Pace>) {
        let mut served = self.served();
        for (domain, pace) in paces {
            let known = served.paces.get(domain);
            if known.is_none_or(|known| known.since < pace.since) {
                served.paces.insert(domain.clone(), *pace);
            }
        }
    }

    /// A message got past its sender's address: whatever is refused later is about the message.
    pub(super) fn passed(&self, now: Instant) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed = Some(now);
        drop(passed);
        self.breaker.worked();
    }

    /// A message was refused at MAIL. True when nobody gets past it, so that it is the sender
    /// that does not work.
    pub(super) fn refuses_everybody(&self, reply: &Reply, now: Instant) -> bool {
        let passed = *self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.is_some_and(|at| now.saturating_duration_since(at) < LATELY) {
            return false;
        }
        let reason = format!("the mail server refuses everything: {reply}");
        self.breaker.refused(reason, now);
        true
    }
}

impl Flow {
    const SPAN: Duration = Duration::from_secs(10);

    fn count(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= Self::SPAN {
            self.before = if age < Self::SPAN * 2 { self.now } else { 0 };
            (self.since, self.now) = (now, 0);
        }
        self.now += 1;
    }

    /// Per second, over the last span or what there is of it.
    fn rate(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.since);
        if age >= Self::SPAN * 2 {
            return 0.0;
        }
        let age = age.as_secs_f64();
        let span = if self.before > 0 {
            age + 10.0
        } else {
            age.max(1.0)
        };
        f64::from(self.now + self.before) / span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let parsed = Reply::parse(format!("{text}\r\n").as_bytes());
        parsed.expect("well-formed").expect("complete").0
    }

    #[test]
    fn a_refusal_at_mail_is_the_senders_unless_others_get_through() {
        let (outlet, now) = (Outlet::bare("a", 1), Instant::now());
        let refusal = reply("550 5.7.1 not today");
        assert!(outlet.refuses_everybody(&refusal, now));
        assert!(matches!(outlet.breaker.way(now), Way::Closed(_)));
        outlet.passed(now);
        assert_eq!(outlet.breaker.way(now), Way::Clear);
        assert!(!outlet.refuses_everybody(&refusal, now));
        assert!(outlet.refuses_everybody(&refusal, now + LATELY));
    }

    #[test]
    fn a_domain_that_asks_for_less_gets_half_of_what_it_took() {
        let (outlet, now, at) = (Outlet::bare("a", 1), Instant::now(), Utc::now());
        for tick in 0..100 {
            outlet.flowed("b.example", now + Duration::from_millis(tick * 50));
        }
        assert_eq!(outlet.domain_rate("b.example", at), None);
        let later = now + Duration::from_secs(5);
        assert_eq!(outlet.slow_down("b.example", later, at), Some(10.0));
        assert_eq!(outlet.domain_rate("b.example", at), Some(10.0));
        assert_eq!(outlet.domain_rate("c.example", at), None);
        let other = Outlet::bare("a", 1);
        other.adopt(&outlet.paces(at));
        assert_eq!(other.domain_rate("b.example", at), Some(10.0));
    }

    #[test]
    fn one_lane_waits_for_a_domain() {
        let outlet = Outlet::bare("a", 1);
        assert!(outlet.begin_waiting("b.example"));
        assert!(!outlet.begin_waiting("b.example"));
        assert!(outlet.begin_waiting("c.example"));
        outlet.end_waiting("b.example");
        assert!(outlet.begin_waiting("b.example"));
    }
}
