//! The mailbox as a process of its own.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use mailbox::{Mailbox, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Receives mail in place of a foreign server, keeps it, and shows it.
#[derive(Debug, Parser)]
#[command(name = "mailbox", version)]
struct Arguments {
    /// Where mail is received.
    #[arg(
        long,
        env = "MAILBOX_SMTP_ADDR",
        default_value = "127.0.0.1:2525",
        global = true
    )]
    smtp_addr: SocketAddr,
    /// Where the pages are.
    #[arg(
        long,
        env = "MAILBOX_HTTP_ADDR",
        default_value = "127.0.0.1:8025",
        global = true
    )]
    http_addr: SocketAddr,
    /// Where the messages are kept.
    #[arg(
        long,
        env = "MAILBOX_DATA_DIR",
        default_value = ".clarion/mailbox",
        global = true
    )]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Serves; this is what happens without a command, too.
    Run,
    /// Asks the running mailbox whether it is well; the exit code says.
    Health,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Health) => health(arguments.http_addr),
        Some(Command::Run) | None => run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let quiet = "info,actix_server=warn";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| quiet.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let settings = Settings {
        smtp_addr: arguments.smtp_addr,
        http_addr: Some(arguments.http_addr),
        data_dir: Some(arguments.data_dir),
        ..Settings::default()
    };
    let mailbox = Mailbox::bind(settings).await?;
    let pages = mailbox.http_addr().unwrap_or(arguments.http_addr);
    println!(
        "ready smtp://{} http://{pages}/mailbox",
        mailbox.smtp_addr()
    );
    mailbox.run(stop).await?;
    Ok(())
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

/// Asks `/health/live` of the mailbox on this machine.
fn health(addr: SocketAddr) -> anyhow::Result<()> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&reachable(addr), patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: mailbox\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    anyhow::ensure!(&answer == b"HTTP/1.1 200", "the mailbox is not well");
    Ok(())
}

/// The loopback address of a server that listens on every address.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
