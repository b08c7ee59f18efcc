use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Error, child::poll, user::RunAs};

/// Logs past this size begin anew at the next start.
const LOG_LIMIT: u64 = 16 << 20;

/// Creates the folder when needed and says its absolute path.
pub(crate) fn create(folder: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::canonicalize(folder))
        .map_err(|source| unwritable(folder, source))
}

/// Gives the folder to the child's user alone, as Postgres demands.
pub(crate) fn hand_over(folder: &Path, user: &RunAs) -> Result<(), Error> {
    user.own(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
        .map_err(|source| unwritable(folder, source))
}

/// Waits until no `program` works in this folder any more: the servers of a killed parent need a
/// moment to shut down, and two servers on one folder would destroy it.
pub(crate) fn wait_until_free(
    folder: &Path,
    program: &str,
    patience: Duration,
) -> Result<(), Error> {
    poll(patience, || {
        user_of(folder, program).is_none().then_some(())
    })
    .ok_or_else(|| Error::InUse {
        folder: folder.to_owned(),
        pid: user_of(folder, program).unwrap_or_default(),
    })
}

/// The lowest pid of a `program` whose working directory is this folder. Both servers enter
/// their data folder at start, so this holds even where a pid file is stale or its number reused.
fn user_of(folder: &Path, program: &str) -> Option<i32> {
    let entries = fs::read_dir("/proc").ok()?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == program)
                && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
        })
        .min()
}

/// A server's log and where the present run began in it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    from: u64,
}

impl Log {
    /// Opens the log for a new run; the file goes to the child's stdout and stderr.
    pub(crate) fn open(path: PathBuf, user: &RunAs) -> Result<(Self, File), Error> {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|source| unwritable(&path, source))?;
        user.own(&path)?;
        let from = Self::begin(&file).map_err(|source| unwritable(&path, source))?;
        Ok((Self { path, from }, file))
    }

    fn begin(file: &File) -> io::Result<u64> {
        let length = file.metadata()?.len();
        if length <= LOG_LIMIT {
            return Ok(length);
        }
        file.set_len(0)?;
        Ok(0)
    }

    /// What the present run has said so far.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.path)
            && file.seek(SeekFrom::Start(self.from)).is_ok()
        {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The line that explains a failed start: the last complaint, or else the last line.
pub(crate) fn last_line(text: &str) -> String {
    let complains = |line: &&str| {
        ["FATAL", "PANIC", "rror:", "Fatal"]
            .iter()
            .any(|mark| line.contains(mark))
    };
    let mut lines = text
        .lines()
        .rev()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let last = lines.clone().next().unwrap_or("it said nothing");
    lines.find(complains).unwrap_or(last).to_owned()
}

/// A port on 127.0.0.1 that nothing listens on right now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

pub(crate) fn unwritable(folder: &Path, source: io::Error) -> Error {
    Error::Unwritable {
        folder: folder.to_owned(),
        source,
    }
}
