use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::auth::Role;
use testkit::Setup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, Upstream, with_leads};

/// A service that reads a request, says `answer` and hangs up.
fn rude(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                stream.write_all(answer).ok();
            }
        }
    });
    (url, count)
}

#[actix_web::test]
async fn a_service_that_is_away_is_named_and_the_others_answer() {
    let leads = Upstream::start();
    let app: App = Setup::default()
        .with("LEADS_URL", leads.url())
        .with("CAMPAIGNS_URL", "http://127.0.0.1:1")
        .start()
        .await;
    let owner = app.as_role(Role::Owner);
    let answer = owner.get("/api/v1/campaigns").send().await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    let problem = answer.assert_error(503, "unavailable");
    assert_eq!(problem.detail, "campaigns does not answer at the moment");
    owner.get("/api/v1/leads").send().await.assert_status(200);
}

#[actix_web::test]
async fn a_connection_that_breaks_is_tried_again_only_when_that_is_harmless() {
    let (url, count) = rude(b"");
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    let owner = app.as_role(Role::Owner);
    let problem = owner
        .get("/api/v1/leads")
        .send()
        .await
        .assert_error(502, "bad_gateway");
    assert_eq!(problem.detail, "leads broke the connection off");
    assert_eq!(count.swap(0, Ordering::SeqCst), 2);
    owner
        .put("/api/v1/leads/1")
        .body("{}")
        .send()
        .await
        .assert_error(502, "bad_gateway");
    assert_eq!(count.swap(0, Ordering::SeqCst), 2);
    owner
        .post("/api/v1/leads")
        .body("{}")
        .send()
        .await
        .assert_error(502, "bad_gateway");
    assert_eq!(count.load(Ordering::SeqCst), 1, "a POST is sent once");
}

#[actix_web::test]
async fn half_an_answer_is_no_answer() {
    let (url, _) = rude(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    let owner = app.as_role(Role::Owner);
    owner
        .get("/api/v1/leads")
        .send()
        .await
        .assert_error(502, "bad_gateway");

    let (url, _) = rude(b"SMTP ready\r\n\r\n");
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    app.as_role(Role::Owner)
        .get("/api/v1/leads")
        .send()
        .await
        .assert_error(502, "bad_gateway");

    let (url, _) = rude(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    app.as_role(Role::Owner)
        .get("/api/v1/leads")
        .send()
        .await
        .assert_error(502, "bad_gateway");

    let (url, _) = rude(
        b"HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nwhole",
    );
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    let whole = app.as_role(Role::Owner).get("/api/v1/leads").send().await;
    assert_eq!(
        whole.header("x-hop"),
        None,
        "it belonged to that connection"
    );
    assert_eq!(whole.assert_status(200).text(), "whole");

    // What breaks off later cannot be taken back; it must not look whole.
    let (url, _) = rude(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    let broken = app
        .as_role(Role::Owner)
        .get("/api/v1/leads")
        .try_send()
        .await;
    assert!(broken.is_err(), "{broken:?}");

    let (url, _) = rude(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf");
    let app: App = Setup::default().with("LEADS_URL", url).start().await;
    let broken = app
        .as_role(Role::Owner)
        .get("/api/v1/leads")
        .try_send()
        .await;
    assert!(broken.is_err(), "{broken:?}");
}

#[actix_web::test]
async fn a_service_that_takes_too_long_is_given_up() {
    let leads = Upstream::start();
    let app: App = Setup::default()
        .with("LEADS_URL", leads.url())
        .with("GATEWAY_TIMEOUT_SECONDS", "1")
        .start()
        .await;
    let problem = app
        .as_role(Role::Owner)
        .get("/api/v1/leads/slow")
        .send()
        .await
        .assert_error(504, "gateway_timeout");
    assert_eq!(problem.detail, "leads did not answer in time");
}

#[actix_web::test]
async fn a_body_that_stands_still_is_given_up() {
    let leads = Upstream::start();
    let app: App = Setup::default()
        .with("LEADS_URL", leads.url())
        .with("GATEWAY_TIMEOUT_SECONDS", "1")
        .start()
        .await;
    for (path, length) in [("/u/token", 100), ("/u/token", 100_000)] {
        let mut stream = TcpStream::connect(app.address).await.expect("it listens");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\nhalf"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect("an answer");
        let start = String::from_utf8_lossy(&start).into_owned();
        assert!(
            start == "HTTP/1.1 408" || start == "HTTP/1.1 504",
            "{start}"
        );
    }
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_refused() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let owner = app.as_role(Role::Owner);
    let large = vec![b'x'; 3 * 1024 * 1024];
    let problem = owner
        .post("/api/v1/leads")
        .body(large.clone())
        .send()
        .await
        .assert_error(413, "body_too_large");
    assert!(problem.detail.contains("2097152"), "{}", problem.detail);
    assert!(leads.seen().is_empty());
    // The same size is nothing for an import.
    owner
        .post("/api/v1/leads/imports")
        .body(large)
        .send()
        .await
        .assert_status(200);
    assert_eq!(leads.received(), 3 * 1024 * 1024);
}

#[actix_web::test]
async fn a_message_may_be_larger_as_a_form_only() {
    let upstream = Upstream::start();
    let app: App = Setup::default()
        .with("NOTIFICATIONS_URL", upstream.url())
        .start()
        .await;
    let owner = app.as_role(Role::Owner);
    let post = |path: &'static str, kind: &'static str| {
        let request = owner.post(path).header("content-type", kind);
        request.body(vec![b'x'; 3 * 1024 * 1024]).send()
    };
    let (form, json) = ("multipart/form-data; boundary=x", "application/json");
    for (path, kind) in [
        ("/api/v1/messages", json),
        ("/api/v1/messages/retry", form),
        ("/api/v1/senders", form),
    ] {
        let answer = post(path, kind).await;
        answer.assert_error(413, "body_too_large");
    }
    assert!(upstream.seen().is_empty());
    post("/api/v1/messages", form).await.assert_status(200);
    assert_eq!(upstream.received(), 3 * 1024 * 1024);
}

#[actix_web::test]
async fn a_body_that_hides_its_size_is_cut_at_the_limit() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let chunks = (0..48).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let answer = app
        .as_role(Role::Owner)
        .post("/api/v1/leads")
        .body(body)
        .send()
        .await;
    answer.assert_error(413, "body_too_large");
    assert!(leads.received() <= 2 * 1024 * 1024);
}

#[actix_web::test]
async fn an_answer_that_comes_before_the_end_of_the_body_is_heard() {
    let (url, _) = rude(
        b"HTTP/1.1 422 Unprocessable Entity\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    );
    let early = Upstream::start();
    for url in [url, early.url()] {
        let app: App = Setup::default().with("LEADS_URL", url).start().await;
        for _ in 0..3 {
            let answer = app
                .as_role(Role::Owner)
                .post("/api/v1/leads/imports/early")
                .body(vec![b'x'; 20 * 1024 * 1024])
                .send()
                .await;
            assert_eq!(answer.assert_status(422).text(), "no");
        }
    }
}
