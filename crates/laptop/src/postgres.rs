use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Error,
    binaries::{self, Installation},
    folder,
    server::{Program, Server},
    user::RunAs,
};

const IN_USE_PATIENCE: Duration = Duration::from_secs(10);

/// How a private Postgres is to run.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub data_dir: PathBuf,
    /// `None` chooses a free port.
    pub port: Option<u16>,
    pub max_connections: u32,
    /// Whether a commit must survive a power cut. Tests say no and run faster; even then a commit
    /// survives the death of Postgres itself, so tests may crash it.
    pub durable: bool,
    /// More `name=value` settings, which win over ours.
    pub settings: Vec<(String, String)>,
    /// Where to look for `postgres` and `initdb`; empty searches `PATH` and Debian's folders.
    pub bin_dirs: Vec<PathBuf>,
    /// How long a start may take, crash recovery included.
    pub patience: Duration,
}

impl PostgresOptions {
    /// Durable, 100 connections, on a free port.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: None,
            max_connections: 100,
            durable: true,
            settings: Vec::new(),
            bin_dirs: Vec::new(),
            patience: Duration::from_secs(60),
        }
    }
}

/// A running private Postgres; its superuser is `clarion`, trusted on 127.0.0.1 and by the
/// socket.
#[derive(Debug)]
pub struct Postgres {
    server: Server<Cluster>,
}

impl Postgres {
    /// Starts Postgres, making the data folder on the first start, and returns once it answers.
    pub fn start(options: PostgresOptions) -> Result<Self, Error> {
        let port = options.port;
        let server = Server::start(Cluster::prepare(options)?, port)?;
        Ok(Self { server })
    }

    /// The URL of the database `postgres`.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// The URL of another database on this server: by the socket in its data folder, which costs
    /// each statement less than TCP, or by 127.0.0.1 where the folder's path is too long for one.
    pub fn database_url(&self, database: &str) -> String {
        let folder = self.server.program().folder();
        let host = match socket_fits(folder) {
            true => encoded(folder),
            false => "127.0.0.1".to_owned(),
        };
        format!("postgres://clarion@{host}:{}/{database}", self.port())
    }

    /// The URL of a database on the server that runs in this data folder, whoever started it.
    pub fn url_in(data_dir: &Path, database: &str) -> Option<String> {
        let status = fs::read_to_string(pid_file(data_dir)).ok()?;
        let port: u16 = status.lines().nth(3)?.trim().parse().ok()?;
        Some(format!("postgres://clarion@127.0.0.1:{port}/{database}"))
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Copies the running server into `data_dir`, which must be empty, with `pg_basebackup`: a
    /// [`start`](Self::start) on that folder is a streaming replica, for which `slot` keeps what
    /// it has not read.
    pub fn copy_for_replica(&self, data_dir: &Path, slot: &str) -> Result<(), Error> {
        let cluster = self.server.program();
        let data_dir = folder::create(data_dir)?;
        let user = RunAs::pick(&data_dir)?.reach(&data_dir)?;
        folder::hand_over(&data_dir, &user)?;
        let mut command = user.command("KILL");
        command.arg(cluster.beside("pg_basebackup"));
        command.arg("--pgdata").arg(&data_dir);
        command.args(["--dbname", &self.url(), "--write-recovery-conf"]);
        command.args(["--create-slot", "--slot", slot, "--checkpoint", "fast"]);
        if !cluster.options.durable {
            command.arg("--no-sync");
        }
        finish(command, "pg_basebackup", &data_dir)
    }

    /// Fast shutdown: open transactions are rolled back, everything committed is written.
    pub fn stop(self) {
        self.server.stop();
    }

    /// Ends it as `pg_ctl stop -m immediate` does: as a crash, recovered at the next start.
    pub fn stop_immediate(&mut self) {
        self.server.stop_immediate();
    }

    /// Starts it again after `stop_immediate` or a death of its own: same port, same data.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.server.start_again()
    }

    /// Resolves with how Postgres ended, should it end without being asked to.
    pub fn exited(&self) -> impl Future<Output = String> + Send + use<> {
        self.server.exited()
    }
}

#[derive(Debug)]
struct Cluster {
    options: PostgresOptions,
    bin: PathBuf,
    user: RunAs,
}

impl Cluster {
    /// Finds the binaries and brings the data folder into a state that `postgres` can start on.
    fn prepare(mut options: PostgresOptions) -> Result<Self, Error> {
        let found = binaries::postgres(&options.bin_dirs)?;
        options.data_dir = folder::create(&options.data_dir)?;
        let dir = &options.data_dir;
        folder::wait_until_free(dir, "postgres", IN_USE_PATIENCE)?;
        let user = RunAs::pick(dir)?.reach(dir)?;
        let bin = match state(dir)? {
            State::Empty => {
                let bin = found[0].bin.clone();
                initialise(&bin, &user, dir, options.durable)?;
                bin
            }
            State::Made(version) => matching(&found, dir, &version)?,
        };
        folder::hand_over(dir, &user)?;
        forget_dead(dir)?;
        Ok(Self { options, bin, user })
    }
}

impl Cluster {
    /// Another program of this Postgres. What is on the search path may be a link to one of them.
    fn beside(&self, program: &str) -> PathBuf {
        let here = self.bin.join(program);
        let real = fs::canonicalize(self.bin.join("postgres"));
        match real {
            Ok(postgres) if !here.is_file() => postgres.with_file_name(program),
            _ => here,
        }
    }
}

