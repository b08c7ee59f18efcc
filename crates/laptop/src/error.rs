use std::{io, path::PathBuf};

/// Why a private server is not running. Each reads as one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{program} not found: install the Debian package {package}")]
    MissingBinary {
        program: &'static str,
        package: &'static str,
    },
    #[error("there is no unprivileged user to run Postgres as: create the user `postgres`")]
    NoUser,
    #[error("data folder {} cannot be used: {source}", folder.display())]
    Unwritable { folder: PathBuf, source: io::Error },
    #[error(
        "data folder {} cannot be reached by user {user}: {} may not be entered; \
         choose another data folder or `chmod o+x {}`",
        folder.display(), barred.display(), barred.display()
    )]
    Untraversable {
        folder: PathBuf,
        barred: PathBuf,
        user: String,
    },
    #[error("data folder {} is damaged: {why}", folder.display())]
    Damaged { folder: PathBuf, why: String },
    #[error(
        "data folder {} was made by PostgreSQL {version}, which is not installed: \
         install the Debian package postgresql-{version} or choose another data folder",
        folder.display()
    )]
    OtherVersion { folder: PathBuf, version: String },
    #[error("data folder {} in use by process {pid}", folder.display())]
    InUse { folder: PathBuf, pid: i32 },
    #[error("port {port} on 127.0.0.1 is taken: {program} cannot listen there")]
    PortTaken { program: &'static str, port: u16 },
    #[error("{program} could not be run: {source}")]
    Spawn {
        program: &'static str,
        source: io::Error,
    },
    #[error("{program} did not start: {last_line} (log: {})", log.display())]
    Failed {
        program: &'static str,
        last_line: String,
        log: PathBuf,
    },
    #[error("{program} was not ready after {seconds} s (log: {})", log.display())]
    NotReady {
        program: &'static str,
        seconds: u64,
        log: PathBuf,
    },
    #[error("{program} is already running as process {pid}")]
    AlreadyRunning { program: &'static str, pid: i32 },
}

impl Error {
    /// Why `program` could not be run. Everything is run through `setpriv`, so a file that is not
    /// found is that one.
    pub(crate) fn spawn(program: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::MissingBinary {
                program: "setpriv",
                package: "util-linux",
            },
            _ => Self::Spawn { program, source },
        }
    }
}
