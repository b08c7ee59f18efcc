//! `main` of a service binary: serve, migrate, or look at its own health.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::host::Service;
use crate::memory;
use crate::migrate;
use crate::settings::Source;
use crate::telemetry::LogSettings;
use crate::tls;

/// Runs service `S` as its own process: `serve` (the default), `migrate`, or `health`.
pub fn main<S: Service>() -> ExitCode {
    let command = std::env::args().nth(1);
    ended::<S>(match command.as_deref() {
        None | Some("serve") => serve::<S>(),
        Some("migrate") => apply::<S>(),
        Some("health") => look::<S>(),
        Some(other) => Err(anyhow::anyhow!(
            "unknown command {other}: use serve, migrate or health"
        )),
    })
}

/// The same for a service without a database: `serve` (the default), or `health`. Such a program
/// needs no library of Postgres.
pub fn main_without_database<S: Service>() -> ExitCode {
    let command = std::env::args().nth(1);
    ended::<S>(match command.as_deref() {
        None | Some("serve") => serve::<S>(),
        Some("health") => look::<S>(),
        Some(other) => Err(anyhow::anyhow!(
            "unknown command {other}: use serve or health"
        )),
    })
}

fn ended<S: Service>(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", S::NAME);
            ExitCode::FAILURE
        }
    }
}

/// Has the kernel back this process, and those that it starts, with small pages only. The allocator
/// asks for huge ones, and threads that use a little memory each stand on more of those than they
/// use: without them an idle platform takes a third.
pub fn use_small_pages() {
    // A kernel that cannot is a kernel that has no huge pages.
    nix::sys::prctl::set_thp_disable(true).ok();
}

/// Runs service `S` with the settings of this process until a signal stops it.
pub fn serve<S: Service>() -> anyhow::Result<()> {
    use_small_pages();
    let source = Source::from_process();
    let mut read = source.reader();
    let logs = LogSettings::read(&mut read);
    let settings = S::settings(&mut read);
    let settings = read.finish(settings)?;
    logs.start();
    runtime()?.block_on(async {
        let stop = stop_on_signal()?;
        let service = S::bind(settings).await?;
        tracing::info!(service = %S::NAME, address = %service.address(), "ready");
        service.run(stop).await
    })
}

fn apply<S: Service>() -> anyhow::Result<()> {
    let source = Source::from_process();
    let mut read = source.reader();
    let url = read.secret("DATABASE_URL");
    let url = read.finish(url)?;
    Ok(migrate::run(&url, S::NAME, S::migrations())?)
}

/// Asks the service on this machine whether it is alive; for containers without a shell.
fn look<S: Service>() -> anyhow::Result<()> {
    let source = Source::from_process();
    let mut read = source.reader();
    let key = format!("{}_HTTP_ADDR", S::NAME.as_str().to_uppercase());
    let address: SocketAddr = read.or(&key, SocketAddr::from(([127, 0, 0, 1], S::PORT)));
    let files = tls::Files::read(&mut read, S::NAME);
    let (mut address, files) = read.finish((address, files))?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let deadline = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, deadline)?;
    stream.set_read_timeout(Some(deadline))?;
    stream.set_write_timeout(Some(deadline))?;
    match files {
        Some(files) => {
            let mut session = tls::to_oneself(&files)?;
            is_alive(tokio_rustls::rustls::Stream::new(&mut session, &mut stream))
        }
        None => is_alive(stream),
    }
}

fn is_alive(mut stream: impl Read + Write) -> anyhow::Result<()> {
    stream.write_all(b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    anyhow::ensure!(
        answer.ends_with(b" 200"),
        "not alive: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

/// The runtime for background work; each HTTP worker has one of its own.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    memory::give_back_soon();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Cancelled by SIGTERM or SIGINT. Needs a running runtime.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}
