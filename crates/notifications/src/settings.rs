//! What this service needs to know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chassis::Service as _;
use chassis::sealing::Vault;
use chassis::settings::{Base, Reader};
use chrono::TimeDelta;
use common::token::Keyring;
use common::values::EmailAddress;
use tokio_rustls::rustls::ServerConfig;
use url::Url;

use crate::Notifications;
use crate::delivery::Sending;
use crate::domain::attachment::Limits;
use crate::inbound::{self, BounceDomain, Origin};
use crate::webhooks;
use mail::smtp::Timeouts;

/// The settings of `notifications`; README.md names their keys.
#[derive(Debug)]
pub struct Settings {
    pub base: Base,
    pub(crate) leads_url: Url,
    /// Whose events webhooks get too, and templates come from; none when it is not said where they
    /// are.
    pub(crate) campaigns_url: Option<Url>,
    pub(crate) analytics_url: Option<Url>,
    pub(crate) webhooks: webhooks::Settings,
    /// What links in mails begin with.
    pub(crate) public_url: Url,
    pub(crate) link_keys: Keyring,
    /// Whether mails of campaigns have a link that nobody sees, which tells scanners from people.
    pub(crate) canary_links: bool,
    /// Seals passwords and keys that the database keeps.
    pub(crate) vault: Vault,
    /// Asked about the records of sending domains; else the system's name servers.
    pub(crate) dns_server: Option<std::net::SocketAddr>,
    pub(crate) sending: Sending,
    /// The sender of transactional mail that names none.
    pub(crate) from: EmailAddress,
    /// Where return paths are; absent: what cannot be delivered goes back to the sender.
    pub(crate) bounce_domain: Option<BounceDomain>,
    /// Where what comes back is taken in by SMTP; absent: nowhere.
    pub(crate) bounce_smtp_addr: Option<SocketAddr>,
    /// How much a transactional message may bring.
    pub(crate) attachments: Limits,
    /// How that is encrypted, when the other side wants it; absent: not at all.
    pub(crate) bounce_tls: Option<Arc<ServerConfig>>,
    /// Whom hooks of SES believe.
    pub(crate) sns_origin: Origin,
}

impl Settings {
    pub(crate) fn read(read: &mut Reader<'_>) -> Self {
        let base = Base::read(read, Notifications::NAME, Notifications::PORT);
        let environment = base.environment;
        let link_secret = read.secret("CLARION_LINK_SECRET");
        let vault = Vault::read(read, Notifications::NAME, &link_secret);
        let mut link_keys = Keyring::new(link_secret);
        if let Some(old) = read.optional_secret("CLARION_LINK_SECRET_OLD") {
            link_keys = link_keys.and_accept(old);
        }
        let bounce_domain = read.optional("BOUNCE_DOMAIN");
        let bounce_smtp_addr = read.optional("BOUNCE_SMTP_ADDR");
        if bounce_smtp_addr.is_some() && bounce_domain.is_none() {
            read.refuse("BOUNCE_SMTP_ADDR", "needs BOUNCE_DOMAIN");
        }
        Self {
            base,
            webhooks: webhooks::Settings::read(read, environment),
            leads_url: read.peer("LEADS_URL"),
            campaigns_url: read.optional_peer("CAMPAIGNS_URL"),
            analytics_url: read.optional_peer("ANALYTICS_URL"),
            public_url: read.url("CLARION_PUBLIC_URL"),
            link_keys,
            canary_links: read.or("CANARY_LINKS", true),
            vault,
            dns_server: read.optional("DNS_SERVER"),
            sending: sending(read),
            from: read.or("MAIL_FROM", default_from()),
            bounce_domain,
            bounce_smtp_addr,
            attachments: attachments(read),
            bounce_tls: inbound::tls::read(read),
            sns_origin: read
                .optional("SNS_ORIGIN")
                .map_or(Origin::Amazon, Origin::Other),
        }
    }
}

/// The gateway lets 64 MiB through.
fn attachments(read: &mut Reader<'_>) -> Limits {
    let (each, together) = (
        read.or("ATTACHMENT_MAX_MIB", 10),
        read.or("ATTACHMENTS_MAX_MIB", 25),
    );
    let files = read.or("ATTACHMENTS_MAX_FILES", 20);
    if !(1..=60).contains(&together) {
        read.refuse("ATTACHMENTS_MAX_MIB", "must be between 1 and 60");
    }
    if !(1..=together).contains(&each) {
        read.refuse(
            "ATTACHMENT_MAX_MIB",
            "must be between 1 and ATTACHMENTS_MAX_MIB",
        );
    }
    if !(1..=100).contains(&files) {
        read.refuse("ATTACHMENTS_MAX_FILES", "must be between 1 and 100");
    }
    Limits {
        each: each << 20,
        together: together << 20,
        files,
    }
}

