//! The gateway against nginx as a reverse proxy over the same upstream, with as many workers, as
//! many kept connections, and the same load by `wrk` in the same minutes.
//!
//! Two pairs are measured. *Bare*: a public route against a plain `proxy_pass`, neither of them
//! with an access log. *Everything on*: a route that verifies a token and counts against a rate
//! limit, with an access log, against nginx with its access log. The request id, the metrics and
//! the headers that we add are on in both of ours.
//!
//! The gateway runs alone: its own binary where it is beside this one, as `make bench-gateway` has
//! it, or else `clarion serve gateway`. The upstream is a small server in this process that answers
//! two words, and identity's keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::auth::{Claims, Role, Subject, TOKEN_TYPE};
use common::{UserId, WorkspaceId};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use tokio_util::sync::CancellationToken;

use super::platform::{field, folder};
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::process::{self, Running, find, free_address, guarded};

/// A public route, which carries no credentials, and one that needs a token and has a limit.
const BARE: &str = "/o/bench.gif";
const FULL: &str = "/api/v1/leads";
/// Connections that nginx keeps to its upstream: as many as the largest load may need.
const KEPT: usize = 256;

/// The routes of the bench: those that are measured, with a limit that is counted and not reached.
const ROUTES: &str = r#"
[pools.leads]
[pools.analytics]

[limits.api]
per = "caller"
rate = "10000000/s"

[[routes]]
prefix = "/api/v1/leads"
pool = "leads"
auth = "needed"
limits = ["api"]

[[routes]]
prefix = "/o"
pool = "analytics"
auth = "open"
"#;

type Server = (SocketAddr, Running);

/// All that is measured, over one upstream.
struct Site {
    wrk: PathBuf,
    upstream: SocketAddr,
    bare: Pair,
    full: Pair,
    token: String,
    seconds: u32,
}

/// Ours and theirs.
struct Pair {
    gateway: Server,
    nginx: Server,
}

/// What `wrk` found.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    per_second: f64,
    /// The 99th percentile, in milliseconds.
    p99: f64,
}

#[derive(Default)]
struct Measured {
    bare_64: Rounds,
    p99_64: Rounds,
    bare_256: Rounds,
    full_64: Rounds,
    added: Rounds,
    memory: Rounds,
}

pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Row>> {
    let (nginx, wrk) = (find("nginx", "nginx-light")?, find("wrk", "wrk")?);
    let (listener, stop) = (
        std::net::TcpListener::bind("127.0.0.1:0")?,
        CancellationToken::new(),
    );
    let (upstream, signer) = (listener.local_addr()?, Signer::new()?);
    let serving = tokio::spawn(serve(listener, signer.keys(), stop.clone()));
    let folder = folder()?;
    let site = Site {
        wrk,
        upstream,
        bare: Pair::start(&nginx, upstream, folder.path(), "bare", false).await?,
        full: Pair::start(&nginx, upstream, folder.path(), "full", true).await?,
        token: signer.token()?,
        seconds: size.seconds,
    };
    let mut measured = Measured::default();
    for _ in 0..size.rounds {
        site.round(&mut measured).await?;
    }
    stop.cancel();
    serving.await??;
    Ok(measured.rows())
}

impl Measured {
    fn rows(self) -> Vec<Row> {
        let row = |name: &str, unit, aim, rounds: Rounds, note: &str| {
            Row::new(format!("gateway, {name}"), unit, aim, rounds).noting(note)
        };
        let nginx = "nginx over the same upstream";
        let log = "nginx with its access log; ours also verifies a token and counts a limit";
        let (least_64, least_256, least_full) = (Aim::Ratio(0.9), Aim::Ratio(1.0), Aim::Ratio(0.7));
        vec![
            row(
                "bare, 64 connections",
                "requests/s",
                least_64,
                self.bare_64,
                nginx,
            ),
            row(
                "bare, 64, p99",
                "ms",
                Aim::RatioAtMost(1.1),
                self.p99_64,
                nginx,
            ),
            row("bare, 256", "requests/s", least_256, self.bare_256, nginx),
            row(
                "everything on, 64",
                "requests/s",
                least_full,
                self.full_64,
                log,
            ),
            row(
                "added at 1 connection",
                "µs",
                Aim::RatioAtMost(1.5),
                self.added,
                "what nginx adds to asking the upstream itself",
            ),
            row(
                "memory at 256",
                "MB",
                Aim::AtMost(30.0),
                self.memory,
                "resident, right after that load",
            ),
        ]
    }
}

