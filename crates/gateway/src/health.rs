//! The health of the whole: every part is asked at once, and the missing one is named.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chassis::health::{Health, Part as PartHealth};
use futures::future::join_all;

use crate::error::Error;
use crate::fetch;
use crate::gate::Gate;
use crate::upstream::Pool;

/// After so long we are ready without those who are still not: the others can be reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /health`: `ok`, `degraded` when a part is missing or missing something, `down` when no
/// part answers.
pub(crate) async fn parts(gate: &Rc<Gate>) -> HttpResponse {
    answer(look_at_all(gate).await)
}

/// The same for somebody outside: how it is as a whole, and not of what it consists.
pub(crate) async fn whole(gate: &Rc<Gate>) -> HttpResponse {
    let mut health = look_at_all(gate).await;
    health.parts.clear();
    answer(health)
}

fn answer(health: Health) -> HttpResponse {
    match health.status.as_str() {
        "down" => HttpResponse::ServiceUnavailable().json(health),
        _ => HttpResponse::Ok().json(health),
    }
}

async fn look_at_all(gate: &Rc<Gate>) -> Health {
    let pools = pools(gate);
    let asked = pools.iter().map(|pool| look(gate, pool));
    let parts: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
    let answering = parts.values().filter(|part| part.ok).count();
    let whole = parts.values().all(|part| part.ok && part.detail.is_none());
    let status = match answering {
        0 => "down",
        _ if whole => "ok",
        _ => "degraded",
    };
    Health {
        status: status.to_owned(),
        service: "gateway".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parts,
    }
}

/// The pools that this installation has, canaries among them.
fn pools(gate: &Gate) -> Vec<Arc<Pool>> {
    let view = gate.view();
    let known = view.table.pools().values();
    known.filter(|pool| pool.exists()).cloned().collect()
}

/// One part's health. Some only say that they live.
async fn look(gate: &Rc<Gate>, pool: &Arc<Pool>) -> (String, PartHealth) {
    let started = Instant::now();
    let path = if says_more(pool) {
        "/health"
    } else {
        &pool.check
    };
    let answer = fetch::get(gate, pool, path).await;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let detail = complaint(says_more(pool), answer);
    let health = PartHealth {
        ok: !matches!(detail, Some((false, _))),
        // Nothing of the others stops working when one part is away.
        required: false,
        took_ms,
        detail: detail.map(|(_, text)| text),
    };
    (pool.name().to_owned(), health)
}

/// Whether a pool's replicas answer with their parts at `/health`, as our services do.
fn says_more(pool: &Pool) -> bool {
    pool.check == "/health/ready"
}

/// What is wrong with a part, and whether it works nevertheless.
fn complaint(says_more: bool, answer: Result<(u16, Vec<u8>), Error>) -> Option<(bool, String)> {
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(error) => return Some((false, error.to_string())),
    };
    let success = (200..300).contains(&status);
    if !says_more && success {
        return None;
    }
    let Ok(health) = serde_json::from_slice::<Health>(&body) else {
        let status = StatusCode::from_u16(status).unwrap_or_default();
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
    Some((success, text))
}

/// `GET /health/ready`: at the start, once every part is ready, or after a while without the
/// missing; from then on, until we stop.
pub(crate) async fn ready(gate: &Rc<Gate>) -> HttpResponse {
    let shared = &gate.shared;
    let stopping = || HttpResponse::ServiceUnavailable().json(status("stopping", &[]));
    if shared.stop.is_cancelled() {
        return stopping();
    }
    if shared.started.elapsed() > PATIENCE || shared.complete.get().is_some() {
        return HttpResponse::Ok().json(status("ok", &[]));
    }
    let pools = pools(gate);
    let asked = pools.iter().map(|pool| async move {
        let ready = fetch::get(gate, pool, &pool.check).await;
        let ready = ready.is_ok_and(|(status, _)| (200..300).contains(&status));
        (pool.name(), ready)
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
