//! Errors as `application/problem+json` (RFC 9457).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use common::Problem;

use super::context;
use crate::error::Fault;
use crate::refusals;

/// The answer for `fault`. What is our own failure is logged here, once, with its causes.
pub fn problem(fault: &(impl Fault + ?Sized)) -> HttpResponse {
    let (status, code) = fault.kind();
    let request_id = context::request_id();
    if status.is_server_error() {
        let causes = causes(fault);
        tracing::error!(request.id = %request_id, status = status.as_u16(), code, causes, "{fault}");
    }
    let body = Problem {
        status: status.as_u16(),
        code: code.to_owned(),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        detail: fault.to_string(),
        errors: fault.fields(),
        request_id,
    };
    let mut response = HttpResponse::build(status);
    response.content_type("application/problem+json");
    if let Some(seconds) = fault.retry_after_s() {
        response.insert_header(("retry-after", seconds.to_string()));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header(("www-authenticate", "Bearer"));
    }
    let mut response = response.json(body);
    if refusals::is_one(status.as_u16()) {
        response.extensions_mut().insert(RefusalCode(code));
    }
    response
}

/// Why a request was refused, for the log.
pub(crate) struct RefusalCode(pub(crate) &'static str);

/// What led to `fault`, innermost last.
fn causes(fault: &(impl Fault + ?Sized)) -> String {
    let mut texts = Vec::new();
    let mut next = fault.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts.join(": ")
}

/// A path that no route has.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing at this address")]
struct NoRoute;

impl Fault for NoRoute {
    fn kind(&self) -> (StatusCode, &'static str) {
        (StatusCode::NOT_FOUND, "route_not_found")
    }
}

/// A path that has routes, for other methods.
#[derive(Debug, thiserror::Error)]
#[error("this address does not take this method")]
pub(crate) struct NoMethod;

impl Fault for NoMethod {
    fn kind(&self) -> (StatusCode, &'static str) {
        (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
    }
}

/// Somebody said how long they wait, and it took longer.
#[derive(Debug, thiserror::Error)]
#[error("this took longer than anybody waits for it; whether it was done is not known")]
pub(crate) struct TooLate;

impl Fault for TooLate {
    fn kind(&self) -> (StatusCode, &'static str) {
        (StatusCode::GATEWAY_TIMEOUT, "deadline_passed")
    }
}

/// The default handler: nothing lives here.
pub async fn not_found() -> HttpResponse {
    problem(&NoRoute)
}
