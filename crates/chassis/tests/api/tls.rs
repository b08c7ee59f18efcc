//! Services that speak TLS with each other, and believe one authority only.

use std::path::Path;
use std::sync::Arc;

use chassis::Service as _;
use chassis::client::{Peer, PeerError, ServiceTokens, http, inside};
use chassis::settings::{BadSettings, Base, Source};
use chassis::tls::Authority as Believed;
use common::auth::{Role, Service};
use serde_json::{Value, json};
use testkit::{Authority, Certificate, Client, Issuer, Setup, TestService, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::probe::Probe;

type App = TestService<Probe>;

fn showing(certificate: &Certificate) -> Setup<'static> {
    Setup::default()
        .with("COMMERCE_TLS_CERTIFICATE", certificate.certificate())
        .with("COMMERCE_TLS_KEY", certificate.key())
}

/// A peer that is asked at `url` by whoever believes `authority`.
fn peer(authority: &Authority, url: String) -> Peer {
    let authority = Believed::open(authority.path()).expect("a certificate");
    let http = inside(Some(&authority)).expect("a client");
    let tokens = Arc::new(ServiceTokens::fixed("the token".into()));
    Peer::new(Service::Leads, url.parse().expect("a URL"), http, tokens)
}

/// Why it is not asked.
async fn refused(peer: &Peer) -> String {
    let answer: Result<Value, _> = peer.post("/any", &json!({})).await;
    let Err(PeerError::Unavailable(error)) = answer else {
        panic!("{answer:?}")
    };
    let mut cause = error
        .cause
        .as_deref()
        .map(|it| it as &dyn std::error::Error);
    let mut reasons = Vec::new();
    while let Some(error) = cause {
        reasons.push(error.to_string());
        cause = error.source();
    }
    reasons.join(": ")
}

#[actix_web::test]
async fn a_service_asks_another_one_over_tls() {
    let authority = Authority::new("inside");
    let app: App = showing(&authority.certificate(&["localhost"]))
        .start()
        .await;
    let url = format!("https://localhost:{}", app.address.port());
    let said = json!({ "text": "x".repeat(300_000) });
    let heard: Value = peer(&authority, url)
        .post("/any", &said)
        .await
        .expect("an answer");
    assert_eq!(heard, said);
}

#[actix_web::test]
async fn the_keys_of_identity_are_read_over_tls() {
    let authority = Authority::new("inside");
    let identity: url::Url = Issuer::shared().url().parse().expect("a URL");
    let plain = identity.socket_addrs(|| None).expect("an address")[0];
    let secure = authority.certificate(&["localhost"]).before(plain).await;
    let start = |authority: &Authority| {
        let url = format!("https://localhost:{}", secure.port());
        let setup = Setup::default().with("IDENTITY_URL", url);
        setup.with("CLARION_TLS_CA", authority.file()).start()
    };
    let app: App = start(&authority).await;
    let asked = app.as_role(Role::Owner).get("/api/v1/notes").send().await;
    asked.assert_status(200);
    // Without keys that are believed, nobody is.
    let app: App = start(&Authority::new("other")).await;
    let asked = app.as_role(Role::Owner).get("/api/v1/notes").send().await;
    assert_eq!(asked.status, 503, "{}", asked.text());
}

#[actix_web::test]
async fn whoever_does_not_show_the_right_certificate_is_not_asked() {
    let (ours, others) = (Authority::new("inside"), Authority::new("other"));
    let cases = [
        (others.certificate(&["localhost"]), "UnknownIssuer"),
        (ours.certificate(&["elsewhere"]), "not valid for name"),
        (ours.expired(&["localhost"]), "expired"),
    ];
    for (certificate, reason) in cases {
        let app: App = showing(&certificate).start().await;
        let url = format!("https://localhost:{}", app.address.port());
        let why = refused(&peer(&ours, url)).await;
        assert!(why.contains(reason), "{reason}: {why}");
    }
}

#[actix_web::test]
async fn authorities_that_everybody_else_believes_are_nobody_inside() {
    let authority = Authority::new("inside");
    let app: App = showing(&authority.certificate(&["localhost"]))
        .start()
        .await;
    let url = format!("https://localhost:{}/health/live", app.address.port());
    let nobody = inside(None).expect("a client");
    for client in [nobody, http()] {
        let refused = client.get(&url).send().await.expect_err("it is unknown");
        assert!(refused.is_connect(), "{refused:?}");
    }
    let known = authority.client().get(&url).send().await;
    assert_eq!(known.expect("an answer").status(), 200);
}

#[actix_web::test]
async fn who_speaks_openly_to_a_service_with_a_certificate_hears_nothing() {
    let authority = Authority::new("inside");
    let app: App = showing(&authority.certificate(&["localhost"]))
        .start()
        .await;
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut heard = Vec::new();
    // It may be reset, too.
    stream.read_to_end(&mut heard).await.ok();
    let text = String::from_utf8_lossy(&heard);
    assert!(!text.contains("HTTP"), "{text}");
}

#[actix_web::test]
async fn a_service_that_is_asked_over_tls_is_told_nothing_without_it() {
    let authority = Authority::new("inside");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().expect("bound").port()
    );
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody");
        let mut start = vec![0; 4096];
        let count = stream.read(&mut start).await.expect("something");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        start.truncate(count);
        start
    });
    let why = refused(&peer(&authority, url)).await;
    assert!(why.contains("corrupt message"), "{why}");
    let heard = heard.await.expect("no panic");
    assert_eq!(heard[0], 22, "a handshake");
    assert!(!String::from_utf8_lossy(&heard).contains("the token"));
}

