//! A lane: one connection, one message at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::{Clock, Db};
use chrono::TimeDelta;
use common::dto::dispatch::{AmbiguousPolicy, LimitKind};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use super::allowance::Leave;
use super::breaker::Way;
use super::hand::InHand;
use super::ledger::Ledger;
use super::outlet::Outlet;
use super::outlets::{Dispatcher, Route};
use super::{Delivery, Sending};
use crate::domain::pace::says_slow_down;
use crate::domain::state::State;
use crate::domain::verdict::{Verdict, judge};
use crate::store::moves::{Held, Move};
use mail::smtp::{Connection, Envelope, Handed, Next, Permit, SmtpError, Stage};

/// A message waits this long for its domain on a connection, at most.
const IN_LANE: Duration = Duration::from_millis(200);
/// A connection that has nothing to do is given back after this.
const IDLE: Duration = Duration::from_secs(20);

/// A message that is made and waits for a lane.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) of: Held,
    pub(crate) policy: AmbiguousPolicy,
    pub(crate) attempts: u32,
    pub(crate) address: String,
    pub(crate) envelope: Envelope,
    /// The domain it goes to, in lower case.
    pub(super) domain: String,
    pub(crate) content: Vec<u8>,
    /// A link in the mail shows it again, which needs its variables.
    pub(crate) shown_again: bool,
    pub(crate) route: Arc<Route>,
    /// What it takes of the memory for mails with files, until it is dropped.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

impl Ready {
    /// Octets of its content as this sender sends it.
    fn size_for(&self, outlet: &Outlet) -> usize {
        outlet.marks.size_with(self.of.id.into(), &self.content)
    }
}

pub(super) struct Lane {
    outlet: Arc<Outlet>,
    dispatcher: Dispatcher,
    db: Db,
    hand: Arc<InHand>,
    sending: Sending,
    connection: Option<Connection>,
    /// The message after the one in hand. The server is told of it with the final dot of that one,
    /// when nothing stands against it; it begins when that one has its answer, so a lane never has
    /// two messages of which nobody knows.
    ahead: Option<(Ready, Pass)>,
}

impl Lane {
    pub(super) fn new(
        delivery: &Delivery,
        outlet: Arc<Outlet>,
        dispatcher: Dispatcher,
        hand: Arc<InHand>,
    ) -> Self {
        Self {
            outlet,
            dispatcher,
            db: delivery.db.clone(),
            hand,
            sending: delivery.sending.clone(),
            connection: None,
            ahead: None,
        }
    }

