//! Bodies that are too large, by raw sockets: a client library would hide when the answer comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use testkit::TestService;

use crate::probe::Probe;

fn open(app: &TestService<Probe>) -> TcpStream {
    let stream = TcpStream::connect(app.address).expect("it listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("a socket option");
    stream.set_write_timeout(patience).expect("a socket option");
    stream
}

/// The status line, and the body that follows the headers.
fn answer(stream: TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).expect("an answer");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("headers");
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

const HEAD: &str = "POST /any HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

#[actix_web::test]
async fn two_hundred_megabytes_are_refused_before_they_are_sent() {
    let app = TestService::<Probe>::start().await;
    let mut stream = open(&app);
    write!(stream, "{HEAD}Content-Length: 209715200\r\n\r\n").expect("written");
    let (status, body) = answer(stream);
    assert!(status.starts_with("HTTP/1.1 413"), "{status}");
    assert!(body.contains("body_too_large"), "{body}");
}

#[actix_web::test]
async fn a_body_of_unknown_length_is_refused_at_the_limit() {
    let app = TestService::<Probe>::start().await;
    let mut stream = open(&app);
    write!(stream, "{HEAD}Transfer-Encoding: chunked\r\n\r\n").expect("written");
    let chunk = format!("10000\r\n{}\r\n", "1".repeat(0x10000));
    let mut sent = 0;
    // It may close the connection while more is being sent; it must not take in 200 MB.
    while sent < 200 << 20 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += 0x10000;
        let mut peeked = [0];
        stream.set_nonblocking(true).expect("a socket option");
        let answered = stream.peek(&mut peeked).is_ok();
        stream.set_nonblocking(false).expect("a socket option");
        if answered {
            break;
        }
    }
    assert!(sent < 32 << 20, "{sent} bytes were taken");
    let (status, body) = answer(stream);
    assert!(status.starts_with("HTTP/1.1 413"), "{status}");
    assert!(body.contains("body_too_large"), "{body}");
}

#[actix_web::test]
async fn a_body_that_breaks_off_leaves_the_service_well() {
    let app = TestService::<Probe>::start().await;
    for _ in 0..20 {
        let mut stream = open(&app);
        write!(stream, "{HEAD}Content-Length: 1000\r\n\r\n{{\"a\":").expect("written");
    }
    app.anonymous()
        .get("/health/ready")
        .send()
        .await
        .assert_status(200);
}
