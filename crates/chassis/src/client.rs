//! Requests to another service: deadline, service token, trace, one retry where it is safe, and a
//! breaker.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use chrono::Utc;
use common::Problem;
use common::auth::Service;
use common::dto::access::{IssuedToken, ServiceTokenRequest};
use common::values::Secret;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::Url;

use crate::error::{Fault, Unavailable};
use crate::http::context;
use crate::respond_with_problem;
use crate::tls::Authority;

/// How long a peer may take when the caller does not say otherwise.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long identity may take to issue a token, which everybody waits for.
const TOKEN_DEADLINE: Duration = Duration::from_secs(5);
/// So many failures in a row open the breaker …
const FAILURES: u32 = 5;
/// … for this long.
const OPEN_MS: i64 = 1_000;

/// Why a peer did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It did not answer, or not in time: nothing is known of the effect.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It answered no; its reasons are passed on.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
}

impl Fault for PeerError {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unavailable(error) => error.kind(),
            Self::Refused(problem) => {
                let status =
                    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
                (status, "refused_by_peer")
            }
        }
    }

    fn fields(&self) -> Vec<common::FieldError> {
        match self {
            Self::Unavailable(_) => Vec::new(),
            Self::Refused(problem) => problem.errors.clone(),
        }
    }
}

respond_with_problem!(PeerError);

impl PeerError {
    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Unavailable(_) => None,
            Self::Refused(problem) => Some(&problem.code),
        }
    }
}

/// The outbound HTTP client: no redirects, no ambient proxy, `TCP_NODELAY`.
pub fn http() -> reqwest::Client {
    builder()
        .build()
        .expect("the client's settings are constants")
}

/// The client for other services: over TLS it believes this authority alone, and without one
/// nobody.
pub fn inside(authority: Option<&Arc<Authority>>) -> anyhow::Result<reqwest::Client> {
    let builder = builder().http1_only();
    let builder = match authority {
        Some(authority) => builder.tls_backend_preconfigured(authority.client()?),
        None => builder.tls_certs_only([]),
    };
    Ok(builder.build()?)
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(3))
        .pool_max_idle_per_host(8)
}

/// Signs a service token: identity's own way to one.
type Sign = Box<dyn Fn() -> Result<IssuedToken, Unavailable> + Send + Sync>;

/// Gets service tokens from `identity` and keeps the current one.
pub struct ServiceTokens {
    http: reqwest::Client,
    url: Url,
    request: ServiceTokenRequest,
    current: Mutex<Option<(String, i64)>>,
    /// Until when identity is not asked again, after it did not answer.
    failing_until_ms: AtomicI64,
    own: OnceLock<Sign>,
}

impl std::fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceTokens({})", self.request.service)
    }
}

impl ServiceTokens {
    /// Signs tokens here from now on instead of asking for them.
    pub fn sign_by(
        &self,
        sign: impl Fn() -> Result<IssuedToken, Unavailable> + Send + Sync + 'static,
    ) {
        // The first one stays.
        self.own.set(Box::new(sign)).ok();
    }

    pub fn new(http: reqwest::Client, identity: &Url, service: Service, secret: &Secret) -> Self {
        let url = identity
            .join("/internal/service-token")
            .unwrap_or_else(|_| identity.clone());
        let request = ServiceTokenRequest {
            service,
            secret: secret.expose().to_owned(),
        };
        Self {
            http,
            url,
            request,
            current: Mutex::new(None),
            failing_until_ms: AtomicI64::new(0),
            own: OnceLock::new(),
        }
    }

    /// Tokens that need no `identity`, for tests.
    pub fn fixed(token: String) -> Self {
        let request = ServiceTokenRequest {
            service: Service::Gateway,
            secret: String::new(),
        };
        let url = Url::parse("http://unset.invalid").expect("a constant URL");
        let current = Mutex::new(Some((token, i64::MAX)));
        Self {
            http: http(),
            url,
            request,
            current,
            failing_until_ms: AtomicI64::new(0),
            own: OnceLock::new(),
        }
    }

