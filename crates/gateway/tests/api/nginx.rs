//! The gateways behind a real nginx with the configuration that is shipped.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::Setup;

use crate::support::{App, Upstream};
use crate::tls::{GOOD, WEAK, certificate, client, offer};

const SHIPPED: &str = include_str!("../../../../deploy/nginx/clarion.conf");

/// A running nginx; it is stopped when this is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    plain: SocketAddr,
    pem: String,
    folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master ends its workers when it is asked to, and not when it is killed.
        let pid = self.child.id().to_string();
        Command::new("kill").arg(&pid).status().ok();
        self.child.wait().ok();
    }
}

fn program() -> PathBuf {
    let places = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let found = places.iter().map(Path::new).find(|place| place.exists());
    found
        .expect("deploy/setup/packages.sh test installs nginx")
        .to_owned()
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// The shipped configuration with this test's addresses and folders; everything else is as it is.
fn configuration(
    folder: &Path,
    address: SocketAddr,
    plain: SocketAddr,
    gateways: [&App; 2],
) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut text = SHIPPED.to_owned();
    for (shipped, here) in [
        ("gateway-1:8080", gateways[0].address.to_string()),
        ("gateway-2:8080", gateways[1].address.to_string()),
        ("listen 80;", format!("listen {plain};")),
        ("listen 443 ssl", format!("listen {address} ssl")),
        ("clarion.example", "localhost".to_owned()),
        ("/etc/nginx/clarion/certificate.pem", at("certificate.pem")),
        ("/etc/nginx/clarion/key.pem", at("key.pem")),
        ("/srv/clarion/dashboard", at("dashboard")),
    ] {
        assert!(text.contains(shipped), "{shipped}");
        text = text.replace(shipped, &here);
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {};\n", at(what)))
        .concat();
    format!(
        "daemon off;\npid {};\nworker_processes 1;\nerror_log stderr warn;\n\
         events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\n{temporary}{text}}}\n",
        at("nginx.pid")
    )
}

async fn start(gateways: [&App; 2]) -> Nginx {
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let pem = certificate(folder.path());
    let assets = folder.path().join("dashboard/assets");
    std::fs::create_dir_all(&assets).expect("a folder");
    std::fs::write(assets.join("app-1.js"), "files()").expect("written");
    let (child, address, plain) = loop {
        let (address, plain) = (free(), free());
        let text = configuration(folder.path(), address, plain, gateways);
        if let Some(child) = run(folder.path(), &text).await {
            break (child, address, plain);
        }
    };
    Nginx {
        child,
        address,
        plain,
        pem,
        folder,
    }
}

/// Starts nginx and waits until it listens; None when somebody took one of its ports before it did.
async fn run(folder: &Path, text: &str) -> Option<Child> {
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(program());
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("nginx starts");
    // It is written when the ports are its own.
    let pid = folder.join("nginx.pid");
    let mut ended = false;
    testkit::eventually("nginx listens or gives up", || {
        ended = child.try_wait().expect("it is ours").is_some();
        let listens = pid.exists();
        async move { listens || ended }
    })
    .await;
    if !ended {
        return Some(child);
    }
    let output = child.wait_with_output().expect("its words");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Address already in use"), "{said}");
    None
}

async fn gateway(upstream: &Upstream) -> App {
    Setup::default()
        .with("LEADS_URL", upstream.url())
        .with("CLARION_PUBLIC_URL", "https://localhost")
        .with("GATEWAY_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await
}

#[actix_web::test]
async fn what_nginx_passes_on_is_what_the_client_sent() {
    let upstream = Upstream::start();
    let (one, two) = (gateway(&upstream).await, gateway(&upstream).await);
    let nginx = start([&one, &two]).await;
    let client = client(&nginx.pem, false);
    let base = format!("https://localhost:{}", nginx.address.port());

    let answer = client
        .get(format!("{base}/u/x?a=b%20c"))
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "for=203.0.113.9")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
    for name in [
        "strict-transport-security",
        "content-security-policy",
        "x-request-id",
    ] {
        assert_eq!(answer.headers().get_all(name).iter().count(), 1, "{name}");
    }
    let seen = upstream.only();
    assert_eq!(seen.uri, "/u/x?a=b%20c");
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert!(!format!("{seen:?}").contains("203.0.113.9"));

    let metrics = client.get(format!("{base}/metrics")).send().await;
    assert_eq!(metrics.expect("an answer").status(), 404);

    let file = client.get(format!("{base}/assets/app-1.js")).send().await;
    let file = file.expect("an answer");
    assert!(file.headers().contains_key("strict-transport-security"));
    let kept: Vec<_> = file.headers().get_all("cache-control").iter().collect();
    assert!(
        kept.iter().any(|it| it.as_bytes().ends_with(b"immutable")),
        "{kept:?}"
    );
    assert_eq!(file.text().await.expect("text"), "files()");
    assert!(nginx.folder.path().exists());
}

#[actix_web::test]
async fn pages_are_sent_on_to_tls_and_programs_are_told_that_they_spoke_openly() {
    let upstream = Upstream::start();
    let (one, two) = (gateway(&upstream).await, gateway(&upstream).await);
    let nginx = start([&one, &two]).await;
    let get = |path: &str| {
        let url = format!("http://localhost:{}{path}", nginx.plain.port());
        chassis::client::http().get(url)
    };
    for path in ["/", "/campaigns?x=1", "/a/secret", "/docs/"] {
        let moved = get(path).send().await.expect("an answer");
        assert_eq!(moved.status(), 308, "{path}");
        let to = format!("https://localhost{path}");
        assert_eq!(moved.headers()["location"], to.as_str());
    }
    for path in ["/api/v1/leads", "/v1/track", "/openapi.json"] {
        let refused = get(path).bearer_auth("a token").send();
        let refused = refused.await.expect("an answer");
        assert_eq!(refused.status(), 403, "{path}");
        assert!(!refused.headers().contains_key("location"), "{path}");
        assert_eq!(
            refused.headers()["content-type"],
            "application/problem+json"
        );
        let problem: common::Problem = refused.json().await.expect("a problem");
        assert_eq!((problem.status, problem.code.as_str()), (403, "tls_needed"));
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[actix_web::test]
async fn nginx_refuses_weak_suites_too() {
    let upstream = Upstream::start();
    let (one, two) = (gateway(&upstream).await, gateway(&upstream).await);
    let nginx = start([&one, &two]).await;
    assert_eq!(offer(nginx.address, &GOOD).await, 22);
    for weak in WEAK {
        assert_eq!(offer(nginx.address, &[weak]).await, 21, "{weak:04x}");
    }
}

#[actix_web::test]
async fn bodies_go_through_nginx_as_they_come() {
    let upstream = Upstream::start();
    let (one, two) = (gateway(&upstream).await, gateway(&upstream).await);
    let nginx = start([&one, &two]).await;
    let client = client(&nginx.pem, true);
    let base = format!("https://localhost:{}", nginx.address.port());
    let mut events = client
        .get(format!("{base}/u/events"))
        .send()
        .await
        .expect("an answer");
    let first = events.chunk().await.expect("a chunk");
    assert_eq!(
        first.as_deref(),
        Some(&b"data: 1\n\n"[..]),
        "before the second is made"
    );
    upstream.go();
    let second = events.chunk().await.expect("a chunk");
    assert_eq!(second.as_deref(), Some(&b"data: 2\n\n"[..]));
    let sent = client
        .post(format!("{base}/u/x"))
        .body(vec![b'x'; 1_500_000])
        .send()
        .await
        .expect("an answer");
    let echo: serde_json::Value = sent.json().await.expect("JSON");
    assert_eq!(echo["length"], 1_500_000);
}

#[actix_web::test]
async fn a_gateway_that_stops_costs_no_request() {
    let upstream = Upstream::start();
    let (mut one, two) = (gateway(&upstream).await, gateway(&upstream).await);
    let nginx = start([&one, &two]).await;
    let client = client(&nginx.pem, true);
    let url = format!("https://localhost:{}/u/x", nginx.address.port());
    for number in 0..60 {
        if number == 20 {
            one.begin_to_stop();
        }
        if number == 40 {
            one.stop();
        }
        let answer = client.get(&url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{number}");
    }
}
