//! Settings: defaults < `.env` file < environment < command line, read once, every bad key named.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use common::auth::Service;
use common::values::Secret;
use url::Url;

use crate::tls;

/// Where settings come from. Later layers win.
#[derive(Clone, Debug, Default)]
pub struct Source {
    values: HashMap<String, String>,
    /// What was wrong with a layer as a whole.
    problems: Vec<String>,
}

impl Source {
    /// The `.env` file of the working directory, if there is one, below the environment.
    pub fn from_process() -> Self {
        let mut source = Self::default();
        source.take_file(Path::new(".env"));
        // A variable that is not UTF-8 is none of ours.
        let environment = std::env::vars_os();
        let texts = environment
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        source.values.extend(texts);
        source
    }

    /// Adds what a file in `.env` format says; that it is absent is no problem.
    fn take_file(&mut self, path: &Path) {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return,
            Err(error) => {
                self.problems.push(format!("{}: {error}", path.display()));
                return;
            }
        };
        for line in lines {
            match line {
                Ok((key, value)) => {
                    self.values.insert(key, value);
                }
                Err(error) => self.problems.push(format!("{}: {error}", path.display())),
            }
        }
    }

    /// Adds a layer on top: the command line, or a test's own values.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.values.insert(key.to_owned(), value.into());
        self
    }

    /// Starts reading; finish with [`Reader::finish`].
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            source: self,
            problems: self.problems.clone(),
        }
    }
}

/// Every setting that could not be used, in one error.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad settings: {}", .0.join("; "))]
pub struct BadSettings(pub Vec<String>);

/// Reads typed values and remembers every problem, so that all are named at once.
#[derive(Debug)]
pub struct Reader<'a> {
    source: &'a Source,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The value of `key`, or `default`.
    pub fn or<T: FromStr<Err: Display>>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of `key`, if it is set and not empty.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{key}: {error}"));
                None
            }
        }
    }

    /// The URL in `key`, which must be set.
    pub fn url(&mut self, key: &str) -> Url {
        self.optional(key).unwrap_or_else(|| {
            self.missing(key);
            Url::parse("http://unset.invalid").expect("a constant URL")
        })
    }

    /// The URL of another service in `key`, which must be set.
    pub fn peer(&mut self, key: &str) -> Url {
        let url = self.url(key);
        self.believed(key, &url);
        url
    }

    /// The URL of another service in `key`, if it is set.
    pub fn optional_peer(&mut self, key: &str) -> Option<Url> {
        let url = self.optional(key)?;
        self.believed(key, &url);
        Some(url)
    }

    /// Nobody inside is believed unless somebody says who: such a service could never be asked.
    fn believed(&mut self, key: &str, url: &Url) {
        if url.scheme() == "https" && self.text(tls::AUTHORITY).is_none() {
            self.refuse(key, format!("{} must be set with https://", tls::AUTHORITY));
        }
    }

    /// The secret in `key`, or in the file that `<key>_FILE` names; it must be set.
    pub fn secret(&mut self, key: &str) -> Secret {
        self.optional_secret(key).unwrap_or_else(|| {
            self.missing(key);
            Secret::new("")
        })
    }

    /// The secret in `key`, or in the file that `<key>_FILE` names.
    pub fn optional_secret(&mut self, key: &str) -> Option<Secret> {
        let file_key = format!("{key}_FILE");
        let Some(path) = self.text(&file_key) else {
            return self.text(key).map(Secret::new);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(Secret::new(text.trim_end())),
            Err(error) => {
                self.problems
                    .push(format!("{file_key}: cannot read {path}: {error}"));
                None
            }
        }
    }

    /// Records a problem that a service found itself.
    pub fn refuse(&mut self, key: &str, why: impl Display) {
        self.problems.push(format!("{key}: {why}"));
    }

    /// The settings, unless anything was wrong with any of them.
    pub fn finish<S>(self, settings: S) -> Result<S, BadSettings> {
        if self.problems.is_empty() {
            Ok(settings)
        } else {
            Err(BadSettings(self.problems))
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.source
            .values
            .get(key)
            .filter(|text| !text.is_empty())
            .cloned()
    }

    /// Says that `key` is needed, unless its value was already found bad.
    fn missing(&mut self, key: &str) {
        if !self.problems.iter().any(|problem| problem.starts_with(key)) {
            self.problems.push(format!("{key}: must be set"));
        }
    }
}

/// Which kind of installation this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    #[default]
    Local,
    Dev,
    Prod,
}

impl FromStr for Environment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "local" => Ok(Self::Local),
            "dev" => Ok(Self::Dev),
            "prod" => Ok(Self::Prod),
            _ => Err("must be local, dev or prod"),
        }
    }
}

