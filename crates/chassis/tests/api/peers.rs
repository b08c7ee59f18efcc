//! Requests to other services when those are well, ill, slow or away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::client::{Peer, PeerError, ServiceTokens, http};
use common::Problem;
use common::auth::Service;
use common::values::Secret;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

async fn peer() -> (MockServer, Peer) {
    let server = MockServer::start().await;
    let tokens = Arc::new(ServiceTokens::fixed("the token".into()));
    let url = server.uri().parse().expect("a URL");
    let peer = Peer::new(Service::Leads, url, http(), tokens);
    (server, peer)
}

async fn answer(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(path("/x"))
        .respond_with(answer)
        .mount(server)
        .await;
}

async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.map_or(0, |all| all.len())
}

#[tokio::test]
async fn a_request_carries_the_services_token() {
    let (server, peer) = peer().await;
    Mock::given(path("/x"))
        .and(header("authorization", "Bearer the token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "a": 1 })))
        .mount(&server)
        .await;
    let got: Value = peer.get("/x", &()).await.expect("an answer");
    assert_eq!(got, json!({ "a": 1 }));
}

#[tokio::test]
async fn what_is_idempotent_is_tried_twice_and_a_post_once() {
    let (server, peer) = peer().await;
    answer(&server, ResponseTemplate::new(503)).await;
    let got: Result<Value, _> = peer.get("/x", &()).await;
    assert!(matches!(got, Err(PeerError::Unavailable(_))));
    assert_eq!(asked(&server).await, 2);
    let posted: Result<Value, _> = peer.post("/x", &json!({})).await;
    assert!(matches!(posted, Err(PeerError::Unavailable(_))));
    assert_eq!(asked(&server).await, 3);
}

#[tokio::test]
async fn a_refusal_is_passed_on_and_is_no_failure() {
    let (server, peer) = peer().await;
    let problem = Problem {
        status: 409,
        code: "already_sent".into(),
        title: "Conflict".into(),
        detail: "it was sent".into(),
        errors: vec![common::FieldError::new("/a", "no")],
        request_id: String::new(),
    };
    answer(&server, ResponseTemplate::new(409).set_body_json(&problem)).await;
    for _ in 0..10 {
        let posted: Result<Value, _> = peer.post("/x", &json!({})).await;
        let Err(PeerError::Refused(passed_on)) = posted else {
            panic!("{posted:?}")
        };
        assert_eq!(*passed_on, problem);
    }
    assert_eq!(asked(&server).await, 10, "the breaker stays closed");
}

#[tokio::test]
async fn a_failing_peer_is_left_alone_for_a_moment() {
    let (server, peer) = peer().await;
    answer(&server, ResponseTemplate::new(500)).await;
    for _ in 0..20 {
        let posted: Result<Value, _> = peer.post("/x", &json!({})).await;
        assert!(matches!(posted, Err(PeerError::Unavailable(_))));
    }
    assert_eq!(asked(&server).await, 5);

    server.reset().await;
    answer(&server, ResponseTemplate::new(200).set_body_json(7)).await;
    testkit::eventually("it is asked again", || async {
        peer.post::<Value>("/x", &json!({})).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn nonsense_and_silence_are_no_answers() {
    let (server, peer) = peer().await;
    answer(
        &server,
        ResponseTemplate::new(200).set_body_string("<html>"),
    )
    .await;
    let got: Result<Value, _> = peer.post("/x", &json!({})).await;
    assert!(matches!(got, Err(PeerError::Unavailable(_))), "{got:?}");

    let tokens = Arc::new(ServiceTokens::fixed("t".into()));
    let nowhere = "http://127.0.0.1:1".parse().expect("a URL");
    let away = Peer::new(Service::Leads, nowhere, http(), tokens);
    let got: Result<Value, _> = away.get("/x", &()).await;
    let Err(PeerError::Unavailable(error)) = got else {
        panic!("{got:?}")
    };
    assert_eq!(error.to_string(), "leads does not answer at the moment");
}

/// A peer whose tokens come from a stand-in for identity.
async fn guarded(issue: ResponseTemplate) -> (MockServer, MockServer, Arc<Peer>) {
    let (identity, leads) = (MockServer::start().await, MockServer::start().await);
    Mock::given(method("POST"))
        .and(path("/internal/service-token"))
        .respond_with(issue)
        .mount(&identity)
        .await;
    answer(&leads, ResponseTemplate::new(200).set_body_json(7)).await;
    let (at, secret) = (identity.uri().parse().expect("a URL"), Secret::new("s"));
    let tokens = Arc::new(ServiceTokens::new(http(), &at, Service::Campaigns, &secret));
    let url = leads.uri().parse().expect("a URL");
    let peer = Arc::new(Peer::new(Service::Leads, url, http(), tokens));
    (identity, leads, peer)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_refused() {
    let issued = json!({ "access_token": "t", "expires_in": 600 });
    let (identity, leads, peer) = guarded(ResponseTemplate::new(200).set_body_json(issued)).await;
    for _ in 0..3 {
        peer.get::<Value>("/x", &()).await.expect("an answer");
    }
    assert_eq!(asked(&identity).await, 1);

    leads.reset().await;
    answer(&leads, ResponseTemplate::new(401)).await;
    let refused = peer.get::<Value>("/x", &()).await;
    assert!(matches!(refused, Err(PeerError::Refused(_))));
    leads.reset().await;
    answer(&leads, ResponseTemplate::new(200).set_body_json(7)).await;
    peer.get::<Value>("/x", &())
        .await
        .expect("with a new token");
    assert_eq!(asked(&identity).await, 2);
}

#[tokio::test]
async fn callers_do_not_queue_up_behind_an_identity_that_hangs() {
    let hanging = ResponseTemplate::new(200).set_delay(Duration::from_secs(120));
    let (_identity, leads, peer) = guarded(hanging).await;
    let started = Instant::now();
    let all = (0..10).map(|_| {
        let peer = Arc::clone(&peer);
        async move { peer.post::<Value>("/x", &json!({})).await }
    });
    for got in futures::future::join_all(all).await {
        assert!(matches!(got, Err(PeerError::Unavailable(_))), "{got:?}");
    }
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(asked(&leads).await, 0);
}
