//! `clarion up`: every service in this process, on private servers where none are given.

mod servers;
mod services;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chassis::health::Health;
use chassis::settings::{BadSettings, Reader, Source};
use chassis::telemetry::LogSettings;
use common::values::Secret;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::secrets::Secrets;
use servers::Servers;

/// Each flag wins over the environment variable of the same name.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Where the gateway listens [CLARION_HTTP_ADDR, 127.0.0.1:8080]
    #[arg(long)]
    http_addr: Option<String>,
    /// What links in mails begin with [CLARION_PUBLIC_URL, http:// and the address]
    #[arg(long)]
    public_url: Option<String>,
    /// Private Postgres, Redis, mailbox and secrets [CLARION_DATA_DIR, ./.clarion]
    #[arg(long)]
    data_dir: Option<String>,
    /// A Postgres to use instead of the private one [DATABASE_URL]
    #[arg(long)]
    database_url: Option<String>,
    /// A Redis to use instead of the private one [REDIS_URL]
    #[arg(long)]
    redis_url: Option<String>,
    /// A mail server to use instead of the mailbox [SMTP_URL]
    #[arg(long)]
    smtp_url: Option<String>,
    /// The first owner's address, at the first start [CLARION_OWNER_EMAIL]
    #[arg(long)]
    owner_email: Option<String>,
    /// The first owner's password, at the first start [CLARION_OWNER_PASSWORD]
    #[arg(long)]
    owner_password: Option<String>,
}

impl Args {
    /// The command line as the topmost layer of settings.
    fn over(self, source: Source) -> Source {
        let layers = [
            ("CLARION_HTTP_ADDR", self.http_addr),
            ("CLARION_PUBLIC_URL", self.public_url),
            ("CLARION_DATA_DIR", self.data_dir),
            ("DATABASE_URL", self.database_url),
            ("REDIS_URL", self.redis_url),
            ("SMTP_URL", self.smtp_url),
            ("CLARION_OWNER_EMAIL", self.owner_email),
            ("CLARION_OWNER_PASSWORD", self.owner_password),
        ];
        let given = layers
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        given.fold(source, |source, (key, value)| source.with(key, value))
    }
}

/// What `up` itself needs; the services read theirs from the same source.
#[derive(Debug)]
struct Settings {
    http_addr: SocketAddr,
    public_url: Option<Url>,
    data_dir: PathBuf,
    database_url: Option<Secret>,
    redis_url: Option<Secret>,
    smtp_url: Option<Secret>,
    logs: LogSettings,
}

impl Settings {
    fn read(mut read: Reader<'_>) -> Result<Self, BadSettings> {
        let settings = Self {
            http_addr: read.or(
                "CLARION_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 8080)),
            ),
            public_url: read.optional("CLARION_PUBLIC_URL"),
            data_dir: read.or("CLARION_DATA_DIR", PathBuf::from("./.clarion")),
            database_url: read.optional_secret("DATABASE_URL"),
            redis_url: read.optional_secret("REDIS_URL"),
            smtp_url: read.optional_secret("SMTP_URL"),
            logs: LogSettings::read(&mut read),
        };
        read.finish(settings)
    }
}

/// Runs until SIGTERM or SIGINT; then everything that was started is stopped.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    chassis::process::use_small_pages();
    let source = args.over(Source::from_process());
    let settings = Settings::read(source.reader())?;
    settings.logs.start();
    let listener = TcpListener::bind(settings.http_addr)
        .with_context(|| format!("cannot listen on {}", settings.http_addr))?;
    std::fs::create_dir_all(&settings.data_dir).with_context(|| {
        format!(
            "cannot make the data folder {}",
            settings.data_dir.display()
        )
    })?;
    let secrets = Secrets::open(&settings.data_dir, &mut source.reader())?;
    chassis::process::runtime()?.block_on(start(source, settings, secrets, listener))
}

async fn start(
    source: Source,
    settings: Settings,
    secrets: Secrets,
    listener: TcpListener,
) -> anyhow::Result<()> {
    let stop = chassis::process::stop_on_signal()?;
    let address = listener.local_addr()?;
    let public_url = match settings.public_url {
        Some(ref url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    };
    let servers = Servers::start(&settings).await?;
    let source = source
        .with("CLARION_PUBLIC_URL", &public_url)
        .with("CLARION_OWNER_EMAIL", &secrets.owner_email)
        .with("CLARION_OWNER_PASSWORD", &secrets.owner_password);
    let ended = serve(source, &secrets, &servers, listener, &public_url, stop).await;
    servers.stop().await;
    ended
}

async fn serve(
    source: Source,
    secrets: &Secrets,
    servers: &Servers,
    listener: TcpListener,
    public_url: &str,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    // One failure stops the rest.
    let (all, failed) = (stop.child_token(), servers.failed());
    let services = services::run(source, secrets, servers, listener, all.clone());
    let announce = async {
        if ready(address, &all).await {
            println!("ready {public_url}");
            eprintln!(
                "sign in as {} with {}",
                secrets.owner_email, secrets.owner_password
            );
        }
        std::future::pending::<()>().await
    };
    tokio::pin!(services);
    tokio::select! {
        ended = &mut services => ended,
        why = failed => {
            all.cancel();
            services.await?;
            Err(why)
        }
        () = announce => Ok(()),
    }
}

/// Waits until the gateway finds every service working.
async fn ready(address: SocketAddr, stop: &CancellationToken) -> bool {
    let http = chassis::client::http();
    let url = format!("http://{address}/health");
    while !stop.is_cancelled() {
        if whole(&http, &url).await.unwrap_or(false) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn whole(http: &reqwest::Client, url: &str) -> reqwest::Result<bool> {
    let answer = http.get(url).timeout(Duration::from_secs(5)).send().await?;
    let health: Health = answer.json().await?;
    Ok(health.parts.values().all(|part| part.ok))
}
