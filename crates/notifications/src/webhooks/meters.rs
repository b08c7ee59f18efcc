//! What operators watch.

use chassis::metrics::Metrics;
use prometheus::{IntCounterVec, IntGaugeVec};

/// Counters of webhooks. Clones share them.
#[derive(Clone)]
pub(super) struct Meters {
    attempts: IntCounterVec,
    disabled: IntCounterVec,
    posting: IntGaugeVec,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            attempts: metrics.counter(
                "webhook_attempts_total",
                "Attempts to deliver an event, by what it made of the delivery: pending is tried again.",
                &["state"],
            ),
            disabled: metrics.counter(
                "webhooks_disabled_total",
                "Webhooks disabled because of their answers.",
                &[],
            ),
            posting: metrics.gauge("webhook_posts", "Requests to webhooks under way.", &[]),
        }
    }

    pub(super) fn attempted(&self, state: &str) {
        self.attempts.with_label_values(&[state]).inc();
    }

    pub(super) fn disabled(&self) {
        self.disabled.with_label_values::<&str>(&[]).inc();
    }

    pub(super) fn posting(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.posting.with_label_values::<&str>(&[]).set(count);
    }
}
