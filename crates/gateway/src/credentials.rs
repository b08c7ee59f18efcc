//! Credentials: a token is verified, a key or a session is exchanged for one at identity.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chassis::Unavailable;
use chassis::auth::Verifier;
use chassis::client::{Peer, PeerError};
use chassis::revocation::Marks;
use common::auth::{AuthError, Caller, Identity};
use common::dto::access::{Credential, IssuedToken};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::gate::Gate;
use crate::headers::SESSION_COOKIE;
use crate::request::Request;
use crate::table::{Auth, is_safe};

/// How API keys begin.
const KEY_PREFIX: &str = "clk_";
/// How long an exchange is believed, unless it is revoked before.
const BELIEVED: Duration = Duration::from_secs(30);
/// Most exchanges remembered; then the memory starts anew.
const REMEMBERED: usize = 10_000;

/// What a request says about who sends it.
#[derive(Debug, PartialEq, Eq)]
enum Presented<'a> {
    Token(&'a str),
    Key(&'a str),
    Session(&'a str),
}

/// Who is calling, and what is said of that to the service.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) caller: Option<Caller>,
    pub(crate) says: Says,
}

/// The `Authorization` that goes on to the service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Says {
    #[default]
    Nothing,
    /// What the client said.
    TheSame,
    This(Arc<str>),
}

/// Lets a request in, or not.
pub(crate) async fn open(gate: &Gate, request: &Request<'_>, auth: Auth) -> Result<Opened, Error> {
    let presented = match auth {
        Auth::Open => return Ok(Opened::default()),
        Auth::Own => return Ok(Opened::saying(Says::TheSame)),
        Auth::Session => return session_route(gate, request).map(|()| Opened::default()),
        Auth::Needed | Auth::Optional => presented(request)?,
    };
    match presented {
        Some(Presented::Token(token)) => verify(gate, request, token).await,
        Some(Presented::Key(key)) => {
            let key = Credential::ApiKey(key.to_owned());
            let held = exchange(gate, request, key).await?;
            Ok(held.opened())
        }
        Some(Presented::Session(cookie)) => session(gate, request, cookie).await,
        None if auth == Auth::Needed => Err(AuthError::Missing.into()),
        None => Ok(Opened::default()),
    }
}

impl Opened {
    fn saying(says: Says) -> Self {
        let caller = None;
        Self { caller, says }
    }
}

/// The token of a credential. One that was revoked is not handed on: the credential is asked about
/// anew, and identity knows whether it still stands for somebody.
async fn exchange(
    gate: &Gate,
    request: &Request<'_>,
    credential: Credential,
) -> Result<Held, Error> {
    let (exchange, verifier) = (&gate.shared.exchange, &gate.shared.verifier);
    if let Some(held) = exchange.recall(&fingerprint(&credential)) {
        let revoked = |marks| verifier.revocations().cover_marks(marks);
        if !held.marks.as_ref().is_some_and(revoked) {
            return Ok(held);
        }
        exchange.forget(&credential);
    }
    let getting = exchange.get(verifier, &credential);
    request.trail.context().scope(getting).await
}

/// The one credential of a request. More than one is refused: they could differ, and then the
/// reader decides who is calling.
fn presented<'a>(request: &Request<'a>) -> Result<Option<Presented<'a>>, Error> {
    let authorization = only(request, "authorization")?;
    let key = only(request, "x-api-key")?;
    match (authorization, key) {
        (Some(_), Some(_)) => Err(Error::TwoCredentials),
        (None, Some(key)) => Ok(Some(Presented::Key(key))),
        (Some(authorization), None) => bearer(authorization).map(Some),
        (None, None) => Ok(request.cookie(SESSION_COOKIE).map(Presented::Session)),
    }
}

/// The value of a header that may come once.
fn only<'a>(request: &Request<'a>, name: &'static str) -> Result<Option<&'a str>, Error> {
    let mut values = request.head.lines().all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::TwoCredentials);
    }
    let text = first.map(std::str::from_utf8).transpose();
    text.map_err(|_| AuthError::Invalid.into())
}

fn bearer(authorization: &str) -> Result<Presented<'_>, Error> {
    let (scheme, token) = authorization.split_once(' ').ok_or(AuthError::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Missing.into());
    }
    let token = token.trim();
    Ok(match token.starts_with(KEY_PREFIX) {
        true => Presented::Key(token),
        false => Presented::Token(token),
    })
}

