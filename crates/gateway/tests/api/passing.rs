use std::time::Duration;

use common::auth::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, Upstream, all_at, with_leads};

#[actix_web::test]
async fn a_request_arrives_as_it_was_sent() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let path = "/api/v1/leads/J%C3%B6rg?q=a%20b&tag=x&tag=y";
    let answer = app
        .as_role(Role::Owner)
        .patch(path)
        .header("if-match", "\"3\"")
        .header("idempotency-key", "k1")
        .header("accept-language", "de")
        .json(&json!({ "first_name": "Jörg" }))
        .send()
        .await
        .assert_status(200);

    let seen = leads.only();
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("PATCH", path));
    assert_eq!(
        seen.body,
        json!({ "first_name": "Jörg" }).to_string().as_bytes()
    );
    assert_eq!(seen.header("content-length"), Some("22"));
    for (name, value) in [
        ("if-match", "\"3\""),
        ("idempotency-key", "k1"),
        ("accept-language", "de"),
        ("content-type", "application/json"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert!(
        seen.header("authorization")
            .is_some_and(|value| value.starts_with("Bearer ey"))
    );
    assert_eq!(seen.header("x-request-id"), answer.header("x-request-id"));
    assert!(seen.header("traceparent").is_some());
}

#[actix_web::test]
async fn who_somebody_claims_to_be_stays_outside() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let claims = [
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "x-real-ip",
        "x-clarion-workspace",
        "x-user-id",
        "x-workspace-id",
        "x-http-method-override",
        "proxy-authorization",
        "te",
        "keep-alive",
        "x-hop",
    ];
    let mut request = app.as_role(Role::Owner).get("/api/v1/leads");
    for name in claims {
        request = request.header(name, "forged");
    }
    request
        .header("connection", "x-hop")
        .header("expect", "nothing")
        .send()
        .await;
    let seen = leads.only();
    for name in claims.iter().skip(1).chain(&["connection", "expect"]) {
        assert!(!seen.headers.contains_key(*name), "{name}: {seen:?}");
    }
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
}

#[actix_web::test]
async fn an_answer_arrives_as_it_was_given() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let owner = app.as_role(Role::Owner);
    let answer = owner
        .get("/api/v1/leads/hops")
        .send()
        .await
        .assert_status(200);
    assert_eq!(answer.header("etag"), Some("\"7\""));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    for name in ["keep-alive", "access-control-allow-origin"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
    assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);

    let refused = owner.get("/api/v1/leads/refused").send().await;
    assert_eq!(refused.assert_status(422).json::<Value>()["code"], "theirs");
    let nothing = owner.delete("/api/v1/leads/nothing").send().await;
    assert!(nothing.assert_status(204).body.is_empty());
    let large = owner.get("/api/v1/leads/large").send().await;
    assert_eq!(large.header("content-length"), Some("300000"));
    assert_eq!(large.body.len(), 300_000);
}

#[actix_web::test]
async fn a_head_says_how_long_the_body_would_be() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let owner = app.as_role(Role::Owner);
    for (path, length) in [("large", Some("300000")), ("hops", Some("2"))] {
        let answer = owner.head(format!("/api/v1/leads/{path}")).send().await;
        assert_eq!(answer.header("content-length"), length, "{path}");
        assert!(answer.body.is_empty());
    }
}

#[actix_web::test]
async fn ids_of_requests_and_traces_go_on() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let answer = app
        .as_role(Role::Owner)
        .get("/api/v1/leads")
        .header("x-request-id", "mine-1")
        .header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))
        .send()
        .await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let seen = leads.only();
    assert_eq!(seen.header("x-request-id"), Some("mine-1"));
    assert!(
        seen.header("traceparent")
            .is_some_and(|value| value.contains(trace))
    );

    let answer = app
        .as_role(Role::Owner)
        .get("/api/v1/leads")
        .header("x-request-id", "not an id")
        .send()
        .await;
    let id = answer.header("x-request-id").expect("an id").to_owned();
    assert_ne!(id, "not an id");
    let problem = app
        .anonymous()
        .get("/nowhere")
        .header("x-request-id", "mine-2")
        .send()
        .await
        .assert_error(404, "route_not_found");
    assert_eq!(problem.request_id, "mine-2");
}