impl Program for Cluster {
    const NAME: &'static str = "postgres";
    const STOP: Signal = Signal::SIGINT;
    const IMMEDIATE: Signal = Signal::SIGQUIT;

    fn command(&self, port: u16) -> Command {
        let mut command = self.user.command("INT");
        command
            .arg(self.bin.join("postgres"))
            .arg("-D")
            .arg(&self.options.data_dir);
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", "127.0.0.1");
        set("port", &port.to_string());
        let socket = &self.options.data_dir;
        let folders = if socket_fits(socket) { "." } else { "" };
        set("unix_socket_directories", folders);
        set("max_connections", &self.options.max_connections.to_string());
        set("timezone", "UTC");
        set("log_timezone", "UTC");
        // The defaults are for machines of 2005: a campaign would push its own rows out of the
        // cache and end in the middle of a checkpoint.
        set("shared_buffers", "256MB");
        set("max_wal_size", "2GB");
        set("checkpoint_timeout", "15min");
        if !self.options.durable {
            set("fsync", "off");
            set("full_page_writes", "off");
        }
        for (name, value) in &self.options.settings {
            set(name, value);
        }
        command
    }

    /// Reads the postmaster's own status line, as `pg_ctl` does.
    fn ready(&self, pid: i32, _port: u16) -> bool {
        let status = fs::read_to_string(pid_file(&self.options.data_dir)).unwrap_or_default();
        let mut lines = status.lines();
        lines.next() == Some(&pid.to_string())
            && lines.nth(6).is_some_and(|line| line.trim() == "ready")
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

enum State {
    Empty,
    Made(String),
}

fn state(dir: &Path) -> Result<State, Error> {
    let damaged = |why: &str| Error::Damaged {
        folder: dir.to_owned(),
        why: why.to_owned(),
    };
    if let Ok(version) = fs::read_to_string(dir.join("PG_VERSION")) {
        return match version.trim() {
            "" => Err(damaged("PG_VERSION is empty")),
            version => Ok(State::Made(version.to_owned())),
        };
    }
    let mut entries = fs::read_dir(dir).map_err(|error| folder::unwritable(dir, error))?;
    match entries.next() {
        None => Ok(State::Empty),
        Some(_) => Err(damaged("it is not empty, and PG_VERSION is missing")),
    }
}

fn matching(found: &[Installation], dir: &Path, version: &str) -> Result<PathBuf, Error> {
    let fitting = found.iter().find(|one| one.version.to_string() == version);
    fitting
        .map(|one| one.bin.clone())
        .ok_or_else(|| Error::OtherVersion {
            folder: dir.to_owned(),
            version: version.to_owned(),
        })
}

/// Runs `initdb` beside the data folder and moves the result into place, so that a start that is
/// cut off never leaves half a cluster behind.
fn initialise(bin: &Path, user: &RunAs, dir: &Path, durable: bool) -> Result<(), Error> {
    let mut fresh = dir.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(|error| folder::unwritable(&fresh, error))?;
    }
    folder::create(&fresh)?;
    folder::hand_over(&fresh, user)?;
    run_initdb(bin, user, &fresh, durable)?;
    fs::rename(&fresh, dir).map_err(|error| folder::unwritable(dir, error))
}

fn run_initdb(bin: &Path, user: &RunAs, fresh: &Path, durable: bool) -> Result<(), Error> {
    let mut command = user.command("KILL");
    command.arg(bin.join("initdb")).arg("-D").arg(fresh);
    command.args([
        "-U",
        "clarion",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]);
    if !durable {
        command.arg("--no-sync");
    }
    finish(command, "initdb", fresh)
}

/// Runs a program to its end.
fn finish(mut command: Command, program: &'static str, log: &Path) -> Result<(), Error> {
    let output = command
        .output()
        .map_err(|source| Error::spawn(program, source))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last_line = folder::last_line(&said);
    Err(Error::Failed {
        program,
        last_line,
        log: log.to_owned(),
    })
}

/// Removes what names the process of a dead server: its pid file and its sockets' locks. Its number
/// may belong to another process by now, and Postgres would then refuse to start; that no server
/// works on this folder is known already.
fn forget_dead(dir: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(dir).map_err(|error| folder::unwritable(dir, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| folder::unwritable(dir, error))?;
        let name = entry.file_name();
        let name = name.as_bytes();
        if name == b"postmaster.pid" || name.starts_with(b".s.PGSQL.") {
            fs::remove_file(entry.path()).map_err(|error| folder::unwritable(dir, error))?;
        }
    }
    Ok(())
}

/// Whether Postgres can make its socket there: the whole path has to fit into a `sockaddr_un`.
fn socket_fits(dir: &Path) -> bool {
    const LONGEST: usize = 107;
    dir.as_os_str().len() + "/.s.PGSQL.65535".len() <= LONGEST
}

/// A folder as the host of a URL, as libpq reads it (PostgreSQL, 34.1.1.2).
fn encoded(dir: &Path) -> String {
    let bytes = dir.as_os_str().as_bytes().iter();
    let each = bytes.map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(*byte).into(),
        _ => format!("%{byte:02X}"),
    });
    each.collect()
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join("postmaster.pid")
}
