//! Which pages of other origins may use this API from a browser (the Fetch standard, CORS).

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use crate::gate::Gate;
use crate::routes::{Cors, METHODS, Route};

const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, \
     if-none-match, traceparent, x-api-key, x-csrf-token, x-request-id";
const EXPOSED_HEADERS: &str =
    "content-disposition, etag, location, retry-after, x-request-id, ratelimit, ratelimit-policy";

/// What `Access-Control-Allow-Origin` says to this request, if anything.
fn allowed(gate: &Gate, route: &Route, request: &HttpRequest) -> Option<HeaderValue> {
    let origin = request.headers().get(header::ORIGIN)?;
    if route.cors == Cors::Everybody {
        return Some(HeaderValue::from_static("*"));
    }
    let listed = &gate.shared.cors_origins;
    let name = origin.to_str().ok()?;
    listed
        .iter()
        .any(|known| known == name)
        .then(|| origin.clone())
}

/// The answer to a browser's question before a request (CORS preflight), if it is one.
pub(crate) fn preflight(gate: &Gate, route: &Route, request: &HttpRequest) -> Option<HttpResponse> {
    let headers = request.headers();
    let asks = *request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    let mut response = HttpResponse::NoContent();
    if allowed(gate, route, request).is_some() {
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"));
    }
    Some(response.finish())
}

/// Tells the browser whether the page that asked may read the answer.
pub(crate) fn mark(gate: &Gate, route: &Route, request: &HttpRequest, headers: &mut HeaderMap) {
    // What a part says about origins is not its to say.
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        headers.remove(name);
    }
    if route.cors == Cors::Listed && !gate.shared.cors_origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed(gate, route, request) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        // A pixel or a script of ours is meant to be embedded.
        if route.cors == Cors::Everybody {
            let name = HeaderName::from_static("cross-origin-resource-policy");
            headers.insert(name, HeaderValue::from_static("cross-origin"));
        }
    }
}
