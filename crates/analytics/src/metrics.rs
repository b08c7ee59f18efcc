//! What this service counts.

use chassis::metrics::Metrics;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGaugeVec};

/// Counters of the ingest. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Events by outcome: `accepted`, `duplicate`, `rejected`.
    pub events: IntCounterVec,
    /// Requests turned away whole: `queue_full`, `unavailable`, `failed`.
    pub turned_away: IntCounterVec,
    /// Hits on links and pixels, by kind and verdict.
    pub hits: IntCounterVec,
    /// Hits that were answered before their commit, because Postgres was away or slow.
    pub hits_late: IntCounterVec,
    /// Hits that were answered although they could not be recorded.
    pub hits_lost: IntCounterVec,
    /// Rows that wait or are being written, by lane.
    pub queue_rows: IntGaugeVec,
    pub batch_rows: Histogram,
    pub commit_seconds: Histogram,
}

impl Counters {
    pub fn new(metrics: &Metrics) -> Self {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histogram = Histogram::with_opts(options).expect("a constant name");
            metrics
                .registry
                .register(Box::new(histogram.clone()))
                .expect("registered once");
            histogram
        };
        Self {
            events: metrics.counter("analytics_events_total", "Events by outcome.", &["outcome"]),
            turned_away: metrics.counter(
                "analytics_requests_turned_away_total",
                "Ingest requests of which nothing was stored, by reason.",
                &["reason"],
            ),
            hits: metrics.counter(
                "analytics_hits_total",
                "Hits on tracked links and pixels.",
                &["kind", "verdict"],
            ),
            hits_late: metrics.counter(
                "analytics_hits_late_total",
                "Hits that were answered before they were recorded.",
                &["kind"],
            ),
            hits_lost: metrics.counter(
                "analytics_hits_lost_total",
                "Hits that were answered but could not be recorded.",
                &["kind"],
            ),
            queue_rows: metrics.gauge(
                "analytics_queue_rows",
                "Rows that wait for their commit.",
                &["lane"],
            ),
            batch_rows: histogram(
                "analytics_batch_rows",
                "Rows committed together.",
                &[
                    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0,
                ],
            ),
            commit_seconds: histogram(
                "analytics_commit_seconds",
                "Time from taking a batch to its commit.",
                &[
                    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
                ],
            ),
        }
    }
}
