//! What operators watch of what comes back.

use chassis::metrics::Metrics;
use prometheus::IntCounterVec;

use super::desk::Outcome;

/// Counters. Clones share them.
#[derive(Clone)]
pub(crate) struct Meters {
    told: IntCounterVec,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            told: metrics.counter(
                "feedback_total",
                "What came back about mails, by who told it and what became of it.",
                &["source", "result"],
            ),
        }
    }

    pub(crate) fn count(&self, source: &str, outcome: Outcome) {
        let result = match outcome {
            Outcome::Recorded(class) => class.as_str(),
            Outcome::Repeated => "repeated",
            Outcome::Left => "left",
            Outcome::Unread => "unread",
            Outcome::Unmatched => "unmatched",
            Outcome::Unsigned => "unsigned",
            Outcome::Postmaster => "postmaster",
        };
        self.told.with_label_values(&[source, result]).inc();
    }
}
