//! A lane: one connection, one message at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Clock;
use chrono::TimeDelta;
use common::dto::dispatch::AmbiguousPolicy;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::breaker::Way;
use super::hand::InHand;
use super::ledger::Ledger;
use super::{Breaker, Delivery, Meters, Sending};
use crate::domain::state::State;
use crate::domain::verdict::{Verdict, judge};
use crate::store::moves::{Held, Move};
use mail::smtp::{Connection, Envelope, Handed, Permit, SmtpError};

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
    pub(crate) content: Vec<u8>,
    /// A link in the mail shows it again, which needs its variables.
    pub(crate) shown_again: bool,
}

/// Where messages wait for a lane: those without a campaign first.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    pub(super) singles: async_channel::Receiver<Ready>,
    pub(super) campaigns: async_channel::Receiver<Ready>,
}

impl Queues {
    /// The next message; none when there will be no more.
    async fn next(&self) -> Option<Ready> {
        tokio::select! {
            biased;
            Ok(ready) = self.singles.recv() => Some(ready),
            Ok(ready) = self.campaigns.recv() => Some(ready),
            else => None,
        }
    }
}

pub(super) struct Lane {
    ledger: Ledger,
    hand: Arc<InHand>,
    queues: Queues,
    sending: Sending,
    breaker: Arc<Breaker>,
    meters: Meters,
    clock: Clock,
    connection: Option<Connection>,
}

impl Lane {
    pub(super) fn new(
        delivery: &Delivery,
        ledger: Ledger,
        hand: Arc<InHand>,
        queues: Queues,
    ) -> Self {
        Self {
            ledger,
            hand,
            queues,
            sending: delivery.sending.clone(),
            breaker: Arc::clone(&delivery.breaker),
            meters: delivery.meters.clone(),
            clock: delivery.clock.clone(),
            connection: None,
        }
    }

    /// Sends until `stop`; the message in hand is ended.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let ready = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ready = self.queues.next() => ready,
                () = tokio::time::sleep(IDLE), if self.connection.is_some() => {
                    self.hang_up().await;
                    continue;
                }
            };
            let Some(ready) = ready else { break };
            self.send(ready).await;
        }
        self.hang_up().await;
    }

    async fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }

    async fn send(&mut self, ready: Ready) {
        let now = Instant::now();
        let stopped = ready
            .of
            .campaign_id
            .is_some_and(|campaign| self.hand.is_stopped(campaign, now));
        if stopped || matches!(self.breaker.way(now), Way::Closed(_)) {
            let due_at = self.clock.now();
            return self.ledger.give_back(&ready.of, due_at).await;
        }
        let mut begin = Begin::new(&self.ledger, &self.hand, &self.clock, ready.of).await;
        let started = Instant::now();
        let Some(handed) = self.hand_over(&ready, &mut begin).await else {
            // What the ledger was asked before must be written before this.
            begin.granted().await;
            return self.put_off(&ready).await;
        };
        begin.granted().await;
        self.meters.handed(started.elapsed());
        let verdict = judge(
            handed,
            ready.attempts,
            ready.policy,
            self.sending.retry_scale,
        );
        let step = self.step(&ready, verdict);
        self.ledger.write(step).await;
    }

    /// It was asked to begin, so only a write makes it wait again.
    async fn put_off(&self, ready: &Ready) {
        self.ledger
            .write(Move::put_off(ready.of, self.clock.now()))
            .await;
    }

    /// Hands the message over; none when there is no server to hand it to.
    async fn hand_over(&mut self, ready: &Ready, begin: &mut Begin) -> Option<Handed> {
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let first = connection.uses == 0;
            let handed = connection
                .hand_over(&ready.envelope, &ready.content, begin)
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
        match Connection::open(&self.sending.server, self.sending.timeouts).await {
            Ok(connection) => {
                self.breaker.worked();
                Some(connection)
            }
            Err(error) => {
                self.breaker.failed(error.to_string(), Instant::now());
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
                    ..Move::put_off(of, self.clock.now() + pause)
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
                Move::put_off(of, self.clock.now())
            }
        }
    }
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
