//! What operators watch.

use std::time::Duration;

use chassis::metrics::Metrics;
use common::dto::dispatch::Outcome;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGaugeVec};

use crate::domain::state::State;
use crate::store::moves::Move;

/// Counters of delivery. Clones share them.
#[derive(Clone)]
pub(crate) struct Meters {
    settled: IntCounterVec,
    writes: IntCounterVec,
    waiting: IntGaugeVec,
    smtp: Histogram,
    senders: IntGaugeVec,
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

    /// Which senders take messages; those that are gone are forgotten.
    pub(super) fn senders(&self, open: impl Iterator<Item = (String, bool)>) {
        self.senders.reset();
        for (sender, open) in open {
            self.senders.with_label_values(&[&sender]).set(open.into());
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
