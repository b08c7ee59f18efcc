//! Prometheus metrics, one registry per service: requests, pools, lag, and what the service adds.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::host::Host;

/// A service's metrics. Clones share the registry.
#[derive(Clone)]
pub struct Metrics {
    pub registry: Registry,
    requests: HistogramVec,
    pool: IntGaugeVec,
    feed_failures: IntCounterVec,
    service: &'static str,
}

/// The counter of requests of one method, route and status.
#[derive(Clone, Debug)]
pub struct Timing(prometheus::Histogram);

impl Timing {
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metrics({})", self.service)
    }
}

impl Metrics {
    pub fn new(service: &'static str) -> Self {
        let labels = [("service".to_owned(), service.to_owned())];
        let registry = Registry::new_custom(Some("clarion".into()), Some(labels.into()))
            .expect("the prefix is a constant");
        let buckets = vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
        ];
        let requests = HistogramVec::new(
            HistogramOpts::new(
                "http_request_duration_seconds",
                "Time to answer, by route and status.",
            )
            .buckets(buckets),
            &["method", "route", "status"],
        )
        .expect("names are constants");
        let pool = IntGaugeVec::new(
            Opts::new(
                "db_connections",
                "Connections of the database pool, by state.",
            ),
            &["state"],
        )
        .expect("names are constants");
        let feed_failures = IntCounterVec::new(
            Opts::new(
                "feed_failures_total",
                "Times a producer's feed could not be read or taken in.",
            ),
            &["producer"],
        )
        .expect("names are constants");
        for collector in [
            Box::new(requests.clone()) as Box<_>,
            Box::new(pool.clone()) as Box<_>,
            Box::new(feed_failures.clone()) as Box<_>,
        ] {
            registry.register(collector).expect("registered once");
        }
        Self {
            registry,
            requests,
            pool,
            feed_failures,
            service,
        }
    }

    /// A counter with labels of the service's own; `name` must be new in this registry.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let counter = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name");
        self.registry
            .register(Box::new(counter.clone()))
            .expect("a new name");
        counter
    }

    /// A gauge with labels of the service's own; `name` must be new in this registry.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let gauge = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid name");
        self.registry
            .register(Box::new(gauge.clone()))
            .expect("a new name");
        gauge
    }

    /// Counts one answered request. `route` is a pattern, never a path: labels must stay few.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut digits = [0; 3];
        let status = three_digits(status, &mut digits);
        self.requests
            .with_label_values(&[known_method(method), route, status])
            .observe(took.as_secs_f64());
    }

    /// The counter of one kind of request, for those who count many of a kind.
    pub fn timing(&self, method: &str, route: &str, status: u16) -> Timing {
        let mut digits = [0; 3];
        let status = three_digits(status, &mut digits);
        let labels = [known_method(method), route, status];
        Timing(self.requests.with_label_values(&labels))
    }

    pub(crate) fn feed_failure(&self, producer: &str) {
        self.feed_failures.with_label_values(&[producer]).inc();
    }

    /// All of them, in Prometheus's text format.
    pub fn answer(&self) -> HttpResponse {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => HttpResponse::Ok()
                .content_type("text/plain; version=0.0.4")
                .body(text),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be encoded");
                HttpResponse::InternalServerError().finish()
            }
        }
    }
}

/// Any client may invent methods; each of them would be a time series that stays for ever.
fn known_method(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => "other",
    }
}

/// A status as text, without allocating.
fn three_digits(status: u16, digits: &mut [u8; 3]) -> &str {
    *digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    std::str::from_utf8(digits).unwrap_or("000")
}

/// `GET /metrics`
pub(crate) async fn render(host: web::Data<Host>) -> HttpResponse {
    let host: Arc<Host> = host.into_inner();
    let (open, idle) = host.db.state();
    host.metrics
        .pool
        .with_label_values(&["open"])
        .set(open.into());
    host.metrics
        .pool
        .with_label_values(&["idle"])
        .set(idle.into());
    host.metrics.answer()
}
