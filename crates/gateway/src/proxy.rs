//! One request to a part, and its answer back.

use std::time::{Duration, Instant};

use actix_http::body::{BodyStream, BoxBody, SizedStream};
use actix_http::error::PayloadError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::{PathAndQuery, Scheme, Uri};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::time::timeout;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use awc::error::{ConnectError, SendRequestError};
use awc::{ClientRequest, ClientResponse};
use bytes::Bytes;
use chassis::http::context::RequestContext;

use crate::body::{Body, Fault, SMALL};
use crate::credentials;
use crate::error::Error;
use crate::gate::Gate;
use crate::headers;
use crate::routes::{Auth, Route, is_idempotent};

type Answer = ClientResponse;

/// Passes a request on to its part, and the answer back.
pub(crate) async fn forward(
    gate: &Gate,
    route: &'static Route,
    request: &HttpRequest,
    payload: Payload,
    context: &RequestContext,
) -> Result<HttpResponse, Error> {
    let authorization = credentials::open(gate, request, route).await?;
    let path = request.uri().path_and_query();
    let root = PathAndQuery::from_static("/");
    let uri = gate.uri(route.part, path.unwrap_or(&root))?;
    let patience = gate.shared.timeout;
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok());
    let terms = route.terms(kind.unwrap_or_default());
    let body = Body::read(request, payload, terms.limit, patience).await?;
    let outbound = Outbound {
        gate,
        route,
        timeout: terms.timeout.unwrap_or(patience),
        request,
        context,
        uri,
        authorization,
    };
    let answer = outbound.send(body).await?;
    respond(request.method(), route, patience, answer).await
}

struct Outbound<'a> {
    gate: &'a Gate,
    route: &'static Route,
    /// How long the part may take to begin its answer.
    timeout: Duration,
    request: &'a HttpRequest,
    context: &'a RequestContext,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Outbound<'_> {
    /// Sends the request. When a kept connection turns out to be closed, and neither carrying the
    /// request out twice nor sending its body twice is a problem, it is sent once more.
    async fn send(&self, body: Body) -> Result<Answer, Error> {
        let part = self.route.part.name();
        let until = Instant::now() + self.timeout;
        match body {
            Body::None => self.send_twice(until, ClientRequest::send).await,
            Body::Whole(bytes) => {
                self.send_twice(until, |request| request.send_body(bytes.clone()))
                    .await
            }
            Body::Sized(length, flow) => {
                let fault = flow.fault.clone();
                let sending = self.head().send_body(SizedStream::new(length, flow));
                settle(part, until, sending)
                    .await
                    .map_err(|error| blame(error, &fault))
            }
            Body::Unsized(flow) => {
                let fault = flow.fault.clone();
                let sending = self.head().send_body(BodyStream::new(flow));
                settle(part, until, sending)
                    .await
                    .map_err(|error| blame(error, &fault))
            }
        }
    }

    async fn send_twice<F>(
        &self,
        until: Instant,
        send: impl Fn(ClientRequest) -> F,
    ) -> Result<Answer, Error>
    where
        F: Future<Output = Result<Answer, SendRequestError>>,
    {
        let part = self.route.part.name();
        let first = settle(part, until, send(self.head())).await;
        match first {
            Err(Error::Broken { .. }) if is_idempotent(self.request.method()) => {
                settle(part, until, send(self.head())).await
            }
            answer => answer,
        }
    }

    /// The request without its body.
    fn head(&self) -> ClientRequest {
        let method = self.request.method().clone();
        let mut head = self
            .gate
            .client
            .request(method, self.uri.clone())
            .no_decompress();
        let (from, to) = (self.request.headers(), head.headers_mut());
        headers::pass_request(from, to);
        let peer = self.request.peer_addr().map(|address| address.ip());
        let scheme = match self.gate.shared.public_url.scheme() {
            "https" => Scheme::HTTPS,
            _ => Scheme::HTTP,
        };
        headers::vouch(to, self.context, peer, &scheme);
        if let Some(authorization) = &self.authorization {
            to.insert(header::AUTHORIZATION, authorization.clone());
        }
        let cookies = match self.route.auth {
            Auth::Session => from.get(header::COOKIE).cloned(),
            _ => headers::other_cookies(from),
        };
        if let Some(cookies) = cookies {
            to.insert(header::COOKIE, cookies);
        }
        head
    }
}

/// What is wrong with the body is the client's doing, not the part's.
fn blame(error: Error, fault: &Fault) -> Error {
    fault.take().unwrap_or(error)
}

async fn settle(
    part: &'static str,
    until: Instant,
    sending: impl Future<Output = Result<Answer, SendRequestError>>,
) -> Result<Answer, Error> {
    let left = until.saturating_duration_since(Instant::now());
    match timeout(left, sending).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failure(part, error)),
        Err(_) => Err(Error::Late { part }),
    }
}

fn failure(part: &'static str, error: SendRequestError) -> Error {
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => {
            Error::broken(part, "it closed the connection")
        }
        SendRequestError::Connect(error) => Error::away(part, error),
        SendRequestError::Timeout => Error::Late { part },
        error => Error::broken(part, error),
    }
}

/// The answer for the client: status, headers and body as the part gave them.
async fn respond(
    method: &Method,
    route: &'static Route,
    patience: Duration,
    mut answer: Answer,
) -> Result<HttpResponse, Error> {
    let mut response = HttpResponse::build(answer.status());
    headers::pass_response(answer.headers(), |name, value| {
        response.append_header((name, value));
    });
    let length = content_length(&answer);
    if *method == Method::HEAD || has_no_body(answer.status()) {
        return Ok(response.body(announce(length)));
    }
    let body = match length {
        Some(length) if length <= SMALL => {
            let whole = answer.body().limit(SMALL as usize);
            let part = route.part.name();
            let whole = timeout(patience, whole)
                .await
                .map_err(|_| Error::Late { part })?
                .map_err(|error| Error::broken(part, error))?;
            return Ok(response.body(whole));
        }
        Some(length) => BoxBody::new(SizedStream::new(length, answer)),
        None => BoxBody::new(BodyStream::new(answer)),
    };
    Ok(response.body(body))
}

/// No body, but the length that it would have.
fn announce(length: Option<u64>) -> BoxBody {
    match length {
        Some(length) => {
            let nothing = futures::stream::empty::<Result<Bytes, PayloadError>>();
            BoxBody::new(SizedStream::new(length, nothing))
        }
        None => BoxBody::new(actix_http::body::None::new()),
    }
}

fn content_length(answer: &Answer) -> Option<u64> {
    let value = answer.headers().get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
