//! Every service verifies the caller's token itself; being behind the gateway opens nothing.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use common::auth::{AuthError, Identity, KeySet, Service, Verified, key_id};
use foldhash::fast::RandomState;
use jsonwebtoken::jwk::JwkSet;
use url::Url;

use crate::error::{Fault, Unavailable, auth_kind};
use crate::revocation::Revocations;
use crate::{Clock, respond_with_problem};

/// Most verified tokens remembered; then the memory starts anew.
const REMEMBERED: usize = 10_000;
/// An unknown key id makes us fetch the keys again, at most this often; so does a failed fetch.
const REFETCH_S: i64 = 2;
/// Keys are fetched anew at this age even when every key id is known.
const STALE_S: i64 = 300;
/// How long a fetch may take: requests wait for it.
const FETCH: Duration = Duration::from_secs(2);

/// Why a request's caller could not be established.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The keys cannot be had; the token may be good.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Fault for Denied {
    fn kind(&self) -> (actix_web::http::StatusCode, &'static str) {
        match self {
            Self::Auth(error) => auth_kind(error),
            Self::Unavailable(error) => error.kind(),
        }
    }
}

respond_with_problem!(Denied);

/// Verifies access tokens against identity's published keys.
///
/// A signature check costs more than the rest of a request, so a verified token is remembered by
/// its full bytes; its expiry and whether it was revoked are checked at every use.
#[derive(Debug)]
pub struct Verifier {
    keys: RwLock<Keys>,
    source: Option<(reqwest::Client, Url)>,
    /// Tokens are long and looked up at every request, so by a quick hash: only genuine ones are in
    /// it, so nobody can fill it with what collides.
    remembered: Mutex<HashMap<String, Verified, RandomState>>,
    fetching: tokio::sync::Mutex<()>,
    clock: Clock,
    revocations: Arc<Revocations>,
}

#[derive(Debug, Default)]
struct Keys {
    set: KeySet,
    fetched_at: i64,
    /// When the last fetch failed; 0 since one succeeded.
    failed_at: i64,
}

impl Verifier {
    /// Fetches keys from `identity`'s JWK set when they are first needed.
    pub fn remote(http: reqwest::Client, identity: &Url, clock: Clock) -> Self {
        let url = identity
            .join("/api/v1/.well-known/jwks.json")
            .unwrap_or_else(|_| identity.clone());
        Self {
            source: Some((http, url)),
            ..Self::local(KeySet::default(), clock)
        }
    }

    /// Holds the keys itself: identity's own verifier, and tests.
    pub fn local(set: KeySet, clock: Clock) -> Self {
        Self {
            keys: RwLock::new(Keys {
                set,
                ..Keys::default()
            }),
            source: None,
            remembered: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            clock,
            revocations: Arc::default(),
        }
    }

    /// What was revoked; empty as long as nobody follows Redis into it.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Replaces the keys and forgets what the old ones verified.
    pub fn replace(&self, set: KeySet) {
        *self
            .keys
            .write()
            .unwrap_or_else(|poison| poison.into_inner()) = Keys {
            set,
            fetched_at: self.clock.now().timestamp(),
            failed_at: 0,
        };
        self.remembered
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .clear();
    }

    /// What `token` says, if it is genuine and still valid.
    pub async fn verify(&self, token: &str) -> Result<Verified, Denied> {
        if let Some(answer) = self.recall(token) {
            return Ok(answer?);
        }
        self.have_key(&key_id(token)?).await?;
        let verified = {
            let keys = self
                .keys
                .read()
                .unwrap_or_else(|poison| poison.into_inner());
            keys.set.verify(token, self.clock.now().timestamp())?
        };
        if self.revocations.cover(&verified) {
            return Err(AuthError::Revoked.into());
        }
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(token.to_owned(), verified.clone());
        Ok(verified)
    }

    /// The answer for a token that was verified before, without waiting.
    pub fn recall(&self, token: &str) -> Option<Result<Verified, AuthError>> {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        let verified = remembered.get(token)?;
        if verified.expires_at <= self.clock.now().timestamp() {
            return Some(Err(AuthError::Expired));
        }
        if self.revocations.cover(verified) {
            return Some(Err(AuthError::Revoked));
        }
        Some(Ok(verified.clone()))
    }