#[actix_web::test]
async fn an_upload_is_passed_on_while_it_arrives() {
    const HALF: usize = 1024 * 1024;
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let token =
        testkit::Issuer::shared().user(app.workspace, Role::Owner, app.clock.now().timestamp());
    for head in [
        format!("Content-Length: {}\r\n", 2 * HALF),
        "Transfer-Encoding: chunked\r\n".to_owned(),
    ] {
        let chunked = head.starts_with("Transfer");
        let before = leads.received();
        let mut stream = TcpStream::connect(app.address).await.expect("it listens");
        let head = format!(
            "POST /api/v1/leads/imports HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Type: text/csv\r\n{head}\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let piece = vec![b'a'; HALF];
        for half in 0..2 {
            if chunked {
                let size = format!("{HALF:x}\r\n");
                stream.write_all(size.as_bytes()).await.expect("sent");
            }
            stream.write_all(&piece).await.expect("sent");
            if chunked {
                stream.write_all(b"\r\n").await.expect("sent");
            }
            if half == 0 {
                testkit::eventually(
                    "the first half is there before the second is sent",
                    || async { leads.received() - before > HALF / 2 },
                )
                .await;
            }
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").await.expect("sent");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(leads.received() - before, 2 * HALF);
    }
}

#[actix_web::test]
async fn a_stream_is_passed_on_while_it_comes() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let token =
        testkit::Issuer::shared().user(app.workspace, Role::Owner, app.clock.now().timestamp());
    let mut answer = chassis::client::http()
        .get(format!("{}/api/v1/leads/events", app.url()))
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let first = tokio::time::timeout(Duration::from_secs(10), answer.chunk())
        .await
        .expect("the first event comes before the second is made");
    assert_eq!(
        first.expect("a chunk").as_deref(),
        Some(&b"data: 1\n\n"[..])
    );
    leads.go();
    let second = answer.chunk().await.expect("a chunk");
    assert_eq!(second.as_deref(), Some(&b"data: 2\n\n"[..]));
    assert_eq!(answer.chunk().await.expect("the end"), None);
}

#[actix_web::test]
async fn every_path_of_the_table_reaches_its_service() {
    let upstream = Upstream::start();
    let app = crate::support::all_at(&upstream)
        .with("MAILBOX_URL", upstream.url())
        .start::<gateway::Gateway>()
        .await;
    for path in [
        "/u/token",
        "/p/token",
        "/f/form",
        "/v/token",
        "/c/token",
        "/o/token.gif",
        "/visits/page",
        "/v1/t",
        "/hooks/ses/x",
        "/mailbox",
        "/mailbox/messages.json",
        "/api/v1/login",
        "/api/v1/register",
        "/api/v1/.well-known/jwks.json",
    ] {
        app.anonymous().get(path).send().await.assert_status(200);
        assert_eq!(upstream.asked(path), 1, "{path}");
    }
}

#[actix_web::test]
async fn a_mailbox_that_is_not_there_leaves_no_trace() {
    let upstream = Upstream::start();
    let app = with_leads(&upstream).await;
    app.anonymous()
        .get("/mailbox")
        .send()
        .await
        .assert_error(404, "route_not_found");
}

#[actix_web::test]
async fn libraries_of_segment_reach_analytics_with_their_own_credentials() {
    let analytics = Upstream::start();
    let app: App = all_at(&analytics).start().await;
    let packed = [0x1f, 0x8b, 0x08, 0x00, 0xff];
    app.anonymous()
        .post("/v1/batch")
        .header("authorization", "Basic d2tfeDo=")
        .header("content-encoding", "gzip")
        .header("origin", "https://shop.example")
        .body(packed.to_vec())
        .send()
        .await
        .assert_status(200);
    let seen = analytics.only();
    assert_eq!(seen.uri, "/v1/batch");
    assert_eq!(seen.body, packed, "what is packed stays so");
    for (name, value) in [
        ("authorization", "Basic d2tfeDo="),
        ("content-encoding", "gzip"),
        ("origin", "https://shop.example"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let keys = app.anonymous().get("/api/v1/write-keys").send().await;
    keys.assert_error(401, "token_missing");
}