#[actix_web::test]
async fn new_files_are_taken_while_it_runs() {
    let (old, new) = (Authority::new("inside"), Authority::new("next year"));
    let certificate = old.certificate(&["localhost"]);
    let app: App = showing(&certificate).start().await;
    let url = format!("https://localhost:{}", app.address.port());
    // Its own way to ask follows the file of the authority, as a service's does.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), old.pem()).expect("written");
    let believed = Believed::open(file.path().to_owned()).expect("a certificate");
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(Arc::clone(&believed).watch(stop.clone()));
    let client = inside(Some(&believed)).expect("a client");
    let ok = async |http: reqwest::Client| {
        let asked = http.get(format!("{url}/health/live"));
        asked.header("connection", "close").send().await.is_ok()
    };
    assert!(ok(client.clone()).await && !ok(new.client()).await);
    // What cannot be used changes nothing.
    std::fs::write(certificate.certificate(), "no certificate").expect("written");
    std::fs::write(file.path(), "no certificate").expect("written");
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(ok(client.clone()).await);
    certificate.becomes(&new.certificate(&["localhost"]));
    eventually("the new certificate is shown", || ok(new.client())).await;
    assert!(!ok(old.client()).await);
    std::fs::write(file.path(), format!("{}{}", old.pem(), new.pem())).expect("written");
    eventually("the new authority is believed", || ok(client.clone())).await;
    stop.cancel();
}

fn settings(source: Source) -> Result<Base, BadSettings> {
    let source = source
        .with("DATABASE_URL", "postgres://x")
        .with("CLARION_SERVICE_SECRET", "s");
    let mut read = source.reader();
    let base = Probe::settings(&mut read);
    read.finish(base)
}

#[test]
fn an_address_with_tls_needs_somebody_to_believe() {
    let source = Source::default().with("IDENTITY_URL", "https://identity:8081");
    let BadSettings(problems) = settings(source.clone()).expect_err("nobody is believed");
    let wanted = "IDENTITY_URL: CLARION_TLS_CA must be set with https://";
    assert_eq!(problems, [wanted]);
    let good = settings(source.with("CLARION_TLS_CA", "/ca.pem")).expect("good");
    assert_eq!(good.authority.as_deref(), Some(Path::new("/ca.pem")));
}

#[test]
fn a_certificate_needs_its_key() {
    for (given, needed) in [
        ("COMMERCE_TLS_CERTIFICATE", "COMMERCE_TLS_KEY"),
        ("COMMERCE_TLS_KEY", "COMMERCE_TLS_CERTIFICATE"),
    ] {
        let source = Source::default()
            .with("IDENTITY_URL", "http://identity:8081")
            .with(given, "/x.pem");
        let BadSettings(problems) = settings(source).expect_err("half of it");
        assert_eq!(problems, [format!("{needed}: is needed with {given}")]);
    }
}

#[actix_web::test]
async fn files_that_cannot_be_used_stop_the_start_and_are_named() {
    let authority = Authority::new("inside");
    let (one, other) = (
        authority.certificate(&["localhost"]),
        authority.certificate(&["localhost"]),
    );
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let empty = empty.path().display().to_string();
    let nowhere = "/nowhere/at/all.pem".to_owned();
    let (certificate, key) = ("COMMERCE_TLS_CERTIFICATE", "COMMERCE_TLS_KEY");
    let together = "COMMERCE_TLS_CERTIFICATE and COMMERCE_TLS_KEY do not belong together";
    let cases = [
        (nowhere.clone(), one.key(), None, certificate),
        (empty.clone(), one.key(), None, certificate),
        (one.certificate(), nowhere.clone(), None, key),
        (one.certificate(), other.key(), None, together),
        (
            one.certificate(),
            one.key(),
            Some(nowhere),
            "CLARION_TLS_CA",
        ),
        (one.certificate(), one.key(), Some(empty), "CLARION_TLS_CA"),
    ];
    for (shown, key_file, believed, named) in cases {
        let mut source = Source::default()
            .with("IDENTITY_URL", "http://identity:8081")
            .with(certificate, shown)
            .with(key, key_file);
        if let Some(file) = believed {
            source = source.with("CLARION_TLS_CA", file);
        }
        let base = settings(source).expect("they are paths");
        let error = Probe::bind(base).await.expect_err("it does not start");
        assert!(format!("{error:#}").starts_with(named), "{error:#}");
    }
}

#[actix_web::test]
async fn a_client_of_a_role_is_served_over_tls_as_without() {
    let authority = Authority::new("inside");
    let app: App = showing(&authority.certificate(&["127.0.0.1"]))
        .start()
        .await;
    let token = Issuer::shared().user(app.workspace, Role::Owner, app.clock.now().timestamp());
    let base = format!("https://{}", app.address);
    let client = Client::over(authority.client(), base, Some(token));
    let note = client
        .post("/api/v1/notes")
        .json(&json!({ "text": "over TLS" }));
    note.send().await.assert_status(201);
    assert_eq!(app.events().len(), 1);
}
