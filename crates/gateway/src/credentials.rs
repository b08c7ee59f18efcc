//! Credentials: a token is verified, a key or a session is exchanged for one at identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use chassis::Unavailable;
use chassis::client::{Peer, PeerError};
use chassis::revocation::Marks;
use common::auth::{AuthError, Identity};
use common::dto::access::{Credential, IssuedToken};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::gate::Gate;
use crate::headers::SESSION_COOKIE;
use crate::routes::{Auth, Route, is_safe};

/// How API keys begin.
const KEY_PREFIX: &str = "clk_";
/// How long an exchange is believed, unless it is revoked before.
const BELIEVED: Duration = Duration::from_secs(30);
/// Most exchanges remembered; then the memory starts anew.
const REMEMBERED: usize = 10_000;

/// What a request says about who sends it.
#[derive(Debug, PartialEq, Eq)]
enum Presented {
    Token(String),
    Key(String),
    Session(String),
}

/// The `Authorization` header that goes on to the service, if any.
pub(crate) async fn open(
    gate: &Gate,
    request: &HttpRequest,
    route: &Route,
) -> Result<Option<HeaderValue>, Error> {
    let presented = match route.auth {
        Auth::Open => return Ok(None),
        Auth::Own => return Ok(request.headers().get(header::AUTHORIZATION).cloned()),
        Auth::Session => return session_route(gate, request).map(|()| None),
        Auth::Needed | Auth::Optional => presented(request)?,
    };
    match presented {
        Some(Presented::Token(token)) => verify(gate, request, &token).await,
        Some(Presented::Key(key)) => Ok(Some(held(gate, Credential::ApiKey(key)).await?.header)),
        Some(Presented::Session(cookie)) => session(gate, request, cookie).await.map(Some),
        None if route.auth == Auth::Needed => Err(AuthError::Missing.into()),
        None => Ok(None),
    }
}

/// The one credential of a request. More than one is refused: they could differ, and then the
/// reader decides who is calling.
fn presented(request: &HttpRequest) -> Result<Option<Presented>, Error> {
    let headers = request.headers();
    let authorization = only(headers, "authorization")?;
    let key = only(headers, "x-api-key")?;
    match (authorization, key) {
        (Some(_), Some(_)) => Err(Error::TwoCredentials),
        (None, Some(key)) => Ok(Some(Presented::Key(key.to_owned()))),
        (Some(authorization), None) => bearer(authorization).map(Some),
        (None, None) => Ok(session_cookie(request).map(Presented::Session)),
    }
}

/// The value of a header that may come once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::TwoCredentials);
    }
    let text = first.map(HeaderValue::to_str).transpose();
    text.map_err(|_| AuthError::Invalid.into())
}

fn bearer(authorization: &str) -> Result<Presented, Error> {
    let (scheme, token) = authorization.split_once(' ').ok_or(AuthError::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Missing.into());
    }
    let token = token.trim().to_owned();
    Ok(match token.starts_with(KEY_PREFIX) {
        true => Presented::Key(token),
        false => Presented::Token(token),
    })
}

fn session_cookie(request: &HttpRequest) -> Option<String> {
    let cookie = request.cookie(SESSION_COOKIE)?;
    Some(cookie.value().to_owned())
}

/// A genuine token of a person or a key goes on as it came. Services do not come this way.
async fn verify(
    gate: &Gate,
    request: &HttpRequest,
    token: &str,
) -> Result<Option<HeaderValue>, Error> {
    match gate.shared.verifier.verify(token).await?.identity {
        Identity::Caller(_) => Ok(request.headers().get(header::AUTHORIZATION).cloned()),
        Identity::Service(_) => Err(AuthError::Invalid.into()),
    }
}

/// A session's token. A browser sends its cookie whoever asks it to, so what changes something
/// must show that our own page asked.
async fn session(gate: &Gate, request: &HttpRequest, cookie: String) -> Result<HeaderValue, Error> {
    let held = held(gate, Credential::Session(cookie)).await?;
    if !is_safe(request.method()) {
        same_site(gate, request)?;
        // What we remember of a session may have ended; without Redis nobody would have told us.
        if !gate.shared.verifier.revocations().is_fresh_soon().await {
            return Err(Unavailable::new("the session store").into());
        }
        let given = request.headers().get("x-csrf-token");
        let given = given.map(HeaderValue::as_bytes).unwrap_or_default();
        // Digests are compared, so that the time says nothing about the token.
        let expected = held.csrf.as_deref().unwrap_or_default();
        if expected.is_empty() || Sha256::digest(given) != Sha256::digest(expected) {
            return Err(Error::CsrfMismatch);
        }
    }
    Ok(held.header)
}

