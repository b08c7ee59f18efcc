//! The health of the whole: every part is asked at once, and the missing one is named.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use chassis::health::{Health, Part as PartHealth};
use futures::future::join_all;

use crate::error::Error;
use crate::fetch;
use crate::gate::Gate;
use crate::routes::Part;

/// After so long we are ready without those who are still not: the others can be reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /health`: `ok`, `degraded` when a part is missing or missing something, `down` when no
/// part answers.
pub(crate) async fn parts(gate: &Gate) -> HttpResponse {
    let asked = gate.shared.upstreams.parts().map(|part| look(gate, part));
    let parts: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
    let answering = parts.values().filter(|part| part.ok).count();
    let whole = parts.values().all(|part| part.ok && part.detail.is_none());
    let status = match answering {
        0 => "down",
        _ if whole => "ok",
        _ => "degraded",
    };
    let health = Health {
        status: status.to_owned(),
        service: "gateway".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parts,
    };
    match status {
        "down" => HttpResponse::ServiceUnavailable().json(health),
        _ => HttpResponse::Ok().json(health),
    }
}

/// One part's health. The mailbox only says that it lives.
async fn look(gate: &Gate, part: Part) -> (String, PartHealth) {
    let started = Instant::now();
    let path = match part {
        Part::Mailbox => "/health/live",
        _ => "/health",
    };
    let answer = fetch::get(gate, part, path).await;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let detail = complaint(part, answer);
    let health = PartHealth {
        ok: !matches!(detail, Some((false, _))),
        // Nothing of the others stops working when one part is away.
        required: false,
        took_ms,
        detail: detail.map(|(_, text)| text),
    };
    (part.name().to_owned(), health)
}

/// What is wrong with a part, and whether it works nevertheless.
fn complaint(
    part: Part,
    answer: Result<(actix_web::http::StatusCode, bytes::Bytes), Error>,
) -> Option<(bool, String)> {
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(error) => return Some((false, error.to_string())),
    };
    if part == Part::Mailbox && status.is_success() {
        return None;
    }
    let Ok(health) = serde_json::from_slice::<Health>(&body) else {
        return Some((false, format!("it answered {status}")));
    };
    if health.status == "ok" {
        return None;
    }
    let missing: Vec<_> = health
        .parts
        .iter()
        .filter(|(_, part)| !part.ok)
        .map(|(name, _)| name.as_str())
        .collect();
    let text = format!("{}, without {}", health.status, missing.join(", "));
    Some((status.is_success(), text))
}

/// `GET /health/ready`: at the start, once every part is ready, or after a while without the
/// missing; from then on, until we stop.
pub(crate) async fn ready(gate: &Gate) -> HttpResponse {
    let shared = &gate.shared;
    let stopping = || HttpResponse::ServiceUnavailable().json(status("stopping", &[]));
    if shared.stop.is_cancelled() {
        return stopping();
    }
    if shared.started.elapsed() > PATIENCE || shared.complete.get().is_some() {
        return HttpResponse::Ok().json(status("ok", &[]));
    }
    let asked = shared.upstreams.parts().map(|part| async move {
        let path = match part {
            Part::Mailbox => "/health/live",
            _ => "/health/ready",
        };
        let ready = fetch::get(gate, part, path).await;
        (
            part.name(),
            ready.is_ok_and(|(status, _)| status.is_success()),
        )
    });
    let answers = join_all(asked).await;
    let waiting: Vec<_> = answers
        .into_iter()
        .filter_map(|(name, ready)| (!ready).then_some(name))
        .collect();
    if waiting.is_empty() {
        // Set by whichever worker is asked first.
        shared.complete.get_or_init(|| ());
        return HttpResponse::Ok().json(status("ok", &[]));
    }
    HttpResponse::ServiceUnavailable().json(status("starting", &waiting))
}

fn status(status: &str, waiting: &[&str]) -> serde_json::Value {
    match waiting {
        [] => serde_json::json!({ "status": status, "service": "gateway" }),
        waiting => serde_json::json!({
            "status": status, "service": "gateway", "waiting_for": waiting
        }),
    }
}
