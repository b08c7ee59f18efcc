//! TLS and HTTP/2, when a certificate is given.

use std::net::SocketAddr;
use std::path::Path;

use common::auth::Role;
use reqwest::Version;
use testkit::{Issuer, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, Upstream};

/// A certificate for `localhost` in two files, as PEM; answers it.
pub(crate) fn certificate(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    std::fs::write(folder.join("certificate.pem"), &pem).expect("written");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    pem
}

async fn start(folder: &Path, upstream: &Upstream) -> App {
    Setup::default()
        .with("LEADS_URL", upstream.url())
        .with("CLARION_PUBLIC_URL", "https://localhost")
        .with(
            "GATEWAY_TLS_CERTIFICATE",
            folder.join("certificate.pem").display().to_string(),
        )
        .with(
            "GATEWAY_TLS_KEY",
            folder.join("key.pem").display().to_string(),
        )
        .start()
        .await
}

pub(crate) fn client(pem: &str, one_only: bool) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
    let builder = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
    let builder = if one_only {
        builder.http1_only()
    } else {
        builder
    };
    builder.build().expect("a client")
}

#[actix_web::test]
async fn both_versions_of_http_are_spoken_over_tls() {
    let (folder, upstream) = (tempfile::tempdir().expect("a folder"), Upstream::start());
    let pem = certificate(folder.path());
    let app = start(folder.path(), &upstream).await;
    let token = Issuer::shared().user(app.workspace, Role::Owner, app.clock.now().timestamp());
    let base = format!("https://localhost:{}", app.address.port());
    for (one_only, version) in [(true, Version::HTTP_11), (false, Version::HTTP_2)] {
        let client = client(&pem, one_only);
        let large = vec![b'x'; 300_000];
        let answer = client
            .post(format!("{base}/api/v1/leads/imports"))
            .bearer_auth(&token)
            .body(large.clone())
            .send()
            .await
            .expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert!(answer.headers().contains_key("strict-transport-security"));
        let echo: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(echo["length"], 300_000);
        let answer = client
            .get(format!("{base}/api/v1/leads/large"))
            .bearer_auth(&token)
            .header("cookie", "a=1")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.headers()["content-length"], "300000");
        assert_eq!(answer.bytes().await.expect("whole").len(), 300_000);
        let nobody = client.get(format!("{base}/api/v1/leads")).send().await;
        let nobody = nobody.expect("an answer");
        assert_eq!(nobody.status(), 401);
        assert_eq!(nobody.headers()["content-type"], "application/problem+json");
        let head = client
            .head(format!("{base}/api/v1/leads/large"))
            .bearer_auth(&token)
            .send()
            .await
            .expect("an answer");
        assert_eq!(head.headers()["content-length"], "300000");
    }
    let seen = upstream.seen();
    for request in seen.iter().filter(|it| it.uri.ends_with("/large")) {
        assert_eq!(request.header("x-forwarded-proto"), Some("https"));
        assert_eq!(request.headers["host"].len(), 1, "{request:?}");
    }
}

#[actix_web::test]
async fn streams_of_one_connection_do_not_wait_for_each_other() {
    let (folder, upstream) = (tempfile::tempdir().expect("a folder"), Upstream::start());
    let pem = certificate(folder.path());
    let app = start(folder.path(), &upstream).await;
    let base = format!("https://localhost:{}", app.address.port());
    let client = client(&pem, false);
    let mut events = client
        .get(format!("{base}/u/events"))
        .send()
        .await
        .expect("an answer");
    let first = events.chunk().await.expect("a chunk");
    assert_eq!(first.as_deref(), Some(&b"data: 1\n\n"[..]));
    let others = (0..20).map(|_| client.get(format!("{base}/u/x")).send());
    for answer in futures::future::join_all(others).await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    upstream.go();
    let second = events.chunk().await.expect("a chunk");
    assert_eq!(second.as_deref(), Some(&b"data: 2\n\n"[..]));
    let end = events.chunk().await.expect("the end");
    assert!(end.unwrap_or_default().is_empty());
}

