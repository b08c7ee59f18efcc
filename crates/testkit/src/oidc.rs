//! A small OpenID provider that speaks the real protocol: discovery, authorization code with PKCE,
//! keys that rotate. It can be told to do one thing wrong.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use actix_web::dev::ServerHandle;
use actix_web::web::{Data, Form, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Somebody whom the provider knows.
#[derive(Clone, Debug)]
pub struct Vouched {
    pub subject: String,
    pub email: Option<String>,
    pub email_verified: bool,
    pub name: String,
}

/// What the provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Nonce,
    NoNonce,
    Audience,
    SecondAudience,
    OtherParty,
    Issuer,
    Expired,
    IssuedLongAgo,
    FromTheFuture,
    /// `alg: none`, without a signature.
    AlgNone,
    /// Signed with the client's secret.
    AlgHmac,
    /// Signed with the public key as if it were a secret.
    AlgConfusion,
    /// By a key that is not published, under the name of one that is.
    ForgedKey,
    /// By a key that nobody has heard of.
    UnknownKey,
    /// A genuine signature under claims that were edited afterwards.
    EditedClaims,
    Subject,
    NotAToken,
    NoToken,
    /// The person says no.
    Denied,
    /// The answer claims to be another provider's (RFC 9207).
    IssParameter,
    /// It says that it is somebody else.
    Discovery,
    /// Its endpoint for tokens fails.
    TokenEndpoint,
}

struct Key {
    id: String,
    pair: RsaKeyPair,
}

struct Grant {
    redirect_uri: String,
    challenge: String,
    nonce: String,
    person: Vouched,
    used: bool,
}

struct Inner {
    issuer: String,
    key: Key,
    person: Vouched,
    wrong: Option<Wrong>,
    grants: HashMap<String, Grant>,
    keys_read: usize,
    codes_refused: usize,
}

/// The provider, on loopback. It ends with the process, or by [`OidcProvider::stop`].
pub struct OidcProvider {
    inner: Arc<Mutex<Inner>>,
    server: ServerHandle,
    address: SocketAddr,
}

impl std::fmt::Debug for OidcProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OidcProvider({})", self.address)
    }
}

fn new_key() -> Key {
    Key {
        id: uuid::Uuid::new_v4().to_string(),
        pair: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair"),
    }
}

impl OidcProvider {
    pub const CLIENT_ID: &'static str = "clarion of the tests";
    pub const CLIENT_SECRET: &'static str = "secret: 100% of the tests";

    pub fn start() -> Self {
        let person = Vouched {
            subject: "248289761001".into(),
            email: Some("ada@example.com".into()),
            email_verified: true,
            name: "Ada Lovelace".into(),
        };
        let inner = Arc::new(Mutex::new(Inner {
            issuer: String::new(),
            key: new_key(),
            person,
            wrong: None,
            grants: HashMap::new(),
            keys_read: 0,
            codes_refused: 0,
        }));
        let (server, address) = serve(Arc::clone(&inner));
        let provider = Self {
            inner,
            server,
            address,
        };
        provider.lock().issuer = format!("http://{address}/realm");
        provider
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// What a client takes for its issuer.
    pub fn issuer(&self) -> String {
        self.lock().issuer.clone()
    }

    /// Who sits before the browser from now on.
    pub fn person(&self, change: impl FnOnce(&mut Vouched)) {
        change(&mut self.lock().person);
    }

    /// Does this wrong from now on.
    pub fn does_wrong(&self, wrong: impl Into<Option<Wrong>>) {
        self.lock().wrong = wrong.into();
    }

    /// Signs with a new key from now on and publishes the old one no more.
    pub fn rotate(&self) {
        self.lock().key = new_key();
    }

    /// How often its keys were read.
    pub fn keys_read(&self) -> usize {
        self.lock().keys_read
    }

    /// How many codes it has refused: used ones, and those with a wrong verifier.
    pub fn codes_refused(&self) -> usize {
        self.lock().codes_refused
    }

    /// Goes away.
    pub async fn stop(&self) {
        self.server.stop(false).await;
    }

    /// Follows a browser that a client has sent here, through the person's consent, back to the
    /// client: the address that the browser is sent to.
    pub async fn consent(&self, authorization_url: &str) -> String {
        let answer = chassis::client::http().get(authorization_url).send().await;
        let answer = answer.expect("the provider answers");
        let (status, back) = (answer.status(), answer.headers().get("location").cloned());
        let text = answer.text().await.unwrap_or_default();
        let back = back.unwrap_or_else(|| panic!("{status} {text}"));
        back.to_str().expect("ASCII").to_owned()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        // The answer to it is nobody's concern.
        drop(self.server.stop(false));
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(inner: Arc<Mutex<Inner>>) -> (ServerHandle, SocketAddr) {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(Data::from(Arc::clone(&inner)))
                    .route(
                        "/realm/.well-known/openid-configuration",
                        web::get().to(discovery),
                    )
                    .route("/realm/authorize", web::get().to(authorize))
                    .route("/realm/token", web::post().to(token))
                    .route("/realm/keys", web::get().to(keys))
            })
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("a free port");
            let address = server.addrs()[0];
            let server = server.run();
            sender
                .send((server.handle(), address))
                .expect("the test waits for it");
            server.await.expect("it serves until it is stopped");
        });
    });
    receiver.recv().expect("the provider says where it listens")
}

