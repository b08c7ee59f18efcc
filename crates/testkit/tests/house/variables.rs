//! The environment variables that the programs read, as their sources name them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::workspace::{files_below, programs, read, root, services};

/// What the programs read.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// Every name.
    pub(crate) known: BTreeSet<String>,
    /// By crate: what it does not start without.
    pub(crate) needed: BTreeMap<String, BTreeSet<String>>,
}

pub(crate) static VARIABLES: LazyLock<Variables> = LazyLock::new(Variables::find);

impl Variables {
    fn find() -> Self {
        let mut found = Self::default();
        let (programs, services) = (programs(), services());
        for folder in programs.iter().map(String::as_str).chain(["chassis"]) {
            for file in files_below(&root().join("crates").join(folder).join("src"), ".rs") {
                for line in code(&read(&file)) {
                    found.take(folder, &line, &services);
                }
            }
        }
        found
    }

    fn take(&mut self, folder: &str, line: &str, services: &BTreeSet<String>) {
        if line.contains("Base::read(") {
            let base = ["DATABASE_URL", "CLARION_SERVICE_SECRET", "IDENTITY_URL"];
            let base = base.into_iter().filter(|key| {
                // identity is where it listens itself, and the gateway has no database.
                ![("identity", "IDENTITY_URL"), ("gateway", "DATABASE_URL")]
                    .contains(&(folder, *key))
            });
            let needed = self.needed.entry(folder.to_owned()).or_default();
            needed.extend(base.map(str::to_owned));
        }
        for literal in line.split('"').skip(1).step_by(2) {
            for name in names(literal, services) {
                // Where a name is put together, it may be read in either way; certificates and
                // their keys are named by the place where they are.
                let together = name != literal && !name.contains("_TLS_");
                if line.contains("secret(") || together {
                    self.known.insert(format!("{name}_FILE"));
                }
                if [".url(", ".peer(", ".secret("]
                    .iter()
                    .any(|call| line.contains(call))
                {
                    let needed = self.needed.entry(folder.to_owned()).or_default();
                    needed.insert(name.clone());
                }
                self.known.insert(name);
            }
        }
    }
}

/// The lines of a source file that are neither comments nor its tests.
fn code(source: &str) -> Vec<String> {
    source
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect()
}

/// The variables that a string in the code names: itself, or one for each service when it has a
/// place for the service's name in it.
fn names(literal: &str, services: &BTreeSet<String>) -> Vec<String> {
    let filled: Vec<String> = match (literal.find('{'), literal.find('}')) {
        (Some(0), Some(end)) => services
            .iter()
            .map(|service| format!("{}{}", service.to_uppercase(), &literal[end + 1..]))
            .collect(),
        _ => vec![literal.to_owned()],
    };
    filled.into_iter().filter(|name| is_name(name)).collect()
}

/// Capitals, digits and at least one underscore between them.
pub(crate) fn is_name(text: &str) -> bool {
    text.contains('_')
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && !text.ends_with('_')
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The names that an `.env` file sets, and those in it that are commented out.
pub(crate) fn set_in(path: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut set, mut offered) = (BTreeSet::new(), BTreeSet::new());
    for line in read(path).lines() {
        let (line, into) = match line.strip_prefix('#') {
            Some(line) => (line, &mut offered),
            None => (line, &mut set),
        };
        if let Some((name, _)) = line.split_once('=').filter(|(name, _)| is_name(name)) {
            into.insert(name.to_owned());
        }
    }
    (set, offered)
}

#[test]
fn the_sources_name_what_they_read() {
    for name in [
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "LEADS_HTTP_ADDR",
        "MAILBOX_DATA_DIR",
        "CLARION_LOG_FORMAT",
    ] {
        assert!(VARIABLES.known.contains(name), "{name}");
    }
    assert!(!VARIABLES.known.contains("CLARION_LOG_FORMAT_FILE"));
    assert!(VARIABLES.needed["leads"].contains("CLARION_LINK_SECRET"));
}

#[test]
fn examples_of_settings_name_only_what_is_read() {
    for environment in ["local", "dev", "prod"] {
        let path = format!("deploy/config/{environment}/clarion.env");
        let (set, offered) = set_in(&path);
        assert!(set.contains("CLARION_ENV"), "{path}");
        for name in set.union(&offered) {
            assert!(
                VARIABLES.known.contains(name),
                "{path}: nobody reads {name}"
            );
        }
    }
}
