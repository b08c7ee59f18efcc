//! Which pages of other origins may use this API from a browser (the Fetch standard, CORS).

use actix_web::http::Method;

use crate::gate::Gate;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Cors, METHODS, Route};

const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, \
     if-none-match, traceparent, x-api-key, x-csrf-token, x-request-id";
const EXPOSED_HEADERS: &str =
    "content-disposition, etag, location, retry-after, x-request-id, ratelimit, ratelimit-policy";

/// What `Access-Control-Allow-Origin` says to this request, if anything.
fn allowed<'a>(gate: &Gate, route: &Route, request: &Request<'a>) -> Option<&'a [u8]> {
    let origin = request.get("origin")?;
    if route.cors == Cors::Everybody {
        return Some(b"*");
    }
    let listed = &gate.shared.cors_origins;
    let known = listed.iter().any(|known| known.as_bytes() == origin);
    known.then_some(origin)
}

/// Answers a browser's question before a request (CORS preflight), if it is one.
pub(crate) fn preflight(
    gate: &Gate,
    route: &Route,
    request: &Request<'_>,
    reply: &mut Reply,
) -> bool {
    let asks = *request.method() == Method::OPTIONS
        && request.get("origin").is_some()
        && request.get("access-control-request-method").is_some();
    if !asks {
        return false;
    }
    reply.status = 204;
    if allowed(gate, route, request).is_some() {
        reply.say("access-control-allow-methods", METHODS.as_bytes());
        reply.say("access-control-allow-headers", ALLOWED_HEADERS.as_bytes());
        reply.say("access-control-max-age", b"600");
    }
    true
}

/// Tells the browser whether the page that asked may read the answer.
pub(crate) fn mark(gate: &Gate, route: &Route, request: &Request<'_>, reply: &mut Reply) {
    if route.cors == Cors::Listed && !gate.shared.cors_origins.is_empty() {
        reply.say("vary", b"origin");
    }
    if let Some(origin) = allowed(gate, route, request) {
        reply.say("access-control-allow-origin", origin);
        reply.say("access-control-expose-headers", EXPOSED_HEADERS.as_bytes());
        // A pixel or a script of ours is meant to be embedded.
        if route.cors == Cors::Everybody {
            reply.say("cross-origin-resource-policy", b"cross-origin");
        }
    }
}
