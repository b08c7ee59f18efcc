//! TLS and HTTP/2, when a certificate is given.

use std::path::Path;

use common::auth::Role;
use reqwest::Version;
use testkit::{Issuer, Setup};

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