/// A genuine token of a person or a key goes on as it came. Services do not come this way.
async fn verify(gate: &Gate, request: &Request<'_>, token: &str) -> Result<Opened, Error> {
    let verifier = &gate.shared.verifier;
    let verified = match verifier.recall(token) {
        Some(known) => known?,
        None => {
            request
                .trail
                .context()
                .scope(verifier.verify(token))
                .await?
        }
    };
    match verified.identity {
        Identity::Caller(caller) => Ok(Opened {
            caller: Some(caller),
            says: Says::TheSame,
        }),
        Identity::Service(_) => Err(AuthError::Invalid.into()),
    }
}

/// A session's token. A browser sends its cookie whoever asks it to, so what changes something
/// must show that our own page asked.
async fn session(gate: &Gate, request: &Request<'_>, cookie: &str) -> Result<Opened, Error> {
    let held = exchange(gate, request, Credential::Session(cookie.to_owned())).await?;
    if request.head.asks_for_websocket() {
        // Another protocol writes as it likes, and a browser asks nobody before it connects.
        same_site(gate, request)?;
    }
    if !is_safe(request.method()) {
        same_site(gate, request)?;
        // What we remember of a session may have ended; without Redis nobody would have told us.
        if !gate.shared.verifier.revocations().is_fresh_soon().await {
            return Err(Unavailable::new("the session store").into());
        }
        let given = request.get("x-csrf-token").unwrap_or_default();
        // Digests are compared, so that the time says nothing about the token.
        let expected = held.csrf.as_deref().unwrap_or_default();
        if expected.is_empty() || Sha256::digest(given) != Sha256::digest(expected) {
            return Err(Error::CsrfMismatch);
        }
    }
    Ok(held.opened())
}

/// Starting and ending a session: identity reads the cookie, we only keep other sites out and
/// forget what is about to end.
fn session_route(gate: &Gate, request: &Request<'_>) -> Result<(), Error> {
    if is_safe(request.method()) {
        return Ok(());
    }
    same_site(gate, request)?;
    if let Some(cookie) = request.cookie(SESSION_COOKIE) {
        let session = Credential::Session(cookie.to_owned());
        gate.shared.exchange.forget(&session);
    }
    Ok(())
}

/// Fails if a browser says that another site asked for this request. Programs say neither.
fn same_site(gate: &Gate, request: &Request<'_>) -> Result<(), Error> {
    let text = |name: &str| {
        let value = request.get(name)?;
        Some(std::str::from_utf8(value).unwrap_or("null"))
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
    header: Arc<str>,
    caller: Option<Caller>,
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

    async fn get(&self, verifier: &Verifier, credential: &Credential) -> Result<Held, Error> {
        let issued: IssuedToken = self
            .identity
            .post("/internal/exchange", credential)
            .await
            .map_err(|error| match error {
                PeerError::Unavailable(away) => Error::Away(away),
                PeerError::Refused(_) => Error::CredentialInvalid,
            })?;
        // Whose token it is decides which limits they have; what it may do, the service decides.
        let verified = verifier.verify(&issued.access_token).await;
        let caller = verified.ok().and_then(|verified| match verified.identity {
            Identity::Caller(caller) => Some(caller),
            Identity::Service(_) => None,
        });
        let held = Held::new(issued, caller)?;
        self.remember(fingerprint(credential), held.clone());
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
    fn new(issued: IssuedToken, caller: Option<Caller>) -> Result<Self, Error> {
        let header = format!("Bearer {}", issued.access_token);
        if !header.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::broken("identity", "its token is no header's value"));
        }
        // Half a minute before it expires it is not handed on any more: it is still to travel.
        let left = u64::try_from(issued.expires_in - 30).unwrap_or(0);
        Ok(Self {
            header: header.into(),
            caller,
            marks: Marks::of_issued(&issued.access_token),
            csrf: issued.csrf_token,
            until: Instant::now() + BELIEVED.min(Duration::from_secs(left)),
        })
    }
}

impl Held {
    fn opened(self) -> Opened {
        Opened {
            caller: self.caller,
            says: Says::This(self.header),
        }
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