    /// A token that is valid for another minute at least. Callers wait for one fetch; when it
    /// fails, all of them fail with it instead of waiting for one more each.
    async fn token(&self) -> Result<String, PeerError> {
        let mut current = self.current.lock().await;
        let now = Utc::now().timestamp();
        if let Some((token, _)) = current.as_ref().filter(|(_, until)| *until > now + 60) {
            return Ok(token.clone());
        }
        if Utc::now().timestamp_millis() < self.failing_until_ms.load(Ordering::Relaxed) {
            return Err(Unavailable::new(Service::Identity.as_str()).into());
        }
        if let Some(sign) = self.own.get() {
            let issued = sign()?;
            *current = Some((issued.access_token.clone(), now + issued.expires_in));
            return Ok(issued.access_token);
        }
        let request = self
            .http
            .post(self.url.clone())
            .json(&self.request)
            .timeout(TOKEN_DEADLINE);
        let answer: Result<IssuedToken, _> = answer(Service::Identity, request.send().await).await;
        if matches!(answer, Err(PeerError::Unavailable(_))) {
            let until = Utc::now().timestamp_millis() + OPEN_MS;
            self.failing_until_ms.store(until, Ordering::Relaxed);
        }
        let issued = answer?;
        *current = Some((issued.access_token.clone(), now + issued.expires_in));
        Ok(issued.access_token)
    }

    /// Forgets the current token, after a peer refused it.
    async fn forget(&self) {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|(_, until)| *until != i64::MAX)
        {
            *current = None;
        }
    }
}

/// Another service.
#[derive(Debug)]
pub struct Peer {
    pub service: Service,
    base: Url,
    http: reqwest::Client,
    tokens: Arc<ServiceTokens>,
    failures: AtomicU32,
    open_until_ms: AtomicI64,
}

impl Peer {
    pub fn new(
        service: Service,
        base: Url,
        http: reqwest::Client,
        tokens: Arc<ServiceTokens>,
    ) -> Self {
        Self {
            service,
            base,
            http,
            tokens,
            failures: AtomicU32::new(0),
            open_until_ms: AtomicI64::new(0),
        }
    }

    /// GET; tried twice.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, PeerError> {
        let request = || self.http.request(Method::GET, self.url(path)).query(query);
        match self.send(request()).await {
            Err(PeerError::Unavailable(_)) => self.send(request()).await,
            answer => answer,
        }
    }

    /// POST; tried once, because only the caller knows whether twice is harmless.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, PeerError> {
        self.send(self.http.request(Method::POST, self.url(path)).json(body))
            .await
    }

    /// PUT; tried twice.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, PeerError> {
        let request = || self.http.request(Method::PUT, self.url(path)).json(body);
        match self.send(request()).await {
            Err(PeerError::Unavailable(_)) => self.send(request()).await,
            answer => answer,
        }
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, PeerError> {
        if Utc::now().timestamp_millis() < self.open_until_ms.load(Ordering::Relaxed) {
            return Err(Unavailable::new(self.service.as_str()).into());
        }
        // Nobody waits longer for the peer than somebody waits for us.
        let patience = context::left().map_or(DEADLINE, |left| left.min(DEADLINE));
        if patience.is_zero() {
            return Err(Unavailable::new(self.service.as_str()).into());
        }
        let mut request = request
            .timeout(patience)
            .header(context::TIMEOUT, patience.as_millis().to_string())
            .bearer_auth(self.tokens.token().await?)
            .header("x-request-id", context::request_id());
        if let Some(traceparent) = context::traceparent() {
            request = request.header("traceparent", traceparent);
        }
        let answer = answer(self.service, request.send().await).await;
        self.note(&answer);
        if matches!(&answer, Err(PeerError::Refused(problem)) if problem.status == 401) {
            self.tokens.forget().await;
        }
        answer
    }

    fn note<T>(&self, answer: &Result<T, PeerError>) {
        if !matches!(answer, Err(PeerError::Unavailable(_))) {
            self.failures.store(0, Ordering::Relaxed);
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            let until = Utc::now().timestamp_millis() + OPEN_MS;
            self.open_until_ms.store(until, Ordering::Relaxed);
        }
    }
}

async fn answer<T: DeserializeOwned>(
    service: Service,
    sent: reqwest::Result<reqwest::Response>,
) -> Result<T, PeerError> {
    let away = |error: reqwest::Error| Unavailable::because(service.as_str(), error.without_url());
    let response = sent.map_err(away)?;
    let status = response.status();
    let body = response.bytes().await.map_err(away)?;
    if status.is_server_error() {
        return Err(Unavailable::because(service.as_str(), format!("it answered {status}")).into());
    }
    if !status.is_success() {
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
            status: status.as_u16(),
            code: "refused".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            detail: format!("{service} answered {status}"),
            errors: Vec::new(),
            request_id: String::new(),
        });
        return Err(PeerError::Refused(Box::new(problem)));
    }
    let body = if body.is_empty() {
        b"null".as_slice()
    } else {
        &body
    };
    serde_json::from_slice(body)
        .map_err(|error| Unavailable::because(service.as_str(), error).into())
}
