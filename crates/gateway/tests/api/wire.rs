//! HTTP/1.1 byte by byte: strange requests, slow clients, and who they say they are.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{App, Upstream, all_at, raw};

async fn open() -> (Upstream, App) {
    let upstream = Upstream::start();
    let app = all_at(&upstream).start().await;
    (upstream, app)
}

#[actix_web::test]
async fn what_is_not_http_is_told_so_and_closed() {
    let (upstream, app) = open().await;
    for (request, status) in [
        ("GET /u/x HTTP/1.1\nHost: x\n\n", "400"),
        ("GET /u/x HTTP/1.1\r\nHost: x\n\r\n", "400"),
        ("GET /u/x HTTP/1.1\r\n\r\n", "400"),
        ("GET /u/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"),
        ("GET /u/x HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "400"),
        ("GET /u/x HTTP/1.1\r\nHost : x\r\n\r\n", "400"),
        ("GET /u/\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET  /u/x HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET /u/x HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
        (
            "POST /u/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("\x16\x03\x01\x02\x00\n", "400"),
    ] {
        let answer = raw(app.address, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request:?}: {answer}"
        );
        assert!(
            answer.contains("\r\nconnection: close\r\n"),
            "{request:?}: {answer}"
        );
        assert!(
            answer.contains("application/problem+json"),
            "{request:?}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1").count(),
            1,
            "{request:?}: {answer}"
        );
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[actix_web::test]
async fn heads_are_not_endless() {
    let (upstream, app) = open().await;
    let many = "A: b\r\n".repeat(200);
    let wide = format!("A: {}\r\n", "x".repeat(40_000));
    for lines in [many, wide] {
        let request = format!("GET /u/x HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        let answer = raw(app.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let long = format!("GET /u/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000));
    let answer = raw(app.address, &long).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
    assert!(upstream.seen().is_empty());
}

#[actix_web::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let (upstream, app) = open().await;
    let request = "\r\nPOST /u/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
                   POST /u/2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n\
                   GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n\
                   GET /u/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n\
                   GET /u/4 HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = raw(app.address, request).await;
    let statuses: Vec<_> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| &rest[..3])
        .collect();
    assert_eq!(statuses, ["200", "200", "404", "200"], "{answer}");
    let seen = upstream.seen();
    let asked: Vec<_> = seen
        .iter()
        .map(|it| (it.uri.as_str(), it.body.as_slice()))
        .collect();
    assert_eq!(
        asked,
        [("/u/1", &b"abc"[..]), ("/u/2", b"de"), ("/u/3", b"")]
    );
    assert!(!seen[1].headers.contains_key("t"), "trailers end here");
}

#[actix_web::test]
async fn old_clients_are_understood() {
    let (_upstream, app) = open().await;
    let answer = raw(app.address, "GET /u/x HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
        "{answer}"
    );
    let stays = "GET /u/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /u/y HTTP/1.0\r\n\r\n";
    let answer = raw(app.address, stays).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(answer.contains("connection: keep-alive"), "{answer}");
}

#[actix_web::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_not() {
    let (upstream, app) = open().await;
    let ask = |length: usize| {
        format!(
            "POST /u/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    stream.write_all(ask(2).as_bytes()).await.expect("sent");
    let mut word = [0; 25];
    stream.read_exact(&mut word).await.expect("a word");
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.only().body, b"ab");
    // Whoever is refused need not send it.
    let answer = raw(app.address, &ask(100_000_000)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[actix_web::test]
async fn only_a_proxy_that_is_trusted_says_who_the_client_is() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream)
        .with("GATEWAY_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")
        .start()
        .await;
    let answer = app
        .anonymous()
        .get("/u/x")
        .header("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.1.1.1")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .send()
        .await;
    assert!(answer.header("strict-transport-security").is_some());
    let seen = upstream.only();
    assert_eq!(seen.header("x-forwarded-for"), Some("198.51.100.7"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert!(!seen.headers.contains_key("x-forwarded-host"));
}

/// Clients that send a head byte by byte, as if they were on a very slow line.
#[actix_web::test]
async fn five_hundred_slow_clients_are_closed_and_nobody_waits_for_them() {
    let (_upstream, app) = open().await;
    let mut slow = JoinSet::new();
    let began = Instant::now();
    for number in 0..500 {
        let mut stream = TcpStream::connect(app.address).await.expect("it listens");
        slow.spawn(async move {
            // Some say nothing at all.
            if number % 5 > 0 {
                stream
                    .write_all(b"GET /u/x HTTP/1.1\r\nHost: x\r\nX-A: ")
                    .await
                    .ok();
            }
            let (mut read, mut write) = stream.split();
            let drip = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    if number % 5 > 0 && write.write_all(b"a").await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                _ = read.read_to_end(&mut answer) => {}
                () = drip => {}
            }
            String::from_utf8_lossy(&answer).into_owned()
        });
    }
    let (mut closed, mut served) = (0, 0);
    while closed < 500 {
        tokio::select! {
            answer = slow.join_next() => {
                let answer = answer.expect("one is left").expect("no panic");
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
                closed += 1;
            }
            answer = app.anonymous().get("/u/y").send() => {
                answer.assert_status(200);
                served += 1;
            }
        }
    }
    assert!(served > 100, "the service stays available: {served}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
}
