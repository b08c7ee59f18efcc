//! The HTTP server of a service: operations routes, request context, metrics, access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, HttpMessage, HttpServer};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::context::RequestContext;
use super::origin::Origin;
use super::problem::{NoMethod, RefusalCode, TooLate, not_found, problem};
use crate::audit::{self, Acting};
use crate::auth::Known;
use crate::host::Host;
use crate::refusals::Refused;
use crate::{feed, health, metrics};

/// The strong validator of a version (RFC 9110 §8.8.3).
pub fn etag(version: i64) -> (&'static str, String) {
    ("etag", format!("\"{version}\""))
}

/// Serves until `close`, then drains.
pub(crate) async fn serve(
    host: Host,
    listener: std::net::TcpListener,
    tls: Option<ServerConfig>,
    openapi: utoipa::openapi::OpenApi,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    close: CancellationToken,
) -> std::io::Result<()> {
    let openapi = Arc::new(serde_json::to_string(&openapi).unwrap_or_default());
    let (workers, drain) = (host.workers, host.drain);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(host.clone()))
            .app_data(web::Data::new(Arc::clone(&host.verifier)))
            .app_data(web::Data::new(Arc::clone(&openapi)))
            .wrap(from_fn(around))
            .route("/health/live", web::get().to(health::live))
            .route("/health/ready", web::get().to(health::ready))
            .route("/health", web::get().to(health::parts))
            .route("/metrics", web::get().to(metrics::render))
            .route("/openapi.json", web::get().to(openapi_json))
            .route("/internal/events", web::get().to(feed::events))
            .route("/internal/audit", web::get().to(audit::entries))
            .route("/internal/audit/taken", web::post().to(audit::forget))
            .configure(routes.clone())
            .default_service(web::to(not_found))
    })
    .workers(workers)
    .worker_max_blocking_threads(8)
    .tcp_nodelay(true)
    .client_request_timeout(Duration::from_secs(10))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(drain.as_secs())
    .disable_signals();
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
        None => server.listen(listener)?,
    };
    let running = server.run();
    let handle = running.handle();
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => ended,
        () = close.cancelled() => {
            let (_, ended) = tokio::join!(handle.stop(true), running);
            ended
        }
    }
}

async fn openapi_json(document: web::Data<Arc<String>>) -> actix_web::HttpResponse {
    actix_web::HttpResponse::Ok()
        .content_type("application/json")
        .body(document.as_str().to_owned())
}

/// The answer; a resource without this method answers with an empty body, which is no problem
/// document, so it gets one here.
async fn answered(
    next: Next<impl MessageBody + 'static>,
    request: ServiceRequest,
) -> Result<ServiceResponse, Error> {
    let response = next.call(request).await?;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return Ok(response.map_into_boxed_body());
    }
    let allow = response.headers().get(ALLOW).cloned();
    let mut problem = problem(&NoMethod);
    if let Some(allow) = allow {
        problem.headers_mut().insert(ALLOW, allow);
    }
    Ok(response.into_response(problem))
}

/// A body up to this size comes with its request; the time that a longer one travels is not counted.
const AT_ONCE: u64 = 64 * 1024;

/// How long somebody waits for the answer. A long body comes as fast as its sender can.
fn patience(request: &ServiceRequest, context: &RequestContext) -> Option<Duration> {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).map(|value| value.to_str());
    let short = match length {
        Some(Ok(length)) => length.parse().is_ok_and(|length: u64| length <= AT_ONCE),
        Some(Err(_)) => false,
        None => !headers.contains_key(TRANSFER_ENCODING),
    };
    let until = context.until.filter(|_| short)?;
    Some(until.saturating_duration_since(Instant::now()))
}

/// The answer, unless nobody waits for it any more: then the work is given up.
async fn in_time(
    next: Next<impl MessageBody + 'static>,
    request: ServiceRequest,
    patience: Option<Duration>,
) -> Result<ServiceResponse, Error> {
    let Some(patience) = patience else {
        return answered(next, request).await;
    };
    let answer = match patience.is_zero() {
        true => None,
        false => tokio::time::timeout(patience, answered(next, request))
            .await
            .ok(),
    };
    let late = || InternalError::from_response(TooLate, problem(&TooLate));
    answer.unwrap_or_else(|| Err(late().into()))
}

/// Why a request was refused, and who sent it, if it was.
fn refused(response: &ServiceResponse) -> Option<(&'static str, Option<String>)> {
    let code = response.response().extensions().get::<RefusalCode>()?.0;
    let who = response
        .request()
        .extensions()
        .get::<Known>()
        .map(Known::name);
    Some((code, who))
}

/// Gives every request its context, counts it and logs it.
async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let started = Instant::now();
    let context = RequestContext::from_headers(request.headers());
    let host = request.app_data::<web::Data<Host>>().cloned();
    let method = request.method().clone();
    let request_id = context.request_id.clone();
    let peer = request.peer_addr().map(|peer| peer.ip());
    let address = Origin::address(request.headers(), peer);
    let patience = patience(&request, &context);
    // What is given up takes its request along.
    let known = patience.and_then(|_| request.match_pattern());
    let answering = async {
        let acting = Acting::of(request.method().as_str(), request.path(), address);
        Acting::scope(acting, in_time(next, request, patience)).await
    };
    let answer = context.clone().scope(answering).await;
    let took = started.elapsed();
    let (status, route) = match &answer {
        Ok(response) => (
            response.status(),
            known.or_else(|| response.request().match_pattern()),
        ),
        Err(error) => (error.as_response_error().status_code(), known),
    };
    let (status, route) = (status.as_u16(), route.unwrap_or_else(|| "unmatched".into()));
    if let Some(host) = host {
        host.metrics.request(method.as_str(), &route, status, took);
        if let Some((code, who)) = answer.as_ref().ok().and_then(refused) {
            host.refusals.tell(&Refused {
                request_id: &request_id,
                method: method.as_str(),
                route: &route,
                status,
                code,
                who: who.as_deref(),
                address,
            });
        }
    }
    tracing::debug!(
        request.id = %request_id, trace.id = %context.trace_id,
        %method, route, status, took_ms = took.as_secs_f64() * 1e3, "request"
    );
    answer
}