/// Where a server listens: an address, or a listener that was opened before.
#[derive(Debug)]
pub enum Listen {
    Address(SocketAddr),
    Opened(TcpListener),
}

impl Listen {
    /// The listener and its address.
    pub fn open(self) -> std::io::Result<(TcpListener, SocketAddr)> {
        let listener = match self {
            Self::Opened(listener) => listener,
            Self::Address(address) => TcpListener::bind(address).map_err(|error| {
                std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?,
        };
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}

/// The settings that every service has.
#[derive(Debug)]
pub struct Base {
    pub service: Service,
    pub environment: Environment,
    pub listen: Listen,
    /// With it, the service speaks TLS only.
    pub certificate: Option<tls::Files>,
    /// Who is believed of services that are asked over TLS.
    pub authority: Option<PathBuf>,
    /// Connects as this service's own role.
    pub database_url: Secret,
    /// Most connections this process opens.
    pub database_pool: u32,
    /// Absent: everything still works, only slower.
    pub redis_url: Option<Secret>,
    pub identity_url: Url,
    /// Proves to `identity` that we are a service of this installation.
    pub service_secret: Secret,
    /// HTTP worker threads.
    pub workers: usize,
    /// How long work in hand may take to end after a stop signal.
    pub drain: Duration,
    /// How long readiness fails before the listener closes, so that balancers notice in time.
    pub notice: Duration,
    pub clock: crate::Clock,
}

impl Base {
    /// Reads `<SERVICE>_HTTP_ADDR` and the settings all services share. See the crate's README.
    pub fn read(read: &mut Reader<'_>, service: Service, default_port: u16) -> Self {
        let name = service.as_str().to_uppercase();
        let address = read.or(
            &format!("{name}_HTTP_ADDR"),
            SocketAddr::from(([127, 0, 0, 1], default_port)),
        );
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            service,
            environment: read.or("CLARION_ENV", Environment::Local),
            listen: Listen::Address(address),
            certificate: tls::Files::read(read, service),
            authority: read.optional(tls::AUTHORITY),
            database_url: match service {
                // The only one without a database.
                Service::Gateway => Secret::new(""),
                _ => read.secret("DATABASE_URL"),
            },
            database_pool: read.or("DATABASE_POOL", 8),
            redis_url: read.optional_secret("REDIS_URL"),
            identity_url: match service {
                Service::Identity => {
                    Url::parse(&format!("http://{address}")).expect("an address makes a URL")
                }
                _ => read.peer("IDENTITY_URL"),
            },
            service_secret: read.secret("CLARION_SERVICE_SECRET"),
            workers: read.or("HTTP_WORKERS", cores),
            drain: Duration::from_secs(read.or("DRAIN_SECONDS", 20)),
            notice: Duration::from_secs(read.or("STOP_NOTICE_SECONDS", 0)),
            clock: crate::Clock::System,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_key_is_named_at_once() {
        let source = Source::default()
            .with("LEADS_HTTP_ADDR", "nowhere")
            .with("CLARION_ENV", "moon");
        let mut read = source.reader();
        let base = Base::read(&mut read, Service::Leads, 8083);
        let text = read
            .finish(base)
            .expect_err("four keys are bad")
            .to_string();
        for key in [
            "LEADS_HTTP_ADDR",
            "CLARION_ENV",
            "DATABASE_URL",
            "IDENTITY_URL",
            "CLARION_SERVICE_SECRET",
        ] {
            assert!(text.contains(key), "{key} in {text}");
        }
    }

    #[test]
    fn a_secret_comes_from_its_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "hunter2\n").expect("writable");
        let path = file.path().to_string_lossy().into_owned();
        let source = Source::default().with("X", "from env").with("X_FILE", path);
        assert_eq!(source.reader().secret("X"), Secret::new("hunter2"));
    }

    #[test]
    fn a_bad_line_of_a_dot_env_file_is_named_and_the_others_are_taken() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "A_KEY=one\nB KEY=two\nC_KEY=three\n").expect("writable");
        let mut source = Source::default();
        source.take_file(file.path());
        source.take_file(Path::new("/nowhere/.env"));
        let mut read = source.reader();
        assert_eq!(read.or("A_KEY", String::new()), "one");
        assert_eq!(read.or("C_KEY", String::new()), "three");
        let BadSettings(problems) = read.finish(()).expect_err("the second line is bad");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("B KEY"), "{problems:?}");
    }

    #[test]
    fn a_missing_secret_file_is_named() {
        let source = Source::default().with("X_FILE", "/nowhere/at/all");
        let mut read = source.reader();
        read.secret("X");
        let BadSettings(problems) = read.finish(()).expect_err("the file is not there");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("X_FILE: cannot read /nowhere/at/all"));
    }
}
