//! Logs: JSON lines in production, readable ones on a laptop.

use std::io::IsTerminal;

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
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
        let colours = std::io::stderr().is_terminal();
        if let Err(error) = self.writer(std::io::stderr, colours).try_init() {
            eprintln!("logs were already started: {error}");
        }
    }

    /// What writes to `place`: a line for each event, in UTC to the microsecond. In JSON a value
    /// stays inside its field, whatever is in it.
    fn writer<W>(&self, place: W, colours: bool) -> Dispatch
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let filter =
            EnvFilter::try_new(&self.filter).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(place)
            .with_ansi(colours);
        match self.json {
            true => builder.json().flatten_event(true).finish().into(),
            false => builder.compact().finish().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn written(settings: &LogSettings, work: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let place = Mutex::new(file.reopen().expect("the same file"));
        tracing::dispatcher::with_default(&settings.writer(place, false), work);
        std::fs::read_to_string(file.path()).expect("a text")
    }

    fn production() -> LogSettings {
        let source = crate::settings::Source::default().with("CLARION_ENV", "prod");
        let mut read = source.reader();
        let settings = LogSettings::read(&mut read);
        read.finish(settings).expect("good settings")
    }

    #[test]
    fn a_value_stays_in_its_field_whatever_is_in_it() {
        let hostile = "x\"}\n{\"level\":\"INFO\",\"message\":\"somebody signed in\"}\u{1b}[2J\r";
        let text = written(&production(), || {
            tracing::info!(agent = hostile, "a request was refused");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON value");
        assert_eq!(line["agent"], hostile);
        assert_eq!(line["message"], "a request was refused");
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    }

    #[test]
    fn production_logs_json_in_utc_to_the_microsecond() {
        let text = written(&production(), || {
            tracing::debug!("left out");
            tracing::warn!(job.id = 7, "a job is late");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON value");
        assert_eq!(
            (&line["level"], &line["job.id"]),
            (&"WARN".into(), &7.into())
        );
        let time = line["timestamp"].as_str().expect("a time");
        assert_eq!((time.len(), time.ends_with('Z')), (27, true), "{time}");
        let age = chrono::Utc::now()
            - time
                .parse::<chrono::DateTime<chrono::Utc>>()
                .expect("RFC 3339");
        assert!(age.num_seconds().abs() < 60, "{time}");
    }
}