    /// Sends until `stop`, or until the sender is not used any more; the message in hand is ended.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while let Some((ready, pass)) = self.next(&stop).await {
            match self.has_told() {
                true => self.send(ready, pass).await,
                false => self.admit(ready, pass).await,
            }
        }
        if self.outlet.retired.is_cancelled() {
            if let Some((ready, _)) = self.ahead.take() {
                self.dispatcher.offer(ready).await;
            }
            self.dispatcher.divert(&self.outlet);
        }
        self.hang_up().await;
    }

    /// The next message to send; none when the lane is to end.
    async fn next(&mut self, stop: &CancellationToken) -> Option<(Ready, Pass)> {
        let outlet = Arc::clone(&self.outlet);
        loop {
            let ends = stop.is_cancelled() || outlet.retired.is_cancelled();
            if !ends && self.ahead.is_some() {
                return self.ahead.take();
            }
            let idle = self.connection.is_some();
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = outlet.retired.cancelled() => return None,
                next = next(&outlet, &self.dispatcher, &self.db) => return next,
                () = tokio::time::sleep(IDLE), if idle => self.hang_up().await,
            }
        }
    }

    /// Whether the server was told of the next message.
    fn has_told(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(Connection::expects_next)
    }

    /// Takes the next message already, if it need not wait for anything.
    fn look_ahead(&mut self) {
        let clear = self.outlet.breaker.way(Instant::now()) == Way::Clear;
        if self.ahead.is_none() && clear && !self.outlet.is_limited() {
            let pass = Pass::new(&self.outlet, &self.dispatcher);
            let ready = self.outlet.next_of_campaign();
            self.ahead = ready.map(|ready| (ready, pass));
        }
    }

    /// What the server may be told of the next message.
    fn told_ahead(&self) -> Option<Next<'_>> {
        let (ready, _) = self.ahead.as_ref()?;
        let campaign = ready.of.campaign_id?;
        let stopped = self.hand.is_stopped(campaign, Instant::now());
        let at = self.dispatcher.clock.now();
        let limited = self.outlet.domain_rate(&ready.domain, at).is_some();
        (!stopped && !limited).then(|| Next {
            envelope: &ready.envelope,
            size: ready.size_for(&self.outlet),
        })
    }

    async fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }

    /// Sends the message if it may go now.
    async fn admit(&mut self, ready: Ready, pass: Pass) {
        let (outlet, now) = (Arc::clone(&self.outlet), Instant::now());
        let campaign = ready.of.campaign_id;
        if campaign.is_some_and(|campaign| self.hand.is_stopped(campaign, now)) {
            let due_at = self.dispatcher.clock.now();
            return self.dispatcher.ledger.give_back(&ready.of, due_at).await;
        }
        let trial = match outlet.breaker.way(now) {
            Way::Clear => false,
            Way::Trial if outlet.breaker.try_one() => true,
            Way::Trial | Way::Closed(_) => return self.dispatcher.offer(ready).await,
        };
        if let Some(wait) = self.wait_for_domain(&ready).await {
            self.park(&ready, wait).await;
        } else {
            self.send(ready, pass).await;
        }
        if trial {
            outlet.breaker.has_tried();
        }
    }

    /// Takes a token of the destination domain; answers for how long there is none.
    async fn wait_for_domain(&self, ready: &Ready) -> Option<Duration> {
        let (outlet, rates) = (&self.outlet, &self.dispatcher.outlets.rates);
        let domain = ready.domain.as_str();
        let rate = outlet.domain_rate(domain, self.dispatcher.clock.now())?;
        let key = format!("{}:{domain}", outlet.key);
        let wait = rates.take(&key, rate, Instant::now()).err()?;
        let (kind, detail) = (
            LimitKind::DomainRate,
            format!("{domain} gets {rate:.2} a second"),
        );
        self.dispatcher
            .met(&ready.of, kind, outlet, Some(domain), detail, None);
        let mut wait = Some(wait);
        if outlet.begin_waiting(domain) {
            let deadline = Instant::now() + IN_LANE;
            while let Some(pause) = wait.filter(|pause| Instant::now() + *pause < deadline) {
                tokio::time::sleep(pause).await;
                wait = rates.take(&key, rate, Instant::now()).err();
            }
            outlet.end_waiting(domain);
        }
        Some(rates.park(&key, wait?, Instant::now()))
    }

    /// Its domain takes no more now; others of its bundle may go.
    async fn park(&self, ready: &Ready, wait: Duration) {
        self.dispatcher.meters.parked();
        let wait = TimeDelta::from_std(wait).unwrap_or_default();
        let due_at = self.dispatcher.clock.now() + wait;
        self.dispatcher
            .ledger
            .write(Move::put_off(ready.of, due_at))
            .await;
    }

    async fn send(&mut self, ready: Ready, mut pass: Pass) {
        if self.connection.is_none() {
            self.connection = self.connect().await;
        }
        if self.connection.is_none() {
            // Nothing was begun, so another sender can have it at once.
            return self.dispatcher.offer(ready).await;
        }
        let Dispatcher {
            ledger,
            clock,
            meters,
            ..
        } = self.dispatcher.clone();
        let mut begin = Begin::new(&ledger, &self.hand, &clock, ready.of).await;
        let started = Instant::now();
        let Some(handed) = self.hand_over(&ready, &mut begin).await else {
            // What the ledger was asked before must be written before this.
            begin.granted().await;
            return self.put_off(&ready).await;
        };
        begin.granted().await;
        meters.handed(started.elapsed());
        if self.heed(&ready, &handed) {
            return self.put_off(&ready).await;
        }
        let verdict = judge(
            handed,
            ready.attempts,
            ready.policy,
            self.sending.retry_scale,
        );
        if matches!(verdict, Verdict::Accepted(_) | Verdict::Ambiguous(_)) {
            pass.use_up();
        }
        let step = self.step(&ready, verdict);
        ledger.write(step).await;
    }

    /// Learns from the answer how the sender and the domain are doing. True when it says that the
    /// sender does not work, and so nothing about the message.
    fn heed(&self, ready: &Ready, handed: &Handed) -> bool {
        let (outlet, now, at) = (&self.outlet, Instant::now(), self.dispatcher.clock.now());
        let Handed::Answered(stage, reply) = handed else {
            return false;
        };
        if *stage == Stage::Mail && reply.code != 421 {
            // A single message is better refused than silent for ever.
            let refused = outlet.refuses_everybody(reply, now);
            return refused && (ready.of.campaign_id.is_some() || reply.is_transient());
        }
        if *stage != Stage::Mail {
            outlet.passed(now);
        }
        if let Some(campaign) = ready.of.campaign_id {
            self.dispatcher.outlets.courses.sent(campaign, now);
        }
        let domain = ready.domain.as_str();
        outlet.flowed(domain, now);
        if says_slow_down(*stage, reply) {
            let rate = outlet.slow_down(domain, now, at);
            self.dispatcher.meters.slowed();
            tracing::info!(sender = outlet.key, domain, rate, %reply, "a domain asked for less");
        }
        false
    }

    /// It was asked to begin, so only a write makes it wait again.
    async fn put_off(&self, ready: &Ready) {
        let due_at = self.dispatcher.clock.now();
        self.dispatcher
            .ledger
            .write(Move::put_off(ready.of, due_at))
            .await;
    }

    /// Hands the message over; none when there is no server to hand it to.
    async fn hand_over(&mut self, ready: &Ready, begin: &mut Begin) -> Option<Handed> {
        let marks = self.outlet.marks;
        let content = marks.put_on(ready.of.id.into(), &ready.content);
        self.look_ahead();
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let first = connection.uses == 0;
            let next = self.told_ahead();
            let handed = connection
                .hand_over(&ready.envelope, &content, begin, next)
                .await;
            if connection.is_usable() {
                self.connection = Some(connection);
            }
            match handed {
                // The server had hung up while we were idle; that is nobody's failure.
                Handed::Unsent(SmtpError::Closed | SmtpError::Broken(_)) if !first => {}
                handed => return Some(handed),
            }
        }
    }

    async fn connect(&self) -> Option<Connection> {
        let outlet = &self.outlet;
        let Some(server) = &outlet.server else {
            let reason = "its password cannot be read with the data keys in use";
            outlet.breaker.failed(reason.to_owned(), Instant::now());
            return None;
        };
        match Connection::open(server, self.sending.timeouts).await {
            Ok(connection) => {
                outlet.breaker.reached();
                Some(connection)
            }
            Err(error) => {
                outlet.breaker.failed(error.to_string(), Instant::now());
                None
            }
        }
    }

    fn step(&self, ready: &Ready, verdict: Verdict) -> Move {
        let of = ready.of;
        match verdict {
            Verdict::Accepted(reply) => Move {
                counted: true,
                reply_code: i16::try_from(reply.code).ok(),
                reply: Some(reply.to_string()),
                keep_variables: ready.shown_again,
                ..Move::settle(of, State::Accepted, None)
            },
            Verdict::Rejected {
                reply,
                reason,
                bounced,
            } => Move {
                counted: true,
                reply_code: reply
                    .as_ref()
                    .and_then(|reply| i16::try_from(reply.code).ok()),
                reply: reply.map(|reply| reply.to_string()),
                bounced: bounced.then(|| ready.address.clone()),
                ..Move::settle(of, State::Rejected, Some(reason.to_owned()))
            },
            Verdict::PutOff {
                pause,
                counted,
                note,
            } => {
                let pause = TimeDelta::from_std(pause).unwrap_or_default();
                Move {
                    counted,
                    reply: Some(note),
                    ..Move::put_off(of, self.dispatcher.clock.now() + pause)
                }
            }
            Verdict::Ambiguous(why) => Move {
                counted: true,
                ..Move::settle(of, State::Ambiguous, Some(why))
            },
            Verdict::GivenUp => {
                if let Some(campaign) = of.campaign_id {
                    self.hand.found_stopped(campaign, Instant::now());
                }
                Move::put_off(of, self.dispatcher.clock.now())
            }
        }
    }
}

