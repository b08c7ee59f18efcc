use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Error, binaries, folder,
    server::{Program, Server},
    user::RunAs,
};

const IN_USE_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);

/// How a private Redis is to run.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    pub data_dir: PathBuf,
    /// `None` chooses a free port.
    pub port: Option<u16>,
    /// Whether data outlives the process (append-only file). Tests say no.
    pub durable: bool,
    /// How many numbered databases there are.
    pub databases: u32,
    /// Where to look for `redis-server`; empty searches `PATH`.
    pub bin_dirs: Vec<PathBuf>,
    pub patience: Duration,
}

impl RedisOptions {
    /// Durable, 16 databases, on a free port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: None,
            durable: true,
            databases: 16,
            bin_dirs: Vec::new(),
            patience: Duration::from_secs(30),
        }
    }
}

/// A running private Redis on 127.0.0.1.
#[derive(Debug)]
pub struct Redis {
    server: Server<Store>,
}

impl Redis {
    /// Starts Redis and returns once it answers.
    pub fn start(mut options: RedisOptions) -> Result<Self, Error> {
        let binary = binaries::redis(&options.bin_dirs)?;
        options.data_dir = folder::create(&options.data_dir)?;
        let dir = &options.data_dir;
        folder::wait_until_free(dir, "redis-server", IN_USE_PATIENCE)?;
        let user = RunAs::pick(dir)?.reach(dir)?;
        folder::hand_over(dir, &user)?;
        let port = options.port;
        let server = Server::start(
            Store {
                options,
                binary,
                user,
            },
            port,
        )?;
        Ok(Self { server })
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Shuts down in order; a durable Redis writes everything first.
    pub fn stop(self) {
        self.server.stop();
    }

    /// Kills it outright, as a crash would.
    pub fn stop_immediate(&mut self) {
        self.server.stop_immediate();
    }

    /// Starts it again after `stop_immediate` or a death of its own: same port, same folder.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.server.start_again()
    }

    /// Resolves with how Redis ended, should it end without being asked to.
    pub fn exited(&self) -> impl Future<Output = String> + Send + use<> {
        self.server.exited()
    }
}

#[derive(Debug)]
struct Store {
    options: RedisOptions,
    binary: PathBuf,
    user: RunAs,
}

impl Program for Store {
    const NAME: &'static str = "redis";
    const STOP: Signal = Signal::SIGTERM;
    const IMMEDIATE: Signal = Signal::SIGKILL;

    fn command(&self, port: u16) -> Command {
        let mut command = self.user.command("TERM");
        let append = if self.options.durable { "yes" } else { "no" };
        command
            .arg(&self.binary)
            .args(["--bind", "127.0.0.1", "--daemonize", "no"]);
        command.args([
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            append,
        ]);
        command.args(["--databases", &self.options.databases.to_string()]);
        command.arg("--dir").arg(&self.options.data_dir);
        command
    }

    fn ready(&self, pid: i32, port: u16) -> bool {
        answering_pid(port) == Some(pid)
    }

    fn folder(&self) -> &Path {
        &self.options.data_dir
    }

    fn user(&self) -> &RunAs {
        &self.user
    }

    fn patience(&self) -> Duration {
        self.options.patience
    }
}

/// The pid of the Redis that answers on this port and has loaded its data.
fn answering_pid(port: u16) -> Option<i32> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_PATIENCE).ok()?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE)).ok()?;
    stream.write_all(b"PING\r\nINFO server\r\nQUIT\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with("+PONG") {
        return None;
    }
    answer
        .lines()
        .find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok())
}