impl Site {
    async fn round(&self, into: &mut Measured) -> anyhow::Result<()> {
        let bare = &self.bare;
        let ours = self.load(bare.gateway.0, BARE, 64, "").await?;
        let theirs = self.load(bare.nginx.0, BARE, 64, "").await?;
        told("bare, 64", ours, theirs);
        into.bare_64.add(ours.per_second, theirs.per_second);
        into.p99_64.add(ours.p99, theirs.p99);

        let ours = self.load(bare.gateway.0, BARE, 256, "").await?;
        into.memory.add_alone(resident(bare.gateway.1.pid())?);
        let theirs = self.load(bare.nginx.0, BARE, 256, "").await?;
        told("bare, 256", ours, theirs);
        into.bare_256.add(ours.per_second, theirs.per_second);

        let full = &self.full;
        let token = format!("authorization: Bearer {}", self.token);
        let ours = self.load(full.gateway.0, FULL, 64, &token).await?;
        let theirs = self.load(full.nginx.0, FULL, 64, &token).await?;
        told("everything on, 64", ours, theirs);
        into.full_64.add(ours.per_second, theirs.per_second);

        let took = async |address| {
            let found = self.load(address, BARE, 1, "").await?;
            anyhow::Ok(1e6 / found.per_second)
        };
        let direct = took(self.upstream).await?;
        let ours = took(bare.gateway.0).await? - direct;
        let theirs = took(bare.nginx.0).await? - direct;
        say(&format!(
            "gateway: 1 connection: {direct:.0} µs direct, {ours:.0} more through us, {theirs:.0} through nginx"
        ));
        into.added.add(ours, theirs);
        Ok(())
    }

    /// What one of them does on so many connections, each of which asks again when it was answered.
    async fn load(
        &self,
        address: SocketAddr,
        path: &str,
        connections: usize,
        line: &str,
    ) -> anyhow::Result<Found> {
        let mut command = guarded(&self.wrk);
        let threads = connections.min(2).to_string();
        let (connections, time) = (connections.to_string(), format!("{}s", self.seconds));
        command.args(["--latency", "-t", &threads, "-c", &connections, "-d", &time]);
        if !line.is_empty() {
            command.args(["-H", line]);
        }
        command.arg(format!("http://{address}{path}"));
        let said = process::output("wrk", command).await?;
        Found::read(&said).with_context(|| format!("wrk says {}", said.trim()))
    }
}

fn told(what: &str, ours: Found, theirs: Found) {
    say(&format!(
        "gateway: {what}: {:.0} requests/s, p99 {:.2} ms; nginx {:.0}, {:.2} ms",
        ours.per_second, ours.p99, theirs.per_second, theirs.p99
    ));
}

impl Found {
    /// What `wrk` counted; nothing if any answer was not a success.
    fn read(said: &str) -> Option<Self> {
        let bad = ["Non-2xx", "Socket errors"]
            .iter()
            .any(|sign| said.contains(sign));
        let line = |start: &str| {
            said.lines()
                .find_map(|line| line.trim().strip_prefix(start).map(str::trim))
        };
        let found = Self {
            per_second: line("Requests/sec:")?.parse().ok()?,
            p99: milliseconds(line("99%")?)?,
        };
        (!bad).then_some(found)
    }
}

/// `870.00us`, `1.23ms`, `2.00s`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    })
}

/// The resident memory of a process, in MB.
fn resident(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let smaps = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kilobytes = field(&smaps, "Rss").with_context(|| format!("no Rss in {path}"))?;
    Ok(kilobytes / 1024.0)
}

/// Signs the token that is verified.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(Ed25519KeyPair::generate()?))
    }

    fn keys(&self) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        serde_json::json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "bench", "x": x
        }]})
    }

    fn token(&self) -> anyhow::Result<String> {
        let (subject, role) = (Subject::User(UserId::new()), Role::Owner);
        let now = chrono::Utc::now().timestamp();
        let workspace = Some(WorkspaceId::new());
        let claims = Claims::new(
            subject,
            workspace,
            Some(role),
            role.scopes(),
            now,
            24 * 3600,
        );
        let header = Header {
            typ: Some(TOKEN_TYPE.into()),
            kid: Some("bench".into()),
            ..Header::new(Algorithm::EdDSA)
        };
        let key = self.0.to_pkcs8()?;
        let key = EncodingKey::from_ed_der(key.as_ref());
        Ok(jsonwebtoken::encode(&header, &claims, &key)?)
    }
}

/// Answers everything with two words, but the keys.
async fn serve(
    listener: std::net::TcpListener,
    keys: serde_json::Value,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let keys = Arc::new(keys);
    let app = move || {
        let keys = Arc::clone(&keys);
        App::new()
            .route(
                "/api/v1/.well-known/jwks.json",
                web::get().to(move || {
                    let keys = Arc::clone(&keys);
                    async move { HttpResponse::Ok().json(&*keys) }
                }),
            )
            .default_service(web::to(|| async {
                HttpResponse::Ok().body("hello, world")
            }))
    };
    let server = HttpServer::new(app)
        .workers(2)
        .tcp_nodelay(true)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    let running = tokio::spawn(server);
    stop.cancelled().await;
    handle.stop(false).await;
    running.await?
}

