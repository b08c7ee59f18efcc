//! Logs: JSON lines in production, readable ones on a laptop.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{Environment, Reader};

/// Ours in full; actix counts its workers at every start, which tells an operator nothing.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// How logs are written. Set up by `main` only, never inside a library.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `tracing` directives, such as `info,leads=debug`.
    pub filter: String,
    pub json: bool,
}

impl LogSettings {
    /// Reads `CLARION_LOG` and `CLARION_LOG_FORMAT` (`json` or `pretty`).
    pub fn read(read: &mut Reader<'_>) -> Self {
        let json_by_default = read.or("CLARION_ENV", Environment::Local) == Environment::Prod;
        let format: Option<String> = read.optional("CLARION_LOG_FORMAT");
        let json = match format.as_deref() {
            None => json_by_default,
            Some("json") => true,
            Some("pretty") => false,
            Some(_) => {
                read.refuse("CLARION_LOG_FORMAT", "must be json or pretty");
                false
            }
        };
        let filter = read.or("CLARION_LOG", DEFAULT_FILTER.to_owned());
        if let Err(error) = EnvFilter::try_new(&filter) {
            read.refuse("CLARION_LOG", error);
        }
        Self { filter, json }
    }

    /// Starts writing logs to stderr; stdout belongs to the program's own answers.
    pub fn start(&self) {
        let filter =
            EnvFilter::try_new(&self.filter).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let started = if self.json {
            builder.json().flatten_event(true).finish().try_init()
        } else {
            builder.compact().finish().try_init()
        };
        if let Err(error) = started {
            eprintln!("logs were already started: {error}");
        }
    }
}