/// What a message needs to be sent: a token of its sender's rate and leave of its warm-up. Both go
/// back unless they are used up.
struct Pass {
    outlet: Arc<Outlet>,
    dispatcher: Dispatcher,
    token: bool,
    leave: bool,
}

impl Pass {
    fn new(outlet: &Arc<Outlet>, dispatcher: &Dispatcher) -> Self {
        Self {
            outlet: Arc::clone(outlet),
            dispatcher: dispatcher.clone(),
            token: false,
            leave: false,
        }
    }

    fn use_up(&mut self) {
        (self.token, self.leave) = (false, false);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.token {
            self.dispatcher.outlets.rates.put_back(&self.outlet.key);
        }
        if let Some(allowance) = self.outlet.allowance.as_ref().filter(|_| self.leave) {
            allowance.put_back(self.dispatcher.clock.now());
        }
    }
}

/// The next message and its pass; none when there will be no more. What a sender is allowed is
/// waited for before a message is taken, so that the most urgent one goes then.
async fn next(outlet: &Arc<Outlet>, dispatcher: &Dispatcher, db: &Db) -> Option<(Ready, Pass)> {
    let mut pass = Pass::new(outlet, dispatcher);
    loop {
        if let Way::Closed(wait) = outlet.breaker.way(Instant::now()) {
            dispatcher.divert(outlet);
            tokio::time::sleep(wait).await;
            continue;
        }
        if !outlet.is_limited() {
            return Some((outlet.next().await?, pass));
        }
        let _turn = outlet.turn.lock().await;
        let waited = Instant::now();
        if let Some(rate) = outlet.per_second.filter(|_| !pass.token) {
            while let Err(wait) = dispatcher
                .outlets
                .rates
                .take(&outlet.key, rate, Instant::now())
            {
                tokio::time::sleep(wait.min(IN_LANE)).await;
            }
            pass.token = true;
        }
        let waited = waited.elapsed();
        if !leave(outlet, dispatcher, db, &mut pass).await {
            continue;
        }
        let ready = outlet.next().await?;
        if let Some(rate) = outlet
            .per_second
            .filter(|_| waited > Duration::from_millis(1))
        {
            let (kind, detail) = (
                LimitKind::SenderRate,
                format!("it may send {rate} a second"),
            );
            dispatcher.met(&ready.of, kind, outlet, None, detail, None);
        }
        return Some((ready, pass));
    }
}

