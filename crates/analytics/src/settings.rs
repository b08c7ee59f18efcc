//! What an operator may set.

use std::time::Duration;

use chassis::reads::ReplicaSettings;
use chassis::settings::{Base, Reader};
use common::auth::Service;
use common::token::Keyring;
use common::values::Secret;
use url::Url;

use crate::countries::Countries;
use crate::domain::address::AddressPolicy;
use crate::domain::ranges::Ranges;
use crate::jobs::maintain::Past;
use crate::pipeline::Limits;

#[derive(Debug)]
pub struct Settings {
    pub base: Base,
    /// What may answer reports instead of the database.
    pub replica: ReplicaSettings,
    pub leads_url: Url,
    /// What links and libraries begin with.
    pub public_url: Url,
    pub keyring: Keyring,
    /// Salts the hashes of addresses.
    pub salt: Secret,
    pub address: AddressPolicy,
    /// Links in mails older than this lead nowhere.
    pub link_days: i64,
    /// Networks of data centres: no person's hits come from there.
    pub data_centres: Ranges,
    /// Where addresses are.
    pub countries: Countries,
    /// How often counts of visits are added to the database.
    pub visits_flush: Duration,
    /// Events are dropped after this many days; 0 keeps them.
    pub retention_days: u32,
    /// What becomes of days past that.
    pub past: Past,
    pub limits: Limits,
}

impl Settings {
    pub fn read(read: &mut Reader<'_>, port: u16) -> Self {
        let base = Base::read(read, Service::Analytics, port);
        let secret = read.secret("CLARION_LINK_SECRET");
        let mut keyring = Keyring::new(secret.clone());
        if let Some(old) = read.optional_secret("CLARION_LINK_SECRET_OLD") {
            keyring = keyring.and_accept(old);
        }
        let usual = Limits::default();
        Self {
            base,
            replica: ReplicaSettings::read(read),
            leads_url: read.peer("LEADS_URL"),
            public_url: read.url("CLARION_PUBLIC_URL"),
            keyring,
            salt: secret,
            address: read.or("ANALYTICS_ADDRESSES", AddressPolicy::Hash),
            data_centres: data_centres(read),
            link_days: read.or("ANALYTICS_LINK_DAYS", 730),
            countries: countries(read),
            visits_flush: Duration::from_secs(
                read.or("ANALYTICS_VISITS_FLUSH_SECONDS", 5).clamp(1, 3600),
            ),
            retention_days: read.or("ANALYTICS_RETENTION_DAYS", 730),
            past: read.or("ANALYTICS_RETENTION_ACTION", Past::Drop),
            limits: Limits {
                writers: read.or("ANALYTICS_WRITERS", usual.writers).clamp(1, 8),
                rows: read.or("ANALYTICS_QUEUE_ROWS", usual.rows).max(1),
                requests: read.or("ANALYTICS_QUEUE_REQUESTS", usual.requests).max(1),
                bytes: read.or("ANALYTICS_QUEUE_BYTES", usual.bytes).max(1),
            },
        }
    }
}

/// The database of addresses in the operator's file; none without one.
fn countries(read: &mut Reader<'_>) -> Countries {
    const KEY: &str = "ANALYTICS_COUNTRIES_FILE";
    let Some(path) = read.optional::<String>(KEY) else {
        return Countries::default();
    };
    Countries::open(&path).unwrap_or_else(|why| {
        read.refuse(KEY, format!("{path}: {why}"));
        Countries::default()
    })
}

/// The networks in the operator's file; none without one.
fn data_centres(read: &mut Reader<'_>) -> Ranges {
    const KEY: &str = "ANALYTICS_DATACENTER_RANGES_FILE";
    let Some(path) = read.optional::<String>(KEY) else {
        return Ranges::default();
    };
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let ranges = text.and_then(|text| text.parse());
    ranges.unwrap_or_else(|why: String| {
        read.refuse(KEY, format!("{path}: {why}"));
        Ranges::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::settings::Source;

    #[test]
    fn every_bad_setting_is_named_at_once() {
        let source = Source::default()
            .with("ANALYTICS_ADDRESSES", "some")
            .with("ANALYTICS_RETENTION_ACTION", "burn")
            .with("ANALYTICS_COUNTRIES_FILE", "/nowhere/at/all")
            .with("ANALYTICS_QUEUE_ROWS", "many")
            .with("ANALYTICS_LINK_DAYS", "-")
            .with("DATABASE_REPLICA_MAX_STALENESS_MS", "long");
        let mut read = source.reader();
        let settings = Settings::read(&mut read, 8085);
        let text = read.finish(settings).expect_err("bad settings").to_string();
        for key in [
            "ANALYTICS_ADDRESSES: must be hash, full or drop",
            "ANALYTICS_RETENTION_ACTION: must be drop or detach",
            "ANALYTICS_COUNTRIES_FILE: /nowhere/at/all: No such file",
            "ANALYTICS_QUEUE_ROWS",
            "ANALYTICS_LINK_DAYS",
            "DATABASE_REPLICA_MAX_STALENESS_MS",
            "LEADS_URL",
            "CLARION_PUBLIC_URL",
            "CLARION_LINK_SECRET",
        ] {
            assert!(text.contains(key), "{key} in {text}");
        }
    }

    #[test]
    fn a_bad_line_of_the_data_centres_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "192.0.2.0/24\n2001:db8::/129\n").expect("writable");
        let path = file.path().to_string_lossy().into_owned();
        for (path, why) in [
            (path.as_str(), "line 2: \"2001:db8::/129\" has a prefix"),
            ("/nowhere/at/all", "No such file"),
        ] {
            let source = Source::default().with("ANALYTICS_DATACENTER_RANGES_FILE", path);
            let mut read = source.reader();
            let settings = Settings::read(&mut read, 8085);
            let text = read.finish(settings).expect_err("bad settings").to_string();
            let named = format!("ANALYTICS_DATACENTER_RANGES_FILE: {path}: {why}");
            assert!(text.contains(&named), "{text}");
        }
    }
}
