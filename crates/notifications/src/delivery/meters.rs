//! What operators watch.

use std::time::Duration;

use chassis::metrics::Metrics;
use common::dto::dispatch::Outcome;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts};

use crate::domain::state::State;
use crate::store::moves::Move;

/// How a sender is doing in this process.
#[derive(Clone, Debug)]
pub(super) struct SenderState {
    pub(super) key: String,
    pub(super) open: bool,
    pub(super) per_second: f64,
    pub(super) limit: Option<f64>,
}

fn per_sender(metrics: &Metrics, name: &str, help: &str) -> GaugeVec {
    let gauge = GaugeVec::new(Opts::new(name, help), &["sender"]).expect("the name is a constant");
    metrics
        .registry
        .register(Box::new(gauge.clone()))
        .expect("registered once");
    gauge
}

/// Counters of delivery. Clones share them.
#[derive(Clone)]
pub(crate) struct Meters {
    settled: IntCounterVec,
    writes: IntCounterVec,
    waiting: IntGaugeVec,
    smtp: Histogram,
    senders: IntGaugeVec,
    speeds: GaugeVec,
    limits: GaugeVec,
    held_up: IntCounterVec,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let smtp = Histogram::with_opts(
            HistogramOpts::new(
                "smtp_duration_seconds",
                "Time to hand one message to the mail server.",
            )
            .buckets(vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0,
            ]),
        )
        .expect("the name is a constant");
        metrics
            .registry
            .register(Box::new(smtp.clone()))
            .expect("registered once");
        Self {
            settled: metrics.counter("messages_total", "Messages settled, by outcome.", &["outcome"]),
            writes: metrics.counter(
                "ledger_writes_total",
                "What the ledger writer wrote: groups are transactions, begins and ends are messages.",
                &["what"],
            ),
            waiting: metrics.gauge("messages_waiting", "Messages without an outcome.", &[]),
            smtp,
            senders: metrics.gauge(
                "sender_open",
                "1 when a sender takes messages, 0 when it is away or refuses everything.",
                &["sender"],
            ),
            speeds: per_sender(
                metrics,
                "sender_messages_per_second",
                "Messages that a sender's server answered, over the last seconds, by this process.",
            ),
            limits: per_sender(
                metrics,
                "sender_limit_per_second",
                "Messages per second that a sender may send, in all processes; absent without a limit.",
            ),
            held_up: metrics.counter(
                "messages_held_up_total",
                "Messages that could not go when their turn came: `diverted` to another sender, `parked` by a \
                 domain's rate; and `slowed`: replies that asked for less.",
                &["how"],
            ),
        }
    }

    pub(super) fn settled(&self, outcome: Outcome) {
        self.settled.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(super) fn group(&self, steps: &[Move]) {
        let begins = steps
            .iter()
            .filter(|step| step.to == State::Sending)
            .count();
        let count =
            |what, number: usize| self.writes.with_label_values(&[what]).inc_by(number as u64);
        count("groups", 1);
        count("begins", begins);
        count("ends", steps.len() - begins);
    }

    pub(super) fn handed(&self, took: Duration) {
        self.smtp.observe(took.as_secs_f64());
    }

    pub(super) fn waiting(&self, count: i64) {
        self.waiting.with_label_values::<&str>(&[]).set(count);
    }

    /// How the senders are doing; those that are gone are forgotten, so there are no more series
    /// than senders.
    pub(super) fn senders(&self, senders: impl Iterator<Item = SenderState>) {
        self.senders.reset();
        self.speeds.reset();
        self.limits.reset();
        for sender in senders {
            let label = [sender.key.as_str()];
            self.senders
                .with_label_values(&label)
                .set(sender.open.into());
            self.speeds.with_label_values(&label).set(sender.per_second);
            if let Some(limit) = sender.limit {
                self.limits.with_label_values(&label).set(limit);
            }
        }
    }

    pub(super) fn diverted(&self) {
        self.held_up.with_label_values(&["diverted"]).inc();
    }

    pub(super) fn parked(&self) {
        self.held_up.with_label_values(&["parked"]).inc();
    }

    pub(super) fn slowed(&self) {
        self.held_up.with_label_values(&["slowed"]).inc();
    }
}
