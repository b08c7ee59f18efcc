//! How long somebody waits for an answer is obeyed and told on.

use std::sync::Arc;

use chassis::client::{Peer, PeerError, ServiceTokens, http};
use chassis::http::context::{RequestContext, TIMEOUT};
use common::auth::{Role, Service};
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};
use testkit::{Setup, TestService, eventually};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::probe::{GATE, Probe};
use crate::stop::waits_for_the_gate;

type App = TestService<Probe>;

#[actix_web::test]
async fn an_answer_that_nobody_waits_for_is_given_up() {
    let app = App::start().await;
    let mut gate = app.connect();
    gate.batch_execute(&format!("SELECT pg_advisory_lock({GATE})"))
        .expect("the gate is free");
    // The gate stays shut until the answer is there.
    let late = app.anonymous().get("/held").header(TIMEOUT, "300");
    let problem = late.send().await.assert_error(504, "deadline_passed");
    assert!(problem.detail.contains("longer than anybody waits"));
    let none = app.anonymous().get("/held").header(TIMEOUT, "0");
    none.send().await.assert_error(504, "deadline_passed");
    // Who says nothing, nonsense or enough gets an answer.
    let waiting = [None, Some("soon"), Some("18446744073709551615")].map(|timeout| {
        let request = app.anonymous().get("/held");
        let request = match timeout {
            Some(timeout) => request.header(TIMEOUT, timeout),
            None => request,
        };
        tokio::spawn(request.send())
    });
    eventually("they wait", || async { waits_for_the_gate(&app) }).await;
    gate.batch_execute(&format!("SELECT pg_advisory_unlock({GATE})"))
        .expect("it was locked");
    for answer in waiting {
        answer.await.expect("no panic").assert_status(200);
    }
}

#[actix_web::test]
async fn a_statement_that_nobody_waits_for_is_cancelled() {
    let app: App = Setup::default().with("DATABASE_POOL", "2").start().await;
    let mut gate = app.connect();
    gate.batch_execute(&format!("SELECT pg_advisory_lock({GATE})"))
        .expect("the gate is free");
    // As many as there are connections, and those that wait for one.
    let late = (0..4).map(|_| app.anonymous().get("/held").header(TIMEOUT, "300").send());
    for answer in futures::future::join_all(late).await {
        answer.assert_error(504, "deadline_passed");
    }
    // The gate stays shut; they are gone all the same, and the connections can be used again.
    eventually("they are cancelled", || async { !waits_for_the_gate(&app) }).await;
    for _ in 0..4 {
        app.anonymous()
            .get("/health/ready")
            .send()
            .await
            .assert_status(200);
    }
    // What ended in time was not touched, nor is what comes after it.
    gate.batch_execute(&format!("SELECT pg_advisory_unlock({GATE})"))
        .expect("it was locked");
    let open = app.anonymous().get("/held").header(TIMEOUT, "10000");
    open.send().await.assert_status(200);
}

#[actix_web::test]
async fn work_of_somebody_who_leaves_before_the_deadline_is_done_all_the_same() {
    let app = App::start().await;
    let mut gate = app.connect();
    gate.batch_execute(&format!("SELECT pg_advisory_lock({GATE})"))
        .expect("the gate is free");
    let asked = tokio::spawn(app.anonymous().get("/held").header(TIMEOUT, "20000").send());
    eventually("it waits", || async { waits_for_the_gate(&app) }).await;
    asked.abort();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(waits_for_the_gate(&app));
    gate.batch_execute(&format!("SELECT pg_advisory_unlock({GATE})"))
        .expect("it was locked");
    eventually("it is done", || async { !waits_for_the_gate(&app) }).await;
}

#[actix_web::test]
async fn a_body_may_travel_longer() {
    let app = App::start().await;
    let request = || app.as_role(Role::Marketer).post("/any");
    let long = json!({ "text": "x".repeat(70_000) });
    let answer = request().header(TIMEOUT, "0").json(&long).send().await;
    answer.assert_status(200);
    let short = request().header(TIMEOUT, "0").json(&json!({}));
    short.send().await.assert_error(504, "deadline_passed");
}

#[actix_web::test]
async fn a_peer_is_told_how_long_somebody_waits() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({}));
    Mock::given(path("/x"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let tokens = Arc::new(ServiceTokens::fixed("the token".into()));
    let url = server.uri().parse().expect("a URL");
    let peer = Peer::new(Service::Leads, url, http(), tokens);
    let context = |timeout: &str| {
        let mut headers = actix_web::http::header::HeaderMap::new();
        let name = actix_web::http::header::HeaderName::from_static(TIMEOUT);
        headers.insert(name, timeout.parse().expect("a value"));
        RequestContext::from_headers(&headers)
    };
    let asked = peer.get::<Value>("/x", &());
    context("10000").scope(asked).await.expect("an answer");
    peer.get::<Value>("/x", &()).await.expect("an answer");
    let told: Vec<u64> = server
        .received_requests()
        .await
        .expect("it records")
        .iter()
        .map(|request| request.headers[TIMEOUT].to_str().expect("a number"))
        .map(|text| text.parse().expect("a number"))
        .collect();
    assert!((1..=10_000).contains(&told[0]), "{told:?}");
    assert_eq!(told[1], 30_000);
    // Nobody is asked when nobody waits.
    let late = context("0").scope(peer.get::<Value>("/x", &())).await;
    assert!(matches!(late, Err(PeerError::Unavailable(_))), "{late:?}");
    assert_eq!(told.len(), 2);
}