/// Takes leave of the warm-up; when there is none today, others take what waits.
async fn leave(outlet: &Outlet, dispatcher: &Dispatcher, db: &Db, pass: &mut Pass) -> bool {
    let Some(allowance) = outlet.allowance.as_ref().filter(|_| !pass.leave) else {
        return true;
    };
    match allowance.take(db, dispatcher.clock.now()).await {
        Ok(Leave::Given) => {
            pass.leave = true;
            return true;
        }
        Ok(Leave::Spent) => dispatcher.divert(outlet),
        Err(error) => tracing::warn!(%error, "a warm-up cannot be looked up at the moment"),
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    false
}

/// The ledger's word that the content may be sent: the beginning is committed and the lease holds.
struct Begin {
    asked: Option<oneshot::Receiver<bool>>,
    written: bool,
    of: Held,
    hand: Arc<InHand>,
    clock: Clock,
}

impl Begin {
    /// Asks at once, so that the commit runs while the commands do.
    async fn new(ledger: &Ledger, hand: &Arc<InHand>, clock: &Clock, of: Held) -> Self {
        Self {
            asked: Some(ledger.ask(Move::begin(of)).await),
            written: false,
            of,
            hand: Arc::clone(hand),
            clock: clock.clone(),
        }
    }
}

impl Permit for Begin {
    async fn granted(&mut self) -> bool {
        if let Some(asked) = &mut self.asked {
            // A writer that is gone has written nothing.
            self.written = asked.await.unwrap_or(false);
            self.asked = None;
        }
        self.written && self.hand.holds(&self.of, self.clock.now())
    }
}
