//! Every request comes in here: it is named, checked, answered, hardened, counted and logged.

use std::time::Instant;

use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chassis::http::{context::RequestContext, problem};

use crate::error::Error;
use crate::gate::Gate;
use crate::routes::{self, Route};
use crate::{cors, headers, pages, proxy};

/// The longest path with its query.
const LONGEST_URI: usize = 8 * 1024;

/// The handler of everything.
pub(crate) async fn enter(
    gate: Data<Gate>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let started = Instant::now();
    let context = RequestContext::from_headers(request.headers());
    let route = routes::find(request.path());
    let answering = answer(&gate, route, &request, payload, &context);
    let answering = async {
        answering.await.unwrap_or_else(|error| {
            let mut response = problem(&error);
            if matches!(error, Error::Method | Error::ReadOnly) {
                let allow = HeaderValue::from_static(routes::METHODS);
                response
                    .headers_mut()
                    .insert(actix_web::http::header::ALLOW, allow);
            }
            response
        })
    };
    let mut response = context.clone().scope(answering).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    headers::harden(headers, gate.shared.public_url.scheme() == "https");
    if let Some(route) = route {
        cors::mark(&gate, route, &request, headers);
    }
    note(&gate, route, &request, &response, &context, started);
    response
}

async fn answer(
    gate: &Gate,
    route: Option<&'static Route>,
    request: &HttpRequest,
    payload: Payload,
    context: &RequestContext,
) -> Result<HttpResponse, Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    if path.len() > LONGEST_URI {
        return Err(Error::UriTooLong(LONGEST_URI));
    }
    if !routes::knows(request.method()) {
        return Err(Error::Method);
    }
    if !routes::is_plain(request.path()) {
        return Err(Error::BadPath);
    }
    let Some(route) = route else {
        return pages::answer(gate, request).await;
    };
    if let Some(response) = cors::preflight(gate, route, request) {
        return Ok(response);
    }
    proxy::forward(gate, route, request, payload, context).await
}

fn note(
    gate: &Gate,
    route: Option<&Route>,
    request: &HttpRequest,
    response: &HttpResponse,
    context: &RequestContext,
    started: Instant,
) {
    let (took, status) = (started.elapsed(), response.status().as_u16());
    let label = route.map_or("own", |route| route.prefix);
    let method = match routes::knows(request.method()) {
        true => request.method(),
        // Labels must stay few.
        false => &Method::TRACE,
    };
    let metrics = &gate.shared.metrics;
    metrics.request(method.as_str(), label, status, took);
    tracing::debug!(
        request.id = %context.request_id, trace.id = %context.trace_id, %method,
        route = label, status, took_ms = took.as_secs_f64() * 1e3, "request"
    );
}