/// The token of a credential. One that was revoked is not handed on: the credential is asked about
/// anew, and identity knows whether it still stands for somebody.
async fn held(gate: &Gate, credential: Credential) -> Result<Held, Error> {
    let exchange = &gate.shared.exchange;
    let held = exchange.get(&credential).await?;
    let revocations = gate.shared.verifier.revocations();
    match held
        .marks
        .is_some_and(|marks| revocations.cover_marks(&marks))
    {
        false => Ok(held),
        true => {
            exchange.forget(&credential);
            exchange.get(&credential).await
        }
    }
}

/// Starting and ending a session: identity reads the cookie, we only keep other sites out and
/// forget what is about to end.
fn session_route(gate: &Gate, request: &HttpRequest) -> Result<(), Error> {
    if is_safe(request.method()) {
        return Ok(());
    }
    same_site(gate, request)?;
    if let Some(cookie) = session_cookie(request) {
        gate.shared.exchange.forget(&Credential::Session(cookie));
    }
    Ok(())
}

/// Fails if a browser says that another site asked for this request. Programs say neither.
fn same_site(gate: &Gate, request: &HttpRequest) -> Result<(), Error> {
    let text = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("null"))
    };
    if let Some(site) = text("sec-fetch-site") {
        let ours = matches!(site, "same-origin" | "none");
        return ours.then_some(()).ok_or(Error::CrossSite);
    }
    let Some(origin) = text("origin") else {
        return Ok(());
    };
    let public = gate.shared.public_url.origin().ascii_serialization();
    let host = text("host").unwrap_or_default();
    let direct = origin
        .split_once("://")
        .is_some_and(|(_, name)| name == host);
    match origin == public || direct {
        true => Ok(()),
        false => Err(Error::CrossSite),
    }
}

/// Exchanges keys and sessions for tokens, and remembers them for a while.
#[derive(Debug)]
pub(crate) struct Exchange {
    identity: Arc<Peer>,
    held: Mutex<HashMap<[u8; 32], Held>>,
}

/// A token that was got for a credential.
#[derive(Clone, Debug)]
struct Held {
    header: HeaderValue,
    csrf: Option<String>,
    /// What a revocation could name.
    marks: Option<Marks>,
    until: Instant,
}

impl Exchange {
    pub(crate) fn new(identity: Arc<Peer>) -> Self {
        let held = Mutex::default();
        Self { identity, held }
    }

    async fn get(&self, credential: &Credential) -> Result<Held, Error> {
        let name = fingerprint(credential);
        if let Some(held) = self.recall(&name) {
            return Ok(held);
        }
        let issued: IssuedToken = self
            .identity
            .post("/internal/exchange", credential)
            .await
            .map_err(|error| match error {
                PeerError::Unavailable(away) => Error::Away(away),
                PeerError::Refused(_) => Error::CredentialInvalid,
            })?;
        let held = Held::new(issued)?;
        self.remember(name, held.clone());
        Ok(held)
    }

    fn recall(&self, name: &[u8; 32]) -> Option<Held> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(name)
            .filter(|held| held.until > Instant::now())
            .cloned()
    }

    fn remember(&self, name: [u8; 32], fresh: Held) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= REMEMBERED {
            held.clear();
        }
        held.insert(name, fresh);
    }

    fn forget(&self, credential: &Credential) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&fingerprint(credential));
    }
}

impl Held {
    fn new(issued: IssuedToken) -> Result<Self, Error> {
        let header = HeaderValue::from_str(&format!("Bearer {}", issued.access_token))
            .map_err(|error| Error::broken("identity", error))?;
        // Half a minute before it expires it is not handed on any more: it is still to travel.
        let left = u64::try_from(issued.expires_in - 30).unwrap_or(0);
        Ok(Self {
            header,
            marks: Marks::of_issued(&issued.access_token),
            csrf: issued.csrf_token,
            until: Instant::now() + BELIEVED.min(Duration::from_secs(left)),
        })
    }
}

/// What a credential is remembered by; the credential itself is not kept.
fn fingerprint(credential: &Credential) -> [u8; 32] {
    let (kind, text) = match credential {
        Credential::ApiKey(text) => (b'k', text),
        Credential::Session(text) => (b's', text),
    };
    let hash = Sha256::new().chain_update([kind]).chain_update(text);
    hash.finalize().into()
}
