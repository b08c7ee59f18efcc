use std::time::{Duration, Instant};

use chassis::auth::{Denied, Verifier};
use chassis::{Clock, client};
use common::auth::{AuthError, Claims, Role, Scope, ScopeSet, Service, Subject};
use common::{UserId, WorkspaceId};
use serde_json::{Value, json};
use testkit::{Client, Issuer, Response, TestService};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::probe::{Probe, clock};

const JWKS: &str = "/api/v1/.well-known/jwks.json";

/// Claims of an owner, good in every respect.
fn claims(now: i64) -> Claims {
    Claims::new(
        Subject::User(UserId::new()),
        Some(WorkspaceId::new()),
        Some(Role::Owner),
        Role::Owner.scopes(),
        now,
        3600,
    )
}

async fn ask(app: &TestService<Probe>, token: impl Into<String>) -> Response {
    let client = Client::new(app.url(), Some(token.into()));
    client.get("/api/v1/notes?q=hello").send().await
}

#[actix_web::test]
async fn a_good_token_opens_and_no_token_does_not() {
    let app = TestService::<Probe>::start().await;
    let good = Issuer::shared().sign(&claims(app.clock.now().timestamp()));
    ask(&app, good).await.assert_status(200);
    let answer = app.anonymous().get("/api/v1/notes").send().await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    answer.assert_error(401, "token_missing");
}

#[actix_web::test]
async fn a_token_that_says_something_else_is_refused() {
    let app = TestService::<Probe>::start().await;
    let now = app.clock.now().timestamp();
    type Spoil = fn(&mut Claims);
    let spoiled: [(&str, Spoil); 7] = [
        ("issuer", |claims| claims.iss = "somebody".into()),
        ("audience", |claims| claims.aud = "somewhere".into()),
        ("subject", |claims| claims.sub = "root".into()),
        ("subject's id", |claims| claims.sub = "user:7".into()),
        ("workspace", |claims| claims.wid = None),
        ("future", |claims| claims.iat += 3600),
        ("unknown service", |claims| {
            claims.sub = "service:payroll".into();
            claims.wid = None;
        }),
    ];
    for (what, spoil) in spoiled {
        let mut claims = claims(now);
        spoil(&mut claims);
        let answer = ask(&app, Issuer::shared().sign(&claims)).await;
        assert_eq!(answer.status, 401, "{what}");
        answer.assert_error(401, "token_invalid");
    }
    let mut old = claims(now - 7200);
    old.exp = now;
    let answer = ask(&app, Issuer::shared().sign(&old)).await;
    answer.assert_error(401, "token_expired");
}

#[actix_web::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let app = TestService::<Probe>::start().await;
    let good = Issuer::shared().sign(&claims(app.clock.now().timestamp()));
    let parts: Vec<_> = good.split('.').collect();
    let [head, body, signature] = [parts[0], parts[1], parts[2]];
    let other = Issuer::shared().sign(&claims(app.clock.now().timestamp()));
    let other_body = other.split('.').nth(1).expect("a token has three parts");
    for forged in [
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}.{other_body}.{signature}"),
        format!("{head}.{body}.{}", signature.to_lowercase()),
        format!("{good}.{signature}"),
        // {"alg":"none","typ":"at+jwt","kid":"test"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoidGVzdCJ9.{body}."),
        "x".to_owned(),
        "é".to_owned(),
    ] {
        let answer = ask(&app, forged.clone()).await;
        assert_eq!(answer.status, 401, "{forged}");
    }
}

#[actix_web::test]
async fn a_remembered_token_expires_all_the_same() {
    let app = TestService::<Probe>::start().await;
    let token = Issuer::shared().sign(&claims(app.clock.now().timestamp()));
    for _ in 0..3 {
        ask(&app, &*token).await.assert_status(200);
    }
    app.clock.advance(chrono::Duration::seconds(3599));
    ask(&app, &*token).await.assert_status(200);
    app.clock.advance(chrono::Duration::seconds(1));
    ask(&app, &*token).await.assert_error(401, "token_expired");
}

#[actix_web::test]
async fn services_and_users_do_not_pass_for_each_other() {
    let app = TestService::<Probe>::start().await;
    let leads = app.as_service(Service::Leads);
    let inside = leads
        .get("/internal/inside")
        .send()
        .await
        .assert_status(200);
    assert_eq!(inside.text(), "leads");
    leads
        .get("/api/v1/notes")
        .send()
        .await
        .assert_error(401, "token_invalid");
    for role in Role::ALL {
        let answer = app.as_role(*role).get("/internal/inside").send().await;
        answer.assert_error(403, "services_only");
    }
}

