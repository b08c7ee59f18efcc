//! `clarion up` as a child, and what it stands on while it is measured.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use laptop::{Postgres, PostgresOptions};
use tempfile::TempDir;

use super::send::{CONNECTIONS, Sink};
use crate::demo::api::{Account, Api};
use crate::process::{Running, free_address, guarded};

pub(crate) const OWNER: (&str, &str) = ("owner@bench.example", "a password for the bench");
/// What a child needs of this environment to find programs and to write files; nothing else in it,
/// nor a `.env` file here, may make it work on anybody's real data.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// A running platform; it is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Platform {
    running: Running,
    pub(super) url: String,
    /// From its start to its `ready` line.
    pub(super) started_in: Duration,
}

impl Platform {
    /// Starts one with everything in `folder`, and these settings besides.
    pub(super) async fn start(folder: &Path, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let (ready, log) = (folder.join("ready"), folder.join("log"));
        let mut command = platform_command(folder)?;
        command
            .envs(settings.iter().map(|(key, value)| (*key, value)))
            .stdout(File::create(&ready)?)
            .stderr(File::create(&log)?);
        let began = Instant::now();
        let mut running = Running::start("clarion up", command)?;
        let url = running
            .until(Duration::from_millis(5), async || ready_url(&ready))
            .await;
        let url = url.with_context(|| last_line(&log))?;
        Ok(Self {
            running,
            url,
            started_in: began.elapsed(),
        })
    }

    /// The public API, as the first owner.
    pub(super) async fn sign_in(&self) -> anyhow::Result<Api> {
        let (email, password) = (OWNER.0.to_owned(), OWNER.1.to_owned());
        Api::sign_in(&self.url, Some(Account { email, password })).await
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its memory in MB: private, and resident.
    pub(super) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let path = format!("/proc/{}/smaps_rollup", self.running.pid());
        let smaps =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kilobytes =
            |name: &str| field(&smaps, name).with_context(|| format!("no {name} in {path}"));
        let private = kilobytes("Private_Clean")? + kilobytes("Private_Dirty")?;
        Ok((private / 1024.0, kilobytes("Rss")? / 1024.0))
    }
}

/// `clarion up` with everything in `folder`, on a free port.
pub(crate) fn platform_command(folder: &Path) -> anyhow::Result<Command> {
    let mut command = guarded(&std::env::current_exe().context("cannot find this program")?);
    command
        .arg("up")
        .current_dir(folder)
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| PASSED_ON.contains(&name.as_str())))
        .env("CLARION_HTTP_ADDR", "127.0.0.1:0")
        .env("CLARION_DATA_DIR", folder.join("data"))
        .env("CLARION_OWNER_EMAIL", OWNER.0)
        .env("CLARION_OWNER_PASSWORD", OWNER.1);
    Ok(command)
}

/// A platform on a Postgres that we may measure limits on, sending to a sink if there is one. Parts
/// stop in the order in which they stand here.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) platform: Platform,
    /// Absent where `smtp-sink` is.
    pub(super) sink: Option<Sink>,
    /// Where analytics listens, past the gateway.
    pub(super) analytics: SocketAddr,
    pub(super) postgres: Postgres,
    pub(super) folder: TempDir,
}

impl Site {
    /// As `clarion up` would start its own Postgres, with the same settings and as durable.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = folder()?;
        let options = PostgresOptions::new(folder.path().join("postgres"));
        let postgres = tokio::task::spawn_blocking(|| Postgres::start(options)).await??;
        let sink = Sink::start().await?;
        let analytics = free_address()?;
        let mut settings = vec![
            ("DATABASE_URL", postgres.url()),
            ("ANALYTICS_HTTP_ADDR", analytics.to_string()),
            ("SMTP_CONNECTIONS", CONNECTIONS.to_string()),
        ];
        settings.extend(sink.as_ref().map(|sink| ("SMTP_URL", sink.url())));
        let platform = Platform::start(folder.path(), &settings).await?;
        Ok(Self {
            platform,
            sink,
            analytics,
            postgres,
            folder,
        })
    }
}

/// An empty folder that a Postgres of another user may enter.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    let open = std::fs::Permissions::from_mode(0o755);
    let made = tempfile::Builder::new()
        .prefix("clarion-bench-")
        .permissions(open)
        .tempdir();
    made.context("cannot make a temporary folder")
}

pub(crate) fn ready_url(output: &Path) -> Option<String> {
    let text = std::fs::read_to_string(output).ok()?;
    let (line, _) = text.strip_prefix("ready ")?.split_once('\n')?;
    Some(line.trim().to_owned())
}

fn last_line(log: &PathBuf) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    last.unwrap_or("it said nothing").to_owned()
}

/// A field of `smaps_rollup`, in kB.
pub(super) fn field(smaps: &str, name: &str) -> Option<f64> {
    let line = smaps
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_counts_once_it_is_whole() {
        let folder = folder().unwrap();
        let path = folder.path().join("ready");
        assert_eq!(ready_url(&path), None);
        std::fs::write(&path, "ready http://127.0.0.1:80").unwrap();
        assert_eq!(ready_url(&path), None);
        std::fs::write(&path, "ready http://127.0.0.1:8080\n").unwrap();
        assert_eq!(ready_url(&path).as_deref(), Some("http://127.0.0.1:8080"));
    }

    #[test]
    fn memory_is_read_by_whole_names() {
        let smaps =
            "0-1 ---p [rollup]\nRss:  200 kB\nPrivate_Clean:  7 kB\nPrivate_Dirty:   5 kB\n";
        assert_eq!(field(smaps, "Private_Dirty"), Some(5.0));
        assert_eq!(field(smaps, "Private"), None);
    }
}