#[actix_web::test]
async fn a_new_certificate_is_taken_while_it_runs() {
    let (folder, upstream) = (tempfile::tempdir().expect("a folder"), Upstream::start());
    let old = certificate(folder.path());
    let app = start(folder.path(), &upstream).await;
    let base = format!("https://localhost:{}/u/x", app.address.port());
    let ok = async |pem: &str| client(pem, false).get(&base).send().await.is_ok();
    assert!(ok(&old).await);
    let new = certificate(folder.path());
    testkit::eventually("the new certificate is shown", || ok(&new)).await;
    assert!(!ok(&old).await);
}

/// What a server says to somebody who offers only these suites of TLS 1.2: the first octet of its
/// answer, 22 for a handshake and 21 for a refusal (RFC 5246 §6.2.1).
pub(crate) async fn offer(address: SocketAddr, suites: &[u16]) -> u8 {
    let name = b"localhost";
    let size = u16::try_from(name.len()).expect("short");
    let mut server_name = [0, 0, 0, 0, 0].to_vec();
    server_name[..2].copy_from_slice(&(size + 3).to_be_bytes());
    server_name[3..].copy_from_slice(&size.to_be_bytes());
    server_name.extend(name);
    let mut extensions = Vec::new();
    let own: [(u16, Vec<u8>); 3] = [
        (0, server_name),
        // X25519 and P-256; signatures by ECDSA and RSA with SHA-256.
        (10, vec![0, 4, 0, 0x1d, 0, 0x17]),
        (13, vec![0, 6, 4, 3, 8, 4, 4, 1]),
    ];
    for (kind, value) in own {
        extensions.extend(kind.to_be_bytes());
        extensions.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
        extensions.extend(value);
    }
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(
        u16::try_from(suites.len() * 2)
            .expect("short")
            .to_be_bytes(),
    );
    hello.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    hello.extend([1, 0]);
    hello.extend(
        u16::try_from(extensions.len())
            .expect("short")
            .to_be_bytes(),
    );
    hello.extend(extensions);
    let length = |of: usize| u16::try_from(of).expect("short").to_be_bytes();
    let mut record = vec![22, 3, 1];
    record.extend(length(hello.len() + 4));
    record.extend([1, 0]);
    record.extend(length(hello.len()));
    record.extend(hello);
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket.write_all(&record).await.expect("sent");
    socket.read_u8().await.expect("an answer")
}

/// With keys of a moment, and encryption that notices changes.
pub(crate) const GOOD: [u16; 4] = [0xc02b, 0xc02f, 0xc02c, 0xc030];

/// Without forward secrecy, in CBC mode, with RC4, 3DES or nothing.
pub(crate) const WEAK: [u16; 10] = [
    0x0000, 0x0005, 0x000a, 0x002f, 0x0035, 0x003c, 0x009c, 0x009d, 0xc013, 0xc027,
];

#[actix_web::test]
async fn suites_without_forward_secrecy_or_with_weak_ciphers_are_refused() {
    let (folder, upstream) = (tempfile::tempdir().expect("a folder"), Upstream::start());
    certificate(folder.path());
    let app = start(folder.path(), &upstream).await;
    assert_eq!(offer(app.address, &GOOD).await, 22);
    assert_eq!(offer(app.address, &WEAK).await, 21);
    for weak in WEAK {
        assert_eq!(offer(app.address, &[weak]).await, 21, "{weak:04x}");
    }
}

#[test]
fn one_file_without_the_other_is_a_mistake() {
    use chassis::Service;
    for (given, named) in [
        ("GATEWAY_TLS_CERTIFICATE", "GATEWAY_TLS_KEY"),
        ("GATEWAY_TLS_KEY", "GATEWAY_TLS_CERTIFICATE"),
    ] {
        let source = chassis::settings::Source::default().with(given, "/x.pem");
        let mut read = source.reader();
        let settings = gateway::Gateway::settings(&mut read);
        let text = read.finish(settings).expect_err("bad").to_string();
        assert!(
            text.contains(&format!("{named}: is needed")) || text.contains(named),
            "{text}"
        );
    }
}
