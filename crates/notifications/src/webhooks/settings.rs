//! What webhooks need to know.

use std::time::Duration;

use chassis::outbound::Rules;
use chassis::settings::{Environment, Reader};
use chrono::TimeDelta;

/// The settings of webhooks; README.md names their keys.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    /// How long an endpoint may take to answer.
    pub(super) timeout: Duration,
    /// How long a delivery is kept after its event.
    pub(super) keep: TimeDelta,
}

impl Settings {
    pub(crate) fn read(read: &mut Reader<'_>, environment: Environment) -> Self {
        let timeout_s = read.or("WEBHOOKS_TIMEOUT_SECONDS", 15.0);
        if !(0.05..=30.0).contains(&timeout_s) {
            read.refuse("WEBHOOKS_TIMEOUT_SECONDS", "must be between 0.05 and 30");
        }
        let keep_days = read.or("WEBHOOKS_KEEP_DAYS", 30);
        if !(1..=3650).contains(&keep_days) {
            read.refuse("WEBHOOKS_KEEP_DAYS", "must be between 1 and 3650");
        }
        Self {
            rules: Rules {
                private_too: read.or("WEBHOOKS_ALLOW_PRIVATE", false),
                plain_http: read.or("WEBHOOKS_ALLOW_HTTP", environment != Environment::Prod),
            },
            timeout: Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_secs(15)),
            keep: TimeDelta::try_days(keep_days).unwrap_or(TimeDelta::days(30)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::settings::Source;

    use super::*;

    fn read(source: &Source, environment: Environment) -> Result<Settings, String> {
        let mut read = source.reader();
        let settings = Settings::read(&mut read, environment);
        read.finish(settings).map_err(|bad| bad.to_string())
    }

    #[test]
    fn production_posts_over_tls_into_the_internet_only() {
        let usual = Source::default();
        let prod = read(&usual, Environment::Prod).expect("good settings");
        assert_eq!(prod.rules, Rules::default());
        assert_eq!(prod.timeout, Duration::from_secs(15));
        let local = read(&usual, Environment::Local).expect("good settings");
        assert!(local.rules.plain_http && !local.rules.private_too);
        let allowed = Source::default().with("WEBHOOKS_ALLOW_HTTP", "true");
        let prod = read(&allowed, Environment::Prod).expect("good settings");
        assert!(prod.rules.plain_http);
    }

    #[test]
    fn every_bad_key_is_named() {
        let source = Source::default()
            .with("WEBHOOKS_TIMEOUT_SECONDS", "0")
            .with("WEBHOOKS_KEEP_DAYS", "0")
            .with("WEBHOOKS_ALLOW_PRIVATE", "perhaps");
        let text = read(&source, Environment::Dev).expect_err("three keys are bad");
        for key in ["TIMEOUT_SECONDS", "KEEP_DAYS", "ALLOW_PRIVATE"] {
            assert!(text.contains(key), "{key} in {text}");
        }
    }
}
