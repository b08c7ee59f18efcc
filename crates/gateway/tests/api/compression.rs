//! Texts are packed for who takes them so, as they come.

use std::io::Read;

use common::auth::Role;
use testkit::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, Upstream, with_leads};

async fn ask(app: &App, path: &str, encoding: &str) -> (String, Vec<u8>) {
    let token = Issuer::shared().user(app.workspace, Role::Owner, app.clock.now().timestamp());
    let request = format!(
        "GET /api/v1/leads/{path} HTTP/1.0\r\nAccept-Encoding: {encoding}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("a head") + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    (head, answer.split_off(end))
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut reader = flate2::read::GzDecoder::new(bytes);
    reader.read_to_string(&mut text).expect("whole gzip");
    text
}

#[actix_web::test]
async fn a_text_is_packed_for_who_takes_it_so() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let (head, body) = ask(&app, "text", "br, gzip").await;
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
    assert!(body.len() < 1_000 && unpacked(&body).contains("all the same"));
    let (head, body) = ask(&app, "text", "br").await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
    assert!(body.len() > 10_000);
}

#[actix_web::test]
async fn what_gains_nothing_or_has_a_tag_stays_as_it_is() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    for path in ["tagged", "large", "small"] {
        let (head, _) = ask(&app, path, "gzip").await;
        assert!(!head.contains("content-encoding"), "{path}: {head}");
    }
    let (head, _) = ask(&app, "tagged", "gzip").await;
    assert!(head.contains("etag: \"7\"\r\n"), "{head}");
}

#[actix_web::test]
async fn a_stream_is_packed_while_it_comes() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    let token = Issuer::shared().user(app.workspace, Role::Owner, app.clock.now().timestamp());
    let client = reqwest::Client::builder()
        .gzip(true)
        .build()
        .expect("a client");
    let mut answer = client
        .get(format!("{}/api/v1/leads/rows", app.url()))
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer");
    let first = answer
        .chunk()
        .await
        .expect("a chunk")
        .expect("before the rest is made");
    assert_eq!(first.as_ref(), b"id,email\n");
    leads.go();
    let mut rest = 0;
    while let Some(chunk) = answer.chunk().await.expect("whole") {
        rest += chunk.len();
    }
    assert_eq!(rest, "1,ada@example.com\n".len() * 10_000);
}

#[actix_web::test]
async fn events_are_never_packed() {
    let leads = Upstream::start();
    let app = with_leads(&leads).await;
    leads.go();
    let (head, body) = ask(&app, "events", "gzip").await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(body, b"data: 1\n\ndata: 2\n\n");
}