async fn discovery(inner: Data<Mutex<Inner>>) -> HttpResponse {
    let inner = lock(&inner);
    let base = &inner.issuer;
    let issuer = match inner.wrong {
        Some(Wrong::Discovery) => "https://id.example.com",
        _ => base,
    };
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(inner: Data<Mutex<Inner>>) -> HttpResponse {
    let mut inner = lock(&inner);
    inner.keys_read += 1;
    let public: PublicKeyComponents<Vec<u8>> = inner.key.pair.public_key().into();
    HttpResponse::Ok().json(json!({ "keys": [
        { "kty": "oct", "kid": "of another kind", "k": "AA" },
        {
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": inner.key.id,
            "n": URL_SAFE_NO_PAD.encode(&public.n), "e": URL_SAFE_NO_PAD.encode(&public.e),
        },
    ]}))
}

type Pairs = Vec<(String, String)>;

fn get<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let mut all = pairs.iter().filter(|(key, _)| key == name);
    let first = all.next().map(|(_, value)| value.as_str());
    // Twice is not at all (RFC 6749 §3.1).
    first.filter(|_| all.next().is_none())
}

/// The person consents at once.
async fn authorize(inner: Data<Mutex<Inner>>, query: Query<Pairs>) -> HttpResponse {
    let mut inner = lock(&inner);
    let refuse = |why: &str| HttpResponse::BadRequest().body(why.to_owned());
    let value = |name: &str| get(&query, name);
    let scopes: Vec<_> = value("scope").unwrap_or_default().split(' ').collect();
    if value("response_type") != Some("code") || !scopes.contains(&"openid") {
        return refuse("not the code flow of OpenID Connect");
    }
    if value("client_id") != Some(OidcProvider::CLIENT_ID) {
        return refuse("an unknown client");
    }
    let long = |text: &&str| text.len() >= 43;
    let (Some(redirect_uri), Some(state), Some(nonce), Some(challenge), Some("S256")) = (
        value("redirect_uri"),
        value("state").filter(long),
        value("nonce").filter(long),
        value("code_challenge").filter(long),
        value("code_challenge_method"),
    ) else {
        return refuse("redirect_uri, state, nonce or code_challenge (S256) is missing or short");
    };
    let issuer = match inner.wrong {
        Some(Wrong::IssParameter) => "https://id.example.com".to_owned(),
        _ => inner.issuer.clone(),
    };
    let mut back = url::Url::parse(redirect_uri).expect("an address");
    back.query_pairs_mut()
        .append_pair("state", state)
        .append_pair("iss", &issuer);
    if inner.wrong == Some(Wrong::Denied) {
        back.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair("error_description", "They do not want to");
    } else {
        let code = uuid::Uuid::new_v4().to_string();
        back.query_pairs_mut().append_pair("code", &code);
        let grant = Grant {
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            nonce: nonce.to_owned(),
            person: inner.person.clone(),
            used: false,
        };
        inner.grants.insert(code, grant);
    }
    HttpResponse::Found()
        .insert_header(("location", back.as_str()))
        .finish()
}

