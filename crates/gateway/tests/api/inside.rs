//! Services that are asked over TLS.

use std::net::SocketAddr;

use chassis::Service as _;
use chassis::settings::Source;
use common::auth::{Role, Service};
use gateway::Gateway;
use testkit::{Authority, Certificate, Logged, Setup, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{App, Routes, Upstream};
use crate::upgrade::{ASK, echo};

/// A gateway whose `leads` is at `address`, spoken to as `localhost`.
async fn behind(authority: &Authority, address: SocketAddr) -> App {
    Setup::default()
        .with("CLARION_TLS_CA", authority.file())
        .with("LEADS_URL", format!("https://localhost:{}", address.port()))
        .start()
        .await
}

async fn secure(authority: &Authority, upstream: &Upstream) -> SocketAddr {
    let certificate = authority.certificate(&["localhost"]);
    certificate.before(upstream.address()).await
}

#[actix_web::test]
async fn a_service_is_asked_over_tls() {
    let (authority, upstream) = (Authority::new("inside"), Upstream::start());
    let app = behind(&authority, secure(&authority, &upstream).await).await;
    let client = app.as_role(Role::Owner);
    // Small and large, both ways, and again on the connections that were kept.
    for _ in 0..3 {
        let small = client.post("/api/v1/leads").body("hello").send().await;
        assert_eq!(
            small.assert_status(200).json::<serde_json::Value>()["length"],
            5
        );
        let sent = client
            .post("/api/v1/leads/imports")
            .body(vec![b'x'; 3_000_000]);
        let large = sent.send().await.assert_status(200);
        assert_eq!(large.json::<serde_json::Value>()["length"], 3_000_000);
        let large = client.get("/api/v1/leads/large").send().await;
        assert_eq!(large.assert_status(200).body.len(), 300_000);
        client
            .get("/api/v1/leads/nothing")
            .send()
            .await
            .assert_status(204);
        client.get("/u/refused").send().await.assert_status(422);
    }
    let host = upstream.seen()[0].header("host").map(str::to_owned);
    assert!(host.is_some_and(|host| host.starts_with("localhost:")));
}

#[actix_web::test]
async fn events_come_through_tls_as_they_happen() {
    let (authority, upstream) = (Authority::new("inside"), Upstream::start());
    let app = behind(&authority, secure(&authority, &upstream).await).await;
    let url = format!("{}/u/events", app.url());
    let mut events = chassis::client::http()
        .get(url)
        .send()
        .await
        .expect("an answer");
    let first = events.chunk().await.expect("a chunk");
    assert_eq!(first.as_deref(), Some(&b"data: 1\n\n"[..]));
    upstream.go();
    let second = events.chunk().await.expect("a chunk");
    assert_eq!(second.as_deref(), Some(&b"data: 2\n\n"[..]));
    assert!(events.chunk().await.expect("the end").is_none());
}

#[actix_web::test]
async fn a_websocket_passes_through_tls_both_ways() {
    let authority = Authority::new("inside");
    let certificate = authority.certificate(&["localhost"]);
    let app = behind(&authority, certificate.before(echo().await).await).await;
    let mut stream = TcpStream::connect(app.address).await.expect("it listens");
    stream
        .write_all(format!("{ASK}first").as_bytes())
        .await
        .expect("sent");
    let (mut heard, mut buffer) = (String::new(), [0; 1024]);
    while !heard.ends_with("hellofirst") {
        let read = stream.read(&mut buffer).await.expect("more");
        assert!(read > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(heard.starts_with("HTTP/1.1 101 "), "{heard}");
    for word in ["second".to_owned(), "third".repeat(50_000)] {
        let (mut read, mut write) = stream.split();
        let mut echo = vec![0; word.len()];
        let sending = write.write_all(word.as_bytes());
        let (sent, received) = tokio::join!(sending, read.read_exact(&mut echo));
        sent.expect("sent");
        received.expect("an echo");
        assert_eq!(echo, word.as_bytes());
    }
    stream.shutdown().await.expect("closed");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the end");
    assert!(rest.is_empty());
}

/// Everything that a gateway without other services needs to start as a process.
fn alone<'a>(url: &'a str, leads: &'a str, authority: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("IDENTITY_URL", url),
        ("CAMPAIGNS_URL", url),
        ("NOTIFICATIONS_URL", url),
        ("ANALYTICS_URL", url),
        ("LEADS_URL", leads),
        ("CLARION_TLS_CA", authority),
    ]
}

#[actix_web::test]
async fn whoever_shows_another_certificate_is_not_asked_and_the_log_says_why() {
    let (ours, others) = (Authority::new("inside"), Authority::new("other"));
    let (upstream, identity) = (Upstream::start(), Upstream::start());
    let cases: [(Certificate, &str); 3] = [
        (others.certificate(&["localhost"]), "UnknownIssuer"),
        (ours.certificate(&["elsewhere"]), "not valid for name"),
        (ours.expired(&["localhost"]), "expired"),
    ];
    for (certificate, reason) in cases {
        let address = certificate.before(upstream.address()).await;
        let leads = format!("https://localhost:{}", address.port());
        let (file, url) = (ours.file(), identity.url());
        let settings = alone(&url, &leads, &file);
        let binary = env!("CARGO_BIN_EXE_gateway");
        let process = Logged::begin(binary, Service::Gateway, &settings);
        eventually("it is looked up and found wanting", || async {
            let answer = process.client.get("/u/x").try_send().await;
            let log = serde_json::to_string(&process.lines()).expect("JSON");
            answer.is_ok_and(|answer| answer.status == 503) && log.contains(reason)
        })
        .await;
        let answer = process.client.get("/u/x").send().await;
        answer.assert_error(503, "unavailable");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[actix_web::test]
async fn nothing_is_said_openly_where_tls_is_asked_for() {
    let authority = Authority::new("inside");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody");
        let mut start = [0; 4096];
        let count = stream.read(&mut start).await.expect("something");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .ok();
        start[..count].to_vec()
    });
    let app = behind(&authority, address).await;
    let client = app.as_role(Role::Owner);
    eventually("it is asked", || async {
        client
            .get("/api/v1/leads/secret")
            .send()
            .await
            .assert_error(503, "unavailable");
        heard.is_finished()
    })
    .await;
    let heard = heard.await.expect("no panic");
    assert_eq!(heard[0], 22, "a handshake");
    assert!(!String::from_utf8_lossy(&heard).contains("secret"));
}

#[actix_web::test]
async fn of_two_replicas_the_one_with_the_right_certificate_answers_everything() {
    let (ours, others) = (Authority::new("inside"), Authority::new("other"));
    let (good, bad) = (Upstream::start(), Upstream::start());
    let good_at = secure(&ours, &good).await;
    let bad_at = secure(&others, &bad).await;
    // By the name, and by an address, which is then what the certificate must be for.
    let by_address = ours
        .certificate(&["127.0.0.1"])
        .before(good.address())
        .await;
    let routes = Routes::new(&format!(
        "[pools.leads]\nreplicas = [\"https://localhost:{}\", \"https://localhost:{}\", \
         \"https://{by_address}\"]\n\
         [[routes]]\nprefix = \"/u\"\npool = \"leads\"\nauth = \"open\"\n",
        good_at.port(),
        bad_at.port(),
    ));
    let app: App = Setup::default()
        .with("CLARION_TLS_CA", ours.file())
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .start()
        .await;
    eventually("names are looked up", || async {
        app.anonymous().get("/u/x").send().await.status == 200
    })
    .await;
    for _ in 0..50 {
        app.anonymous().get("/u/x").send().await.assert_status(200);
    }
    assert!(bad.seen().is_empty());
    // They are asked how they are in the same way.
    eventually("their health is asked for", || async {
        good.asked("/health/ready") > 1
    })
    .await;
    assert!(bad.seen().is_empty());
}

/// A service that closes each connection after its answer and does not say so before.
async fn closing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).await.expect("a head");
            if count > 0 {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.expect("sent");
            }
        }
    });
    address
}