#[actix_web::test]
async fn a_role_can_do_what_its_scopes_say() {
    let app = TestService::<Probe>::start().await;
    let body = json!({ "text": "hello" });
    for (role, status) in [
        (Role::Marketer, 201),
        (Role::Analyst, 403),
        (Role::Customer, 403),
    ] {
        let answer = app
            .as_role(role)
            .post("/api/v1/notes")
            .json(&body)
            .send()
            .await;
        assert_eq!(answer.status, status, "{role}");
    }
    let mut narrow = claims(app.clock.now().timestamp());
    narrow.scope = ScopeSet::of(&[Scope::LeadsRead]).to_string();
    let client = Client::new(app.url(), Some(Issuer::shared().sign(&narrow)));
    let answer = client.post("/api/v1/notes").json(&body).send().await;
    let problem = answer.assert_error(403, "scope_missing");
    assert!(problem.detail.contains("leads:write"), "{}", problem.detail);
}

#[actix_web::test]
async fn two_authorization_headers_are_none() {
    let app = TestService::<Probe>::start().await;
    let token = Issuer::shared().sign(&claims(app.clock.now().timestamp()));
    let request = app.anonymous().get("/api/v1/notes");
    let twice = request
        .header("authorization", &format!("Bearer {token}"))
        .header("authorization", &format!("Bearer {token}"));
    twice.send().await.assert_error(401, "token_missing");
    for other in [format!("Basic {token}"), token.clone()] {
        let request = app
            .anonymous()
            .get("/api/v1/notes")
            .header("authorization", &other);
        request.send().await.assert_error(401, "token_missing");
    }
}

/// A stand-in for identity that a test can make slow or ill.
struct Identity {
    server: MockServer,
    clock: Clock,
    verifier: Verifier,
}

impl Identity {
    async fn start() -> Self {
        let (server, clock) = (MockServer::start().await, clock());
        let url = server.uri().parse().expect("a URL");
        let verifier = Verifier::remote(client::http(), &url, clock.clone());
        Self {
            server,
            clock,
            verifier,
        }
    }

    /// From now on it answers like this.
    async fn answers(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        let mock = Mock::given(path(JWKS)).respond_with(answer);
        mock.mount(&self.server).await;
    }

    async fn keys() -> ResponseTemplate {
        let client = Client::new(Issuer::shared().url(), None);
        let keys: Value = client.get(JWKS).send().await.json();
        ResponseTemplate::new(200).set_body_json(keys)
    }

    async fn verify_a_new_token(&self) -> Result<(), Denied> {
        let token = Issuer::shared().sign(&claims(self.clock.now().timestamp()));
        self.verifier.verify(&token).await.map(drop)
    }

    async fn asked(&self) -> usize {
        self.server
            .received_requests()
            .await
            .map_or(0, |all| all.len())
    }
}

#[actix_web::test]
async fn keys_are_fetched_once_for_many_callers() {
    let identity = Identity::start().await;
    identity.answers(Identity::keys().await).await;
    let all = (0..20).map(|_| identity.verify_a_new_token());
    for verified in futures::future::join_all(all).await {
        verified.expect("the key is there");
    }
    assert_eq!(identity.asked().await, 1);
}

#[actix_web::test]
async fn without_keys_nobody_can_tell_and_that_is_what_is_said() {
    let identity = Identity::start().await;
    identity.answers(ResponseTemplate::new(500)).await;
    for _ in 0..3 {
        let denied = identity.verify_a_new_token().await;
        assert!(matches!(denied, Err(Denied::Unavailable(_))), "{denied:?}");
    }
    assert_eq!(
        identity.asked().await,
        1,
        "identity is not asked again at once"
    );

    identity.answers(Identity::keys().await).await;
    identity.clock.advance(chrono::Duration::seconds(3));
    identity
        .verify_a_new_token()
        .await
        .expect("identity is back");
}

#[actix_web::test]
async fn old_keys_serve_while_identity_hangs() {
    let identity = Identity::start().await;
    identity.answers(Identity::keys().await).await;
    identity
        .verify_a_new_token()
        .await
        .expect("the key is there");

    let hanging = Identity::keys().await.set_delay(Duration::from_secs(60));
    identity.answers(hanging).await;
    identity.clock.advance(chrono::Duration::seconds(400));
    let started = Instant::now();
    let all = (0..20).map(|_| identity.verify_a_new_token());
    for verified in futures::future::join_all(all).await {
        verified.expect("the old key is good");
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[actix_web::test]
async fn an_unknown_key_is_refused_without_asking_identity_each_time() {
    let identity = Identity::start().await;
    identity.answers(Identity::keys().await).await;
    // {"alg":"EdDSA","typ":"at+jwt","kid":"nope"}
    let token = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6Im5vcGUifQ.e30.c2ln";
    for _ in 0..5 {
        let denied = identity.verifier.verify(token).await;
        assert!(
            matches!(denied, Err(Denied::Auth(AuthError::Invalid))),
            "{denied:?}"
        );
    }
    assert_eq!(identity.asked().await, 1);
}