    /// Fetches the keys when `kid` is unknown or the set is old. Callers wait for one fetch, and
    /// only those that cannot do without: old keys are better than none while identity is away.
    async fn have_key(&self, kid: &str) -> Result<(), Denied> {
        let Some((http, url)) = &self.source else {
            return Ok(());
        };
        let want = self.want(kid);
        let _one = match want {
            Want::Nothing => return Ok(()),
            Want::Fresher => match self.fetching.try_lock() {
                Ok(one) => one,
                Err(_) => return Ok(()),
            },
            Want::This => self.fetching.lock().await,
            Want::Later => return Err(Unavailable::new("identity").into()),
        };
        match self.want(kid) {
            Want::Nothing => return Ok(()),
            Want::Later => return Err(Unavailable::new("identity").into()),
            Want::Fresher | Want::This => {}
        }
        match (fetch(http, url).await, want) {
            (Ok(set), _) => self.replace(set),
            (Err(error), Want::Fresher) => {
                tracing::warn!(%error, "identity's keys cannot be fetched, the old ones serve on");
                self.note_failure();
            }
            (Err(error), _) => {
                self.note_failure();
                return Err(Unavailable::because("identity", error).into());
            }
        }
        Ok(())
    }

    fn note_failure(&self) {
        let mut keys = self
            .keys
            .write()
            .unwrap_or_else(|poison| poison.into_inner());
        keys.failed_at = self.clock.now().timestamp();
    }

    fn want(&self, kid: &str) -> Want {
        let keys = self
            .keys
            .read()
            .unwrap_or_else(|poison| poison.into_inner());
        let now = self.clock.now().timestamp();
        let failed = now - keys.failed_at <= REFETCH_S;
        match (keys.set.contains(kid), now - keys.fetched_at) {
            (true, age) if age > STALE_S && !failed => Want::Fresher,
            (false, _) if failed => Want::Later,
            (false, age) if age > REFETCH_S => Want::This,
            _ => Want::Nothing,
        }
    }
}

/// What a token's key id asks of the set of keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Nothing,
    /// The key is there, but the set is old.
    Fresher,
    /// The key is not there.
    This,
    /// The key is not there, and identity did not answer a moment ago.
    Later,
}

async fn fetch(http: &reqwest::Client, url: &Url) -> reqwest::Result<KeySet> {
    let request = http.get(url.clone()).timeout(FETCH);
    let jwks: JwkSet = request.send().await?.error_for_status()?.json().await?;
    Ok(KeySet::from_jwks(&jwks))
}

/// The verified caller of a request; a handler that takes one cannot be reached without.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub common::auth::Caller);

impl Deref for Caller {
    type Target = common::auth::Caller;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The verified service that calls an internal route.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCaller(pub Service);

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, Denied>>>>;

impl FromRequest for Caller {
    type Error = Denied;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let identity = identify(request);
        Box::pin(async move {
            match identity.await?.identity {
                Identity::Caller(caller) => Ok(Self(caller)),
                // A service acts for itself, never for a workspace.
                Identity::Service(_) => Err(AuthError::Invalid.into()),
            }
        })
    }
}

impl FromRequest for ServiceCaller {
    type Error = Denied;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let identity = identify(request);
        Box::pin(async move {
            match identity.await?.identity {
                Identity::Service(service) => Ok(Self(service)),
                Identity::Caller(_) => Err(AuthError::ServicesOnly.into()),
            }
        })
    }
}

/// Who a request has shown to come from.
pub(crate) struct Known(Identity);

impl Known {
    /// As the audit trail calls them.
    pub(crate) fn name(&self) -> String {
        match self.0 {
            Identity::Caller(caller) => caller.subject.to_string(),
            Identity::Service(service) => format!("service:{service}"),
        }
    }
}

/// What the memory of verified tokens says of a request's.
enum Recalled {
    Answer(Result<Verified, AuthError>),
    /// It was not seen before.
    Unknown(web::Data<Arc<Verifier>>, String),
}

fn recall(request: &HttpRequest) -> Recalled {
    let Some(verifier) = request.app_data::<web::Data<Arc<Verifier>>>() else {
        return Recalled::Answer(Err(AuthError::Invalid));
    };
    let Some(token) = bearer(request) else {
        return Recalled::Answer(Err(AuthError::Missing));
    };
    match verifier.recall(token) {
        Some(answer) => Recalled::Answer(answer),
        None => Recalled::Unknown(verifier.clone(), token.to_owned()),
    }
}

/// Verifies the request's bearer token (RFC 6750 §2.1).
fn identify(request: &HttpRequest) -> impl Future<Output = Result<Verified, Denied>> + use<> {
    let (recalled, request) = (recall(request), request.clone());
    async move {
        let verified = match recalled {
            Recalled::Answer(answer) => answer?,
            Recalled::Unknown(verifier, token) => verifier.verify(&token).await?,
        };
        crate::audit::identified(&verified);
        request.extensions_mut().insert(Known(verified.identity));
        Ok(verified)
    }
}

/// The token of an `Authorization: Bearer` header. Two such headers are none.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut headers = request.headers().get_all("authorization");
    let value = std::str::from_utf8(headers.next()?.as_bytes()).ok()?;
    if headers.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
