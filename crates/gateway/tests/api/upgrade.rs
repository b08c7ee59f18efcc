//! WebSockets and whatever else begins as HTTP/1.1.

use std::net::SocketAddr;

use testkit::Setup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{App, Upstream, all_at, raw};

/// A service that says yes to another protocol and then repeats what it hears.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut head, mut byte) = (Vec::new(), [0; 1]);
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).await.expect("a head");
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                assert!(head.contains("upgrade: websocket\r\n"), "{head}");
                assert!(head.contains("connection: upgrade\r\n"), "{head}");
                assert!(head.contains("sec-websocket-key: k\r\n"), "{head}");
                let yes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                            Connection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\nhello";
                stream.write_all(yes).await.expect("sent");
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    address
}

pub(crate) const ASK: &str = "GET /u/live HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";

#[actix_web::test]
async fn a_websocket_passes_both_ways() {
    let address = echo().await;
    let app: App = Setup::default()
        .with("LEADS_URL", format!("http://{address}"))
        .start()
        .await;
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    // What the client says before the answer is for the service, too.
    let early = format!("{ASK}first");
    stream.write_all(early.as_bytes()).await.expect("sent");
    let mut heard = String::new();
    let mut buffer = [0; 1024];
    while !heard.ends_with("hellofirst") {
        let read = stream.read(&mut buffer).await.expect("more");
        assert!(read > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(
        heard.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{heard}"
    );
    assert!(heard.contains("upgrade: websocket\r\n"), "{heard}");
    assert!(heard.contains("sec-websocket-accept: a\r\n"), "{heard}");
    for word in ["second", "third"] {
        stream.write_all(word.as_bytes()).await.expect("sent");
        let mut echo = vec![0; word.len()];
        stream.read_exact(&mut echo).await.expect("an echo");
        assert_eq!(echo, word.as_bytes());
    }
    stream.shutdown().await.expect("closed");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the end");
    assert!(rest.is_empty());
}

#[actix_web::test]
async fn a_service_may_say_no_to_another_protocol() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let request = format!("{ASK}GET /u/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = raw(app.address, &request).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

#[actix_web::test]
async fn no_other_protocol_is_spoken_past_us() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let request = "GET /u/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n\
                   GET /u/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = raw(app.address, request).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    for seen in upstream.seen() {
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(!seen.headers.contains_key(name), "{name}: {seen:?}");
        }
    }
}

#[actix_web::test]
async fn another_site_cannot_open_a_websocket_with_the_cookie_of_somebody() {
    let upstream = Upstream::start();
    let app: App = all_at(&upstream).start().await;
    let ask = |origin: &str| {
        ASK.replace("/u/live", "/api/v1/live").replace(
            "Upgrade: websocket\r\n",
            &format!(
                "Upgrade: websocket\r\nCookie: __Host-clarion_session=good\r\nOrigin: {origin}\r\n"
            ),
        )
    };
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    let theirs = ask("https://evil.example");
    stream.write_all(theirs.as_bytes()).await.expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 403");
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    let ours = ask("http://clarion.test");
    stream.write_all(ours.as_bytes()).await.expect("sent");
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
}
