//! What an operator may set.

use chassis::reads::ReplicaSettings;
use chassis::settings::{Base, Reader};
use common::auth::Service;
use common::token::Keyring;
use common::values::Secret;
use url::Url;

use crate::domain::address::AddressPolicy;
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
    /// Events are dropped after this many days; 0 keeps them.
    pub retention_days: u32,
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
            leads_url: read.url("LEADS_URL"),
            public_url: read.url("CLARION_PUBLIC_URL"),
            keyring,
            salt: secret,
            address: read.or("ANALYTICS_ADDRESSES", AddressPolicy::Hash),
            link_days: read.or("ANALYTICS_LINK_DAYS", 730),
            retention_days: read.or("ANALYTICS_RETENTION_DAYS", 730),
            limits: Limits {
                writers: read.or("ANALYTICS_WRITERS", usual.writers).clamp(1, 8),
                rows: read.or("ANALYTICS_QUEUE_ROWS", usual.rows).max(1),
                requests: read.or("ANALYTICS_QUEUE_REQUESTS", usual.requests).max(1),
                bytes: read.or("ANALYTICS_QUEUE_BYTES", usual.bytes).max(1),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::settings::Source;

    #[test]
    fn every_bad_setting_is_named_at_once() {
        let source = Source::default()
            .with("ANALYTICS_ADDRESSES", "some")
            .with("ANALYTICS_QUEUE_ROWS", "many")
            .with("ANALYTICS_LINK_DAYS", "-")
            .with("DATABASE_REPLICA_MAX_STALENESS_MS", "long");
        let mut read = source.reader();
        let settings = Settings::read(&mut read, 8085);
        let text = read.finish(settings).expect_err("bad settings").to_string();
        for key in [
            "ANALYTICS_ADDRESSES: must be hash, full or drop",
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
}