fn sending(read: &mut Reader<'_>) -> Sending {
    let connections = read.or("SMTP_CONNECTIONS", 32);
    if !(1..=256).contains(&connections) {
        read.refuse("SMTP_CONNECTIONS", "must be between 1 and 256");
    }
    let timeout_s = read.or("SMTP_TIMEOUT_SECONDS", 300.0);
    if !(0.05..=3600.0).contains(&timeout_s) {
        read.refuse("SMTP_TIMEOUT_SECONDS", "must be between 0.05 and 3600");
    }
    let retry_scale = read.or("SMTP_RETRY_SCALE", 1.0);
    if !(0.0..=1.0).contains(&retry_scale) {
        read.refuse("SMTP_RETRY_SCALE", "must be between 0 and 1");
    }
    let lease_s = read.or("LEDGER_LEASE_SECONDS", 30);
    if !(2..=600).contains(&lease_s) {
        read.refuse("LEDGER_LEASE_SECONDS", "must be between 2 and 600");
    }
    let memory_mib: u64 = read.or("ATTACHMENTS_MEMORY_MIB", 128);
    if !(16..=65_536).contains(&memory_mib) {
        read.refuse("ATTACHMENTS_MEMORY_MIB", "must be between 16 and 65536");
    }
    // It may hold a password, so it may come from a file and is never printed.
    let url = read.secret("SMTP_URL");
    let server = url.expose().parse().unwrap_or_else(|why: String| {
        if !url.expose().is_empty() {
            read.refuse("SMTP_URL", why);
        }
        mail::smtp::SmtpServer::nowhere()
    });
    Sending {
        server,
        connections,
        timeouts: Timeouts::scaled(
            Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_secs(300)),
        ),
        retry_scale,
        lease: TimeDelta::seconds(lease_s),
        attachments_memory: memory_mib << 20,
    }
}

fn default_from() -> EmailAddress {
    EmailAddress::parse("no-reply@clarion.localhost").expect("a constant address")
}

#[cfg(test)]
mod tests {
    use chassis::settings::Source;

    use super::*;

    fn usual() -> Source {
        Source::default()
            .with("DATABASE_URL", "postgres://x")
            .with("IDENTITY_URL", "http://identity.test")
            .with("LEADS_URL", "http://leads.test")
            .with("CLARION_PUBLIC_URL", "https://clarion.test")
            .with("CLARION_SERVICE_SECRET", "s")
            .with("CLARION_LINK_SECRET", "l")
            .with("SMTP_URL", "smtp://mail.test")
    }

    #[test]
    fn the_defaults_are_good() {
        let source = usual();
        let mut read = source.reader();
        let settings = Settings::read(&mut read);
        let settings = read.finish(settings).expect("nothing is missing");
        assert_eq!(settings.sending.connections, 32);
        assert_eq!(settings.sending.timeouts.end, Duration::from_secs(600));
    }

    #[test]
    fn every_bad_key_is_named_and_no_password_is_shown() {
        let source = usual()
            .with("SMTP_URL", "ftp://ada:hunter2@mail.test")
            .with("SMTP_CONNECTIONS", "0")
            .with("SMTP_RETRY_SCALE", "2")
            .with("LEDGER_LEASE_SECONDS", "1")
            .with("SMTP_TIMEOUT_SECONDS", "0")
            .with("DNS_SERVER", "nowhere")
            .with("BOUNCE_DOMAIN", "no domain")
            .with("BOUNCE_SMTP_ADDR", "25")
            .with("ATTACHMENT_MAX_MIB", "26")
            .with("ATTACHMENTS_MEMORY_MIB", "1")
            .with("SNS_ORIGIN", "amazon")
            .with("MAIL_FROM", "nobody");
        let mut read = source.reader();
        let settings = Settings::read(&mut read);
        let text = read
            .finish(settings)
            .expect_err("ten keys are bad")
            .to_string();
        for key in [
            "SMTP_URL",
            "SMTP_CONNECTIONS",
            "SMTP_RETRY_SCALE",
            "LEDGER_LEASE_SECONDS",
            "SMTP_TIMEOUT_SECONDS",
            "DNS_SERVER",
            "MAIL_FROM",
            "BOUNCE_DOMAIN",
            "BOUNCE_SMTP_ADDR",
            "ATTACHMENT_MAX_MIB",
            "ATTACHMENTS_MEMORY_MIB",
            "SNS_ORIGIN",
        ] {
            assert!(text.contains(key), "{key} in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_certificate_needs_its_key_and_both_must_be_readable() {
        let (certificate, key) = ("BOUNCE_TLS_CERT", "BOUNCE_TLS_KEY");
        for (set, named) in [
            (&[certificate][..], key),
            (&[key], certificate),
            (&[certificate, key], certificate),
        ] {
            let with = |source: Source, name: &&str| source.with(name, "/no/such/file.pem");
            let source = set.iter().fold(usual(), with);
            let mut read = source.reader();
            let settings = Settings::read(&mut read);
            let refused = read.finish(settings).expect_err("it is not there");
            assert!(
                refused.to_string().contains(&format!("{named}: ")),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_listener_without_a_domain_is_refused() {
        let source = usual().with("BOUNCE_SMTP_ADDR", "127.0.0.1:0");
        let mut read = source.reader();
        let settings = Settings::read(&mut read);
        let refused = read.finish(settings).expect_err("it would take nothing in");
        assert!(refused.to_string().contains("needs BOUNCE_DOMAIN"));
    }
}
