//! Programs of others, as children that end with the measurement.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a child may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that is not installed.
#[derive(Debug, thiserror::Error)]
#[error("skipped: install {package} ({program} is missing)")]
pub(crate) struct Missing {
    pub(crate) program: &'static str,
    /// The Debian package that has it.
    pub(crate) package: &'static str,
}

/// Where a program is: on the search path, or where only root looks.
pub(crate) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut places = folders.map(|folder| folder.join(program));
    places
        .find(|place| place.is_file())
        .ok_or(Missing { program, package })
}

/// A command that the kernel ends with us, should we be killed. The signal follows the thread
/// that spawns it, so that must not be one of a pool.
pub(crate) fn guarded(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// The same as a user who may do nothing, if we are root; by Linux's custom that is `nobody`.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return guarded(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// A running child. It is asked to stop, and waited for, when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: &'static str,
}

impl Running {
    pub(crate) fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        // In a group of its own: Ctrl-C is for us, and we tell the children.
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot run {name}"))?;
        Ok(Self { child, name })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `ready` says something; fails when the child ends before that.
    pub(crate) async fn until<T>(
        &mut self,
        pause: Duration,
        mut ready: impl AsyncFnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ready().await {
                return Ok(found);
            }
            if let Some(status) = self.ended() {
                bail!("{} ended early ({status})", self.name);
            }
            if Instant::now() >= deadline {
                bail!("{} is not ready", self.name);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits until it listens.
    pub(crate) async fn until_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let connect = async || tokio::net::TcpStream::connect(address).await.ok();
        self.until(Duration::from_millis(10), connect)
            .await
            .map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it is gone already.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Runs a command to its end and answers what it printed.
pub(crate) async fn output(name: &'static str, command: Command) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An address that nobody listens on at the moment.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_names_its_package() {
        let missing = find("no-such-program", "nothing").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "skipped: install nothing (no-such-program is missing)"
        );
        assert!(find("sh", "dash").is_ok());
    }

    #[test]
    fn a_child_is_gone_when_it_is_dropped() {
        let mut command = guarded(Path::new("sleep"));
        command.arg("600");
        let running = Running::start("sleep", command).unwrap();
        let process = PathBuf::from(format!("/proc/{}", running.pid()));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists());
    }

    #[tokio::test]
    async fn a_child_that_ends_is_not_waited_for() {
        let mut running = Running::start("false", guarded(Path::new("false"))).unwrap();
        let never = async || None::<()>;
        let error = running
            .until(Duration::from_millis(5), never)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("ended early"), "{error}");
    }

    #[tokio::test]
    async fn a_failed_program_is_told_in_its_own_words() {
        let mut command = guarded(Path::new("sh"));
        command.args(["-c", "echo no such size >&2; exit 3"]);
        let error = output("sh", command).await.unwrap_err().to_string();
        assert!(error.contains("no such size"), "{error}");
    }
}
