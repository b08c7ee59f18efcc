//! Health: alive, ready, and the parts with their latencies.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::Unavailable;
use crate::host::Host;

/// A part that takes longer to answer is as good as away: probes do not wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer of `/health` and `/health/ready`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`, `degraded` (works without a part) or `down`.
    pub status: String,
    pub service: String,
    pub version: String,
    pub parts: BTreeMap<String, Part>,
}

/// One thing a service stands on.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Part {
    pub ok: bool,
    /// Whether the service is useless without it.
    pub required: bool,
    pub took_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a service says of itself beside what it stands on: parts that it answers without, and what
/// is wrong with them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Parts(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Parts {
    /// Says what is wrong with a part, or that nothing is.
    pub fn set(&self, name: &'static str, problem: Option<String>) {
        self.all().insert(name, problem);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /health/live`: the process turns; it is not to be restarted.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// `GET /health/ready`: requests may be sent here. Fails first when the service stops.
pub(crate) async fn ready(host: web::Data<Host>) -> HttpResponse {
    let health = look(&host).await;
    if health.status == "down" || host.stop.is_cancelled() {
        return HttpResponse::ServiceUnavailable().json(health);
    }
    HttpResponse::Ok().json(health)
}

/// `GET /health`
pub(crate) async fn parts(host: web::Data<Host>) -> HttpResponse {
    let health = look(&host).await;
    match health.status.as_str() {
        "down" => HttpResponse::ServiceUnavailable().json(health),
        _ => HttpResponse::Ok().json(health),
    }
}

async fn look(host: &Host) -> Health {
    let mut parts = BTreeMap::new();
    let postgres = part("the database", true, host.db.ping()).await;
    parts.insert("postgres".to_owned(), postgres);
    if let Some(redis) = &host.redis {
        let redis = part("redis", false, redis.ping()).await;
        parts.insert("redis".to_owned(), redis);
    }
    for (name, problem) in host.parts.all().iter() {
        let part = Part {
            ok: problem.is_none(),
            required: false,
            took_ms: 0.0,
            detail: problem.clone(),
        };
        parts.insert((*name).to_owned(), part);
    }
    Health {
        status: status(&parts).to_owned(),
        service: host.service.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parts,
    }
}

/// Whether `ping` gets an answer in time.
async fn part(
    name: &str,
    required: bool,
    ping: impl Future<Output = Result<(), Unavailable>>,
) -> Part {
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, ping)
        .await
        .unwrap_or_else(|_| Err(Unavailable::new(name)));
    Part {
        ok: answer.is_ok(),
        required,
        took_ms: started.elapsed().as_secs_f64() * 1e3,
        detail: answer.err().map(|error| error.to_string()),
    }
}

/// `down` without a required part, `degraded` without another.
pub fn status(parts: &BTreeMap<String, Part>) -> &'static str {
    match parts
        .values()
        .filter(|part| !part.ok)
        .map(|part| part.required)
        .max()
    {
        Some(true) => "down",
        Some(false) => "degraded",
        None => "ok",
    }
}
