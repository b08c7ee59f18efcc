//! A stand-in for identity: it signs tokens and publishes the key, over real HTTP.

use std::sync::OnceLock;
use std::sync::mpsc;

use actix_web::{App, HttpServer, web};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::WorkspaceId;
use common::auth::{Claims, Role, ScopeSet, Service, Subject, TOKEN_TYPE};
use common::dto::access::{IssuedToken, ServiceTokenRequest};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// Signs tokens that every service under test accepts.
#[derive(Debug)]
pub struct Issuer {
    pkcs8: Vec<u8>,
    jwks: Value,
    address: OnceLock<std::net::SocketAddr>,
}

const MONTH_S: i64 = 30 * 24 * 3600;

static SHARED: OnceLock<Issuer> = OnceLock::new();

impl Issuer {
    /// The one of this test binary, its HTTP server running.
    pub fn shared() -> &'static Self {
        let issuer = SHARED.get_or_init(Self::new);
        issuer.address.get_or_init(|| serve(issuer));
        issuer
    }

    fn new() -> Self {
        let key = Ed25519KeyPair::generate().expect("a key pair");
        let pkcs8 = key.to_pkcs8().expect("its encoding").as_ref().to_vec();
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let jwks = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "test", "x": x
        }]});
        Self {
            pkcs8,
            jwks,
            address: OnceLock::new(),
        }
    }

    /// The base URL that services take as `IDENTITY_URL`.
    pub fn url(&self) -> String {
        self.address
            .get()
            .map(|address| format!("http://{address}"))
            .unwrap_or_default()
    }

    /// A token of a new user with `role` in `workspace`, issued at `now`, valid for
    /// a month, so that tests may move the clock.
    pub fn user(&self, workspace: WorkspaceId, role: Role, now: i64) -> String {
        let subject = Subject::User(common::UserId::new());
        self.sign(&Claims::new(
            subject,
            Some(workspace),
            Some(role),
            role.scopes(),
            now,
            MONTH_S,
        ))
    }

    /// A service's token.
    pub fn service(&self, service: Service, now: i64) -> String {
        let subject = Subject::Service(service);
        self.sign(&Claims::new(
            subject,
            None,
            None,
            ScopeSet::default(),
            now,
            MONTH_S,
        ))
    }

    /// Signs any claims, also wrong ones.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = Header {
            typ: Some(TOKEN_TYPE.into()),
            kid: Some("test".into()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&self.pkcs8))
            .expect("claims are serialisable")
    }
}

fn serve(issuer: &'static Issuer) -> std::net::SocketAddr {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let system = actix_web::rt::System::new();
        system.block_on(async move {
            let server = HttpServer::new(move || {
                App::new()
                    .route(
                        "/api/v1/.well-known/jwks.json",
                        web::get().to(move || async move { web::Json(&issuer.jwks) }),
                    )
                    .route(
                        "/internal/service-token",
                        web::post().to(move |request: web::Json<ServiceTokenRequest>| async move {
                            let now = chrono::Utc::now().timestamp();
                            web::Json(IssuedToken {
                                access_token: issuer.service(request.service, now),
                                expires_in: 3600,
                                csrf_token: None,
                            })
                        }),
                    )
            })
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("a free port");
            sender
                .send(server.addrs()[0])
                .expect("the test waits for it");
            server
                .run()
                .await
                .expect("it serves until the process ends");
        });
    });
    receiver.recv().expect("the server says where it listens")
}