impl Pair {
    async fn start(
        nginx: &Path,
        upstream: SocketAddr,
        folder: &Path,
        name: &str,
        log: bool,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir(&folder)?;
        // The workers of nginx may be another user's.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&folder, open)?;
        Ok(Self {
            gateway: start_gateway(upstream, &folder, log).await?,
            nginx: start_nginx(nginx, upstream, &folder, log).await?,
        })
    }
}

async fn start_gateway(
    upstream: SocketAddr,
    folder: &Path,
    log: bool,
) -> anyhow::Result<(SocketAddr, Running)> {
    let address = free_address()?;
    std::fs::write(folder.join("routes.toml"), ROUTES)?;
    let this = std::env::current_exe().context("cannot find this program")?;
    let own = this.with_file_name("gateway");
    let mut command = match own.is_file() {
        true => guarded(&own),
        false => {
            say("gateway: its own binary is not built; this one takes its place, with more memory");
            let mut command = guarded(&this);
            command.args(["serve", "gateway"]);
            command
        }
    };
    command
        .current_dir(folder)
        .env_clear()
        .env("GATEWAY_HTTP_ADDR", address.to_string())
        .env("CLARION_SERVICE_SECRET", "none that anybody knows")
        .env("GATEWAY_ROUTES_FILE", folder.join("routes.toml"))
        .stdout(std::fs::File::create(folder.join("gateway.log"))?);
    command.stderr(std::fs::File::create(folder.join("gateway.errors"))?);
    if log {
        command.env("GATEWAY_ACCESS_LOG", folder.join("gateway.access.log"));
    }
    for part in [
        "IDENTITY",
        "CAMPAIGNS",
        "LEADS",
        "NOTIFICATIONS",
        "ANALYTICS",
    ] {
        command.env(format!("{part}_URL"), format!("http://{upstream}"));
    }
    let mut running = Running::start("the gateway", command)?;
    running.until_listening(address).await?;
    Ok((address, running))
}

async fn start_nginx(
    program: &Path,
    upstream: SocketAddr,
    folder: &Path,
    log: bool,
) -> anyhow::Result<(SocketAddr, Running)> {
    let address = free_address()?;
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(address, upstream, folder, log))?;
    let mut command = guarded(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    command.stderr(std::fs::File::create(folder.join("nginx.errors"))?);
    let mut running = Running::start("nginx", command)?;
    running.until_listening(address).await?;
    Ok((address, running))
}

fn configuration(address: SocketAddr, upstream: SocketAddr, folder: &Path, log: bool) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = folder.display();
    let log = match log {
        true => format!("{folder}/nginx.access.log"),
        false => "off".to_owned(),
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {folder}/{what}; "))
        .concat();
    format!(
        "daemon off;
worker_processes {cores};
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log {log};
    keepalive_requests 1000000000;
    {temporary}
    upstream part {{
        server {upstream};
        keepalive {KEPT};
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://part;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_successes_count() {
        let said = "Running 2s test\n  Latency Distribution\n     50%  300.00us\n     99%    1.25ms\n  \
             10 requests in 1.00s\nRequests/sec:   1234.50\nTransfer/sec: 1MB\n";
        let found = Found {
            per_second: 1234.5,
            p99: 1.25,
        };
        assert_eq!(Found::read(said), Some(found));
        let refused = format!("  Non-2xx or 3xx responses: 3\n{said}");
        assert_eq!(Found::read(&refused), None);
        assert_eq!(Found::read("no such host"), None);
        assert_eq!(milliseconds("250.00us"), Some(0.25));
        assert_eq!(milliseconds("2.00s"), Some(2000.0));
        assert_eq!(milliseconds("2.00"), None);
    }

    #[tokio::test]
    async fn nginx_passes_on_what_the_upstream_says() {
        let Ok(program) = find("nginx", "nginx-light") else {
            return;
        };
        let (folder, stop) = (folder().unwrap(), CancellationToken::new());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, serde_json::json!({}), stop.clone()));
        let nginx = start_nginx(&program, upstream, folder.path(), false)
            .await
            .unwrap();
        let answer = chassis::client::http()
            .get(format!("http://{}/x", nginx.0))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.text().await.unwrap(), "hello, world");
        drop(nginx);
        stop.cancel();
        serving.await.unwrap().unwrap();
    }

    #[test]
    fn the_token_is_one_that_the_keys_verify() {
        let signer = Signer::new().unwrap();
        let keys = serde_json::from_value(signer.keys()).unwrap();
        let keys = common::auth::KeySet::from_jwks(&keys);
        let now = chrono::Utc::now().timestamp();
        assert!(keys.verify(&signer.token().unwrap(), now).is_ok());
    }
}
