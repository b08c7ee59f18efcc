use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

/// The oldest PostgreSQL that Clarion runs on.
const OLDEST_POSTGRES: u32 = 15;

/// A folder with `initdb` and `postgres` in it, and their major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) bin: PathBuf,
    pub(crate) version: u32,
}

/// Every usable PostgreSQL, best first: the search path, then Debian's folders, newest first.
/// `given` folders replace that search.
pub(crate) fn postgres(given: &[PathBuf]) -> Result<Vec<Installation>, Error> {
    let folders = if given.is_empty() {
        search_path()
            .chain(debian_folders(Path::new("/usr/lib/postgresql")))
            .collect()
    } else {
        given.to_vec()
    };
    let found: Vec<_> = folders.iter().filter_map(|bin| installation(bin)).collect();
    if found.is_empty() {
        return Err(Error::MissingBinary {
            program: "postgres 15+",
            package: "postgresql",
        });
    }
    Ok(found)
}

/// `redis-server`, in the given folders or on the search path.
pub(crate) fn redis(given: &[PathBuf]) -> Result<PathBuf, Error> {
    let folders: Vec<_> = if given.is_empty() {
        search_path().collect()
    } else {
        given.to_vec()
    };
    folders
        .into_iter()
        .map(|folder| folder.join("redis-server"))
        .find(|file| file.is_file())
        .ok_or(Error::MissingBinary {
            program: "redis-server",
            package: "redis-server",
        })
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn debian_folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

fn installation(bin: &Path) -> Option<Installation> {
    let program = bin.join("postgres");
    if !program.is_file() || !bin.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(program).arg("--version").output().ok()?;
    let version = major(&String::from_utf8_lossy(&output.stdout))?;
    (version >= OLDEST_POSTGRES).then(|| Installation {
        bin: bin.to_owned(),
        version,
    })
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major(text: &str) -> Option<u32> {
    let number = text.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_spelling() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("postgres: command not found"), None);
    }

    #[test]
    fn debian_folders_come_newest_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "9", "17"] {
            fs::create_dir(root.path().join(version)).unwrap();
        }
        let found = debian_folders(root.path());
        let names: Vec<_> = found
            .iter()
            .map(|p| p.strip_prefix(root.path()).unwrap())
            .collect();
        assert_eq!(
            names,
            [Path::new("17/bin"), Path::new("15/bin"), Path::new("9/bin")]
        );
    }
}