async fn token(inner: Data<Mutex<Inner>>, request: HttpRequest, form: Form<Pairs>) -> HttpResponse {
    let mut inner = lock(&inner);
    let refuse = |error: &str| HttpResponse::BadRequest().json(json!({ "error": error }));
    if inner.wrong == Some(Wrong::TokenEndpoint) {
        return HttpResponse::InternalServerError().finish();
    }
    if !is_client(&request) {
        return HttpResponse::Unauthorized().json(json!({ "error": "invalid_client" }));
    }
    if get(&form, "grant_type") != Some("authorization_code") {
        return refuse("unsupported_grant_type");
    }
    let verifier = get(&form, "code_verifier").unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    let redirect_uri = get(&form, "redirect_uri").map(str::to_owned);
    let grant = inner
        .grants
        .get_mut(get(&form, "code").unwrap_or_default())
        .filter(|grant| !grant.used && grant.challenge == challenge)
        .filter(|grant| Some(&grant.redirect_uri) == redirect_uri.as_ref());
    let Some(grant) = grant else {
        inner.codes_refused += 1;
        return refuse("invalid_grant");
    };
    grant.used = true;
    let (nonce, person) = (grant.nonce.clone(), grant.person.clone());
    let mut answer = json!({ "access_token": "of no use here", "token_type": "Bearer" });
    if inner.wrong != Some(Wrong::NoToken) {
        answer["id_token"] = json!(id_token(&inner, &nonce, &person));
    }
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(answer)
}

/// RFC 6749 §2.3.1.
fn is_client(request: &HttpRequest) -> bool {
    let header = request.headers().get("authorization");
    let text = header.and_then(|value| value.to_str().ok());
    let pair = text.and_then(|text| text.strip_prefix("Basic "));
    let pair = pair.and_then(|pair| STANDARD.decode(pair).ok());
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
    let Some((id, secret)) = pair.as_ref().and_then(|pair| pair.split_once(':')) else {
        return false;
    };
    let decode = |text: &str| {
        let mut pairs = url::form_urlencoded::parse(text.as_bytes());
        pairs.next().map(|(text, _)| text.into_owned())
    };
    decode(id).as_deref() == Some(OidcProvider::CLIENT_ID)
        && decode(secret).as_deref() == Some(OidcProvider::CLIENT_SECRET)
}

fn id_token(inner: &Inner, nonce: &str, person: &Vouched) -> String {
    let (now, client) = (chrono::Utc::now().timestamp(), OidcProvider::CLIENT_ID);
    let mut claims = json!({
        "iss": inner.issuer, "sub": person.subject, "aud": client, "exp": now + 300, "iat": now,
        "nonce": nonce, "name": person.name, "email": person.email,
        "email_verified": person.email_verified,
    });
    let mut set = |name: &str, value: Value| claims[name] = value;
    match inner.wrong {
        Some(Wrong::Nonce) => set(
            "nonce",
            json!("of another request, and long enough for one"),
        ),
        Some(Wrong::NoNonce) => set("nonce", Value::Null),
        Some(Wrong::Audience) => set("aud", json!("another client")),
        Some(Wrong::SecondAudience) => set("aud", json!([client, "another client"])),
        Some(Wrong::OtherParty) => set("azp", json!("another client")),
        Some(Wrong::Issuer) => set("iss", json!("https://id.example.com")),
        Some(Wrong::Expired) => set("exp", json!(now - 120)),
        Some(Wrong::IssuedLongAgo) => set("iat", json!(now - 3_600)),
        Some(Wrong::FromTheFuture) => set("iat", json!(now + 600)),
        Some(Wrong::Subject) => set("sub", json!("")),
        _ => {}
    }
    let header = |algorithm: &str, kid: &str| json!({ "alg": algorithm, "kid": kid, "typ": "JWT" });
    let (key, rs256) = (&inner.key, header("RS256", &inner.key.id));
    match inner.wrong {
        Some(Wrong::NotAToken) => "not.a.token".into(),
        Some(Wrong::AlgNone) => format!("{}.", joined(&header("none", &key.id), &claims)),
        Some(Wrong::AlgHmac) => {
            let secret = OidcProvider::CLIENT_SECRET.as_bytes();
            keyed(&header("HS256", &key.id), &claims, secret)
        }
        Some(Wrong::AlgConfusion) => {
            let public = key.pair.public_key().as_der().expect("its encoding");
            keyed(&header("HS256", &key.id), &claims, public.as_ref())
        }
        Some(Wrong::ForgedKey) => signed(&rs256, &claims, &new_key().pair),
        Some(Wrong::UnknownKey) => {
            let other = new_key();
            signed(&header("RS256", &other.id), &claims, &other.pair)
        }
        Some(Wrong::EditedClaims) => {
            let token = signed(&rs256, &claims, &key.pair);
            let signature = token.rsplit_once('.').expect("three parts").1;
            claims["sub"] = json!("somebody else");
            format!("{}.{signature}", joined(&rs256, &claims))
        }
        _ => signed(&rs256, &claims, &key.pair),
    }
}

fn joined(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

fn signed(header: &Value, claims: &Value, pair: &RsaKeyPair) -> String {
    let text = joined(header, claims);
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
        .expect("it signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn keyed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = joined(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}
