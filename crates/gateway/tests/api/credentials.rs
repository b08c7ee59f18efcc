use common::auth::{Claims, Role, Service, Subject};
use testkit::Client;

use crate::support::{App, Upstream, all_at, with_leads};

const LEADS: &str = "/api/v1/leads";

#[actix_web::test]
async fn without_a_genuine_token_nobody_gets_to_a_service() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    app.anonymous()
        .get(LEADS)
        .send()
        .await
        .assert_error(401, "token_missing");
    for header in ["Basic abc", "Bearer"] {
        app.anonymous()
            .get(LEADS)
            .header("authorization", header)
            .send()
            .await
            .assert_error(401, "token_missing");
    }
    for token in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        Client::new(app.url(), Some(token.into()))
            .get(LEADS)
            .send()
            .await
            .assert_error(401, "token_invalid");
    }
    // A service has its own way in.
    app.as_service(Service::Campaigns)
        .get(LEADS)
        .send()
        .await
        .assert_error(401, "token_invalid");
    let user = Subject::User(common::UserId::new());
    let now = app.clock.now().timestamp();
    let claims = Claims::new(
        user,
        Some(app.workspace),
        Some(Role::Owner),
        Role::Owner.scopes(),
        now,
        60,
    );
    let token = testkit::Issuer::shared().sign(&claims);
    let client = Client::new(app.url(), Some(token));
    client.get(LEADS).send().await.assert_status(200);
    app.clock.advance(chrono::Duration::seconds(60));
    client
        .get(LEADS)
        .send()
        .await
        .assert_error(401, "token_expired");
    assert_eq!(leads.seen().len(), 1);
}

async fn exchanging() -> (Upstream, App) {
    let upstream = Upstream::start();
    let app = all_at(&upstream).start().await;
    (upstream, app)
}

#[actix_web::test]
async fn a_key_is_exchanged_once_and_never_passed_on() {
    let (upstream, app) = exchanging().await;
    for _ in 0..3 {
        Client::new(app.url(), Some("clk_good".into()))
            .get(LEADS)
            .send()
            .await
            .assert_status(200);
        app.anonymous()
            .get(LEADS)
            .header("x-api-key", "clk_good")
            .send()
            .await
            .assert_status(200);
    }
    assert_eq!(upstream.asked("/internal/exchange"), 1);
    let seen = upstream.seen();
    let requests: Vec<_> = seen.iter().filter(|seen| seen.uri == LEADS).collect();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer exchanged"));
        assert!(!format!("{request:?}").contains("clk_good"));
    }
    let exchange = seen.iter().find(|seen| seen.uri == "/internal/exchange");
    let exchange = exchange.expect("it was asked");
    assert_eq!(exchange.header("authorization"), Some("Bearer service"));
}

#[actix_web::test]
async fn a_key_that_identity_refuses_is_refused() {
    let (upstream, app) = exchanging().await;
    Client::new(app.url(), Some("clk_bad".into()))
        .get(LEADS)
        .send()
        .await
        .assert_error(401, "token_invalid");
    assert_eq!(upstream.asked(LEADS), 0);
}

#[actix_web::test]
async fn two_credentials_are_one_too_many() {
    let (upstream, app) = exchanging().await;
    let client = Client::new(app.url(), Some("clk_good".into()));
    for (name, value) in [("x-api-key", "clk_good"), ("authorization", "Bearer other")] {
        client
            .get(LEADS)
            .header(name, value)
            .send()
            .await
            .assert_error(400, "two_credentials");
    }
    assert_eq!(upstream.asked(LEADS), 0);
}

#[actix_web::test]
async fn a_session_reads_freely_and_writes_with_its_csrf_token() {
    let (upstream, app) = exchanging().await;
    let cookie = "theme=dark; __Host-clarion_session=good";
    app.anonymous()
        .get(LEADS)
        .header("cookie", cookie)
        .send()
        .await
        .assert_status(200);
    let post = || app.anonymous().post(LEADS).header("cookie", cookie);
    post().send().await.assert_error(403, "csrf_mismatch");
    post()
        .header("x-csrf-token", "forged")
        .send()
        .await
        .assert_error(403, "csrf_mismatch");
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        post()
            .header("x-csrf-token", "csrf-1")
            .header(name, value)
            .send()
            .await
            .assert_error(403, "cross_site");
    }
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://clarion.test"),
        ("origin", app.url().as_str()),
        ("accept", "*/*"),
    ] {
        post()
            .header("x-csrf-token", "csrf-1")
            .header(name, value)
            .send()
            .await
            .assert_status(200);
    }
    let seen = upstream.seen();
    for request in seen.iter().filter(|seen| seen.uri == LEADS) {
        assert_eq!(request.header("authorization"), Some("Bearer session"));
        assert_eq!(request.header("cookie"), Some("theme=dark"));
    }
    assert_eq!(upstream.asked("/internal/exchange"), 1);
    app.anonymous()
        .get(LEADS)
        .header("cookie", "__Host-clarion_session=ended")
        .send()
        .await
        .assert_error(401, "token_invalid");
}

#[actix_web::test]
async fn a_session_that_ends_is_forgotten_here_too() {
    let (upstream, app) = exchanging().await;
    let cookie = "__Host-clarion_session=good";
    let look = || app.anonymous().get(LEADS).header("cookie", cookie);
    let end = || {
        app.anonymous()
            .delete("/api/v1/session")
            .header("cookie", cookie)
    };
    look().send().await.assert_status(200);
    end()
        .header("origin", "https://evil.example")
        .send()
        .await
        .assert_error(403, "cross_site");
    end().send().await.assert_status(200);
    look().send().await.assert_status(200);
    assert_eq!(upstream.asked("/internal/exchange"), 2);
    let seen = upstream.seen();
    let session = seen.iter().find(|seen| seen.uri == "/api/v1/session");
    let session = session.expect("identity was asked");
    assert_eq!(session.header("cookie"), Some(cookie), "identity reads it");
}

#[actix_web::test]
async fn what_is_open_gets_no_credentials_and_what_is_its_own_gets_them_all() {
    let (upstream, app) = exchanging().await;
    let client = Client::new(app.url(), Some("whatever".into()));
    client.post("/api/v1/login").send().await.assert_status(200);
    client.post("/v1/track").send().await.assert_status(200);
    app.anonymous()
        .post("/api/v1/logout")
        .send()
        .await
        .assert_status(200);
    client
        .post("/api/v1/logout")
        .send()
        .await
        .assert_status(401);
    let seen = upstream.seen();
    let of = |path: &str| {
        let seen = seen.iter().find(|seen| seen.uri == path);
        seen.expect(path).header("authorization").map(str::to_owned)
    };
    assert_eq!(of("/api/v1/login"), None);
    assert_eq!(of("/v1/track").as_deref(), Some("Bearer whatever"));
    assert_eq!(of("/api/v1/logout"), None);
}

#[actix_web::test]
async fn without_identity_known_tokens_are_not_refused_but_cannot_be_checked() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("IDENTITY_URL", "http://127.0.0.1:1")
        .start()
        .await;
    let problem = app
        .as_role(Role::Owner)
        .get(LEADS)
        .send()
        .await
        .assert_error(503, "unavailable");
    assert!(problem.detail.contains("identity"), "{}", problem.detail);
    Client::new(app.url(), Some("clk_good".into()))
        .get(LEADS)
        .send()
        .await
        .assert_error(503, "unavailable");
    app.anonymous()
        .get("/u/token")
        .send()
        .await
        .assert_status(200);
}
