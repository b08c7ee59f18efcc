//! Requests a second through the gateway on 64 connections, against nginx as a reverse proxy over
//! the same upstream, with as many workers, connections kept alive and no access log.
//!
//! The gateway runs alone, as its own binary would, with the logs that it writes by default. The
//! upstream is a small server in this process that answers two words. The load is `wrk`, or our
//! own loader where there is none; both proxies get the same.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use chassis::Service;
use chassis::settings::Source;
use chassis::telemetry::LogSettings;
use gateway::Gateway;
use tokio_util::sync::CancellationToken;

use super::load::{Load, Until};
use super::platform::folder;
use super::table::{Aim, Rounds, Row};
use super::{Size, say};
use crate::process::{self, Running, find, free_address, guarded};

const CONNECTIONS: usize = 64;
/// A public route, which carries no credentials.
const PATH: &str = "/o/bench.gif";

/// Both proxies over one upstream.
struct Proxies {
    gateway: (SocketAddr, Running),
    nginx: (SocketAddr, Running),
    /// Absent where it is not installed.
    wrk: Option<PathBuf>,
    seconds: u32,
}

pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Row>> {
    let nginx = find("nginx", "nginx-light")?;
    let (upstream, stop) = (upstream()?, CancellationToken::new());
    let serving = tokio::spawn(serve(upstream.1, stop.clone()));
    let folder = folder()?;
    let proxies = Proxies {
        gateway: start_gateway(upstream.0, folder.path()).await?,
        nginx: start_nginx(&nginx, upstream.0, folder.path()).await?,
        wrk: find("wrk", "wrk").ok(),
        seconds: size.seconds,
    };
    let mut rounds = Rounds::default();
    for _ in 0..size.rounds {
        let ours = proxies.load(proxies.gateway.0).await?;
        let limit = proxies.load(proxies.nginx.0).await?;
        say(&format!("gateway: {ours:.0} requests/s, nginx {limit:.0}"));
        rounds.add(ours, limit);
    }
    stop.cancel();
    serving.await??;
    let loader = if proxies.wrk.is_some() {
        "wrk"
    } else {
        "our own loader"
    };
    let note = format!("nginx over the same upstream, {CONNECTIONS} connections of {loader}");
    Ok(vec![
        Row::new("gateway", "requests/s", Aim::None, rounds).noting(note),
    ])
}

impl Proxies {
    /// Requests a second through one of them.
    async fn load(&self, through: SocketAddr) -> anyhow::Result<f64> {
        match &self.wrk {
            Some(wrk) => self.with_wrk(wrk, through).await,
            None => self.with_own(through).await,
        }
    }

    async fn with_wrk(&self, wrk: &Path, through: SocketAddr) -> anyhow::Result<f64> {
        let mut command = guarded(wrk);
        command.args([
            "-t",
            "2",
            "-c",
            &CONNECTIONS.to_string(),
            "-d",
            &format!("{}s", self.seconds),
        ]);
        command.arg(format!("http://{through}{PATH}"));
        let said = process::output("wrk", command).await?;
        requests_per_second(&said).with_context(|| format!("wrk says {}", said.trim()))
    }

    async fn with_own(&self, address: SocketAddr) -> anyhow::Result<f64> {
        let request = format!("GET {PATH} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
        let load = Load {
            address,
            requests: Arc::from([request]),
            connections: CONNECTIONS,
            status: 200,
        };
        let done = load
            .run(Until::Time(Duration::from_secs(self.seconds.into())))
            .await?;
        Ok(done.per_second())
    }
}

/// What `wrk` counted; nothing if any answer was not a success.
fn requests_per_second(said: &str) -> Option<f64> {
    let bad = ["Non-2xx", "Socket errors"]
        .iter()
        .any(|sign| said.contains(sign));
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))?;
    line.trim().parse().ok().filter(|_| !bad)
}

fn upstream() -> anyhow::Result<(SocketAddr, std::net::TcpListener)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok((listener.local_addr()?, listener))
}

/// Answers everything with two words.
async fn serve(listener: std::net::TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    let app = || {
        App::new().default_service(web::to(|| async {
            HttpResponse::Ok().body("hello, world")
        }))
    };
    let server = HttpServer::new(app)
        .workers(2)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    let running = tokio::spawn(server);
    stop.cancelled().await;
    handle.stop(false).await;
    running.await?
}

async fn start_gateway(
    upstream: SocketAddr,
    folder: &Path,
) -> anyhow::Result<(SocketAddr, Running)> {
    let address = free_address()?;
    let mut command = guarded(&std::env::current_exe().context("cannot find this program")?);
    command
        .args(["bench", "--gateway-alone"])
        .current_dir(folder)
        .env_clear()
        .env("GATEWAY_HTTP_ADDR", address.to_string())
        .env("CLARION_SERVICE_SECRET", "none that anybody knows")
        .stdout(std::fs::File::create(folder.join("gateway.log"))?);
    command.stderr(std::fs::File::create(folder.join("gateway.errors"))?);
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

/// What `main` of the gateway's own binary does.
pub(super) async fn alone() -> anyhow::Result<()> {
    let source = Source::from_process();
    let mut read = source.reader();
    let logs = LogSettings::read(&mut read);
    let settings = Gateway::settings(&mut read);
    let settings = read.finish(settings)?;
    logs.start();
    let stop = chassis::process::stop_on_signal()?;
    Gateway::bind(settings).await?.run(stop).await
}

async fn start_nginx(
    program: &Path,
    upstream: SocketAddr,
    folder: &Path,
) -> anyhow::Result<(SocketAddr, Running)> {
    let address = free_address()?;
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(address, upstream, folder))?;
    let mut command = guarded(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    command.stderr(std::fs::File::create(folder.join("nginx.errors"))?);
    let mut running = Running::start("nginx", command)?;
    running.until_listening(address).await?;
    Ok((address, running))
}

fn configuration(address: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = folder.display();
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
    access_log off;
    keepalive_requests 1000000000;
    {temporary}
    upstream part {{
        server {upstream};
        keepalive {CONNECTIONS};
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
        let said =
            "Running 2s test\n  10 requests in 1.00s\nRequests/sec:   1234.50\nTransfer/sec: 1MB\n";
        assert_eq!(requests_per_second(said), Some(1234.5));
        assert_eq!(
            requests_per_second(&format!("  Non-2xx or 3xx responses: 3\n{said}")),
            None
        );
        assert_eq!(requests_per_second("no such host"), None);
    }

    #[tokio::test]
    async fn nginx_passes_on_what_the_upstream_says() {
        let Ok(program) = find("nginx", "nginx-light") else {
            return;
        };
        let (folder, stop) = (folder().unwrap(), CancellationToken::new());
        let (upstream, listener) = upstream().unwrap();
        let serving = tokio::spawn(serve(listener, stop.clone()));
        let nginx = start_nginx(&program, upstream, folder.path())
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
}