#[actix_web::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used_again() {
    let authority = Authority::new("inside");
    let certificate = authority.certificate(&["localhost"]);
    let app = behind(&authority, certificate.before(closing().await).await).await;
    for _ in 0..10 {
        // What is not idempotent is sent once: by a connection that is open.
        let post = app.anonymous().post("/u/x").body("a");
        post.send().await.assert_status(200);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[test]
fn an_address_with_tls_needs_somebody_to_believe() {
    let source = Source::default().with("LEADS_URL", "https://leads:8083");
    let mut read = source.reader();
    let settings = Gateway::settings(&mut read);
    let text = read.finish(settings).expect_err("bad").to_string();
    assert!(
        text.contains("LEADS_URL: CLARION_TLS_CA must be set"),
        "{text}"
    );
}

#[actix_web::test]
async fn a_table_with_tls_needs_somebody_to_believe() {
    let routes = Routes::new(
        "[pools.leads]\nreplicas = [\"https://localhost:1\"]\n\
         [[routes]]\nprefix = \"/u\"\npool = \"leads\"\nauth = \"open\"\n",
    );
    let mut source = Source::default()
        .with("GATEWAY_ROUTES_FILE", routes.path())
        .with("CLARION_SERVICE_SECRET", "s");
    for name in [
        "IDENTITY",
        "LEADS",
        "CAMPAIGNS",
        "NOTIFICATIONS",
        "ANALYTICS",
    ] {
        source = source.with(&format!("{name}_URL"), "http://127.0.0.1:1");
    }
    let mut read = source.reader();
    let settings = Gateway::settings(&mut read);
    let settings = read.finish(settings).expect("good");
    let error = Gateway::bind(settings).await.expect_err("a bad table");
    assert!(
        error.to_string().contains("needs CLARION_TLS_CA"),
        "{error}"
    );
}

#[actix_web::test]
async fn a_container_asks_itself_over_tls() {
    let authority = Authority::new("inside");
    let (own, other) = (
        authority.certificate(&["gateway"]),
        authority.certificate(&["gateway"]),
    );
    let app: App = Setup::default()
        .with("GATEWAY_TLS_CERTIFICATE", own.certificate())
        .with("GATEWAY_TLS_KEY", own.key())
        .start()
        .await;
    let look = |certificate: Option<&Certificate>| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.arg("health").env_clear().current_dir("/");
        command.env("GATEWAY_HTTP_ADDR", app.address.to_string());
        if let Some(it) = certificate {
            command.env("GATEWAY_TLS_CERTIFICATE", it.certificate());
            command.env("GATEWAY_TLS_KEY", it.key());
        }
        async move { command.output().await.expect("it runs").status.success() }
    };
    assert!(look(Some(&own)).await);
    assert!(!look(Some(&other)).await, "another server is there");
    assert!(!look(None).await, "it speaks TLS only");
}
