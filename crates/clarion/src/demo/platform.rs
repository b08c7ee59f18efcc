//! The platform that the demo talks to: one that runs already, or a fresh one that ends with it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long a fresh platform may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Where a platform answers.
#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) url: String,
    /// The one that was started for this run; it ends when this is dropped.
    fresh: Option<Fresh>,
}

impl Platform {
    /// The platform at `url`; or, when none answers there and `url` is only the usual one, a fresh
    /// one.
    pub(crate) async fn find_or_start(url: &str, named: bool) -> anyhow::Result<Self> {
        match (answers(url).await, named) {
            (true, _) => Ok(Self {
                url: url.to_owned(),
                fresh: None,
            }),
            (false, true) => bail!("no platform answers at {url}"),
            (false, false) => Self::start().await,
        }
    }

    async fn start() -> anyhow::Result<Self> {
        let fresh = tokio::task::spawn_blocking(Fresh::prepare).await??;
        // The kernel ends the child with the thread that spawned it, so that must be one that lasts.
        let fresh = fresh.spawn()?;
        let (url, fresh) = tokio::task::spawn_blocking(move || fresh.wait()).await??;
        Ok(Self {
            url,
            fresh: Some(fresh),
        })
    }

    /// Whether it was started for this run, in an empty workspace of its own.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }
}

/// Whether a platform is ready there.
async fn answers(url: &str) -> bool {
    let http = chassis::client::http();
    let asked = http
        .get(format!("{url}/health/ready"))
        .timeout(Duration::from_secs(5));
    asked
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// `clarion up` as a child, on a free port and an empty folder.
#[derive(Debug)]
struct Fresh {
    folder: TempDir,
    address: String,
    child: Option<Child>,
}

impl Fresh {
    fn prepare() -> anyhow::Result<Self> {
        // The private Postgres runs as another user, who must be able to enter.
        let open = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new()
            .prefix("clarion-demo-")
            .permissions(open)
            .tempdir()
            .context("cannot make a temporary folder")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        Ok(Self {
            folder,
            address: format!("127.0.0.1:{port}"),
            child: None,
        })
    }

    /// Starts it with settings of its own: nothing in this environment, nor a `.env` file here, may
    /// make it work on anybody's real data.
    fn spawn(mut self) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(["up", "--http-addr", &self.address, "--data-dir"])
            .arg(self.folder.path().join("data"))
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| PASSED_ON.contains(&name.as_str())))
            .current_dir(self.folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(File::create(self.path("ready"))?)
            .stderr(File::create(self.path("log"))?);
        self.child = Some(
            command
                .spawn()
                .context("cannot run setpriv (package util-linux)")?,
        );
        Ok(self)
    }

    /// Waits for the line `ready <url>`.
    fn wait(mut self) -> anyhow::Result<(String, Self)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(url) = ready_url(&self.path("ready")) {
                return Ok((url, self));
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!(
                    "a fresh platform did not start ({status}): {}",
                    last_line(&self.path("log"))
                );
            }
            if Instant::now() >= deadline {
                bail!(
                    "a fresh platform is not ready: {}",
                    last_line(&self.path("log"))
                );
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What a child needs of this environment to find programs and to write files.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LANG", "RUST_LOG"];

impl Drop for Fresh {
    /// Asks it to stop and waits, so that its servers are gone before their folder is.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // Fails only when it is gone already.
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = child.kill();
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn ready_url(output: &Path) -> Option<String> {
    let lines = BufReader::new(File::open(output).ok()?).lines();
    let mut lines = lines.map_while(Result::ok);
    lines.find_map(|line| Some(line.strip_prefix("ready ")?.trim().to_owned()))
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    last.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_platform_that_was_named_is_not_replaced() {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .unwrap()
            .port();
        let url = format!("http://127.0.0.1:{port}");
        let refused = Platform::find_or_start(&url, true).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("no platform answers at {url}"));
    }

    #[test]
    fn a_child_that_ends_is_told_by_its_last_words() {
        let mut fresh = Fresh::prepare().unwrap();
        std::fs::write(fresh.path("ready"), "").unwrap();
        std::fs::write(fresh.path("log"), "one\nclarion: no port\n\n").unwrap();
        fresh.child = Some(Command::new("false").spawn().unwrap());
        let refused = fresh.wait().unwrap_err().to_string();
        assert!(
            refused.ends_with("(exit status: 1): clarion: no port"),
            "{refused}"
        );
    }

    #[test]
    fn a_ready_line_names_the_url_and_the_child_ends_with_the_platform() {
        let mut fresh = Fresh::prepare().unwrap();
        std::fs::write(fresh.path("ready"), "ready http://127.0.0.1:1\n").unwrap();
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        fresh.child = Some(child);
        let (url, fresh) = fresh.wait().unwrap();
        let folder = fresh.folder.path().to_owned();
        assert_eq!(url, "http://127.0.0.1:1");
        drop(fresh);
        assert!(!folder.exists() && !Path::new(&format!("/proc/{pid}")).exists());
    }
}
