//! The gateway's settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chassis::settings::{Base, Listen, Reader};
use common::auth::Service;
use url::Url;

use crate::networks::Networks;

/// What the gateway needs to know to start.
#[derive(Debug)]
pub struct Settings {
    pub base: Base,
    pub campaigns_url: Url,
    pub leads_url: Url,
    pub notifications_url: Url,
    pub analytics_url: Url,
    /// The mail that a laptop received; absent where mail really leaves.
    pub mailbox_url: Option<Url>,
    /// What the world calls us; `http://` and our address when nothing says otherwise.
    pub public_url: Option<Url>,
    /// Who else's pages may read our answers in a browser.
    pub cors_origins: Origins,
    /// The proxies in front of us that say who a client is.
    pub trusted_proxies: Networks,
    /// Who may ask for metrics and for the health of each part.
    pub inside: Networks,
    /// Whether the API's documents are shown.
    pub docs: bool,
    /// The table of routes, where it is not the one that is compiled in.
    pub routes_file: Option<PathBuf>,
    /// Where a line for each request goes, if anywhere.
    pub access_log: Option<PathBuf>,
    /// Requests that are answered at the same time, at most.
    pub most_in_hand: usize,
    /// How long a service may take to answer an ordinary request, and a client to go on with it.
    pub timeout: Duration,
}

/// Web origins (RFC 6454), separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names.map(origin).collect::<Result<_, _>>().map(Self)
    }
}

/// An origin as browsers write it: scheme, host, and a port only where it is unusual.
fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("{text}: {error}"))?;
    let origin = url.origin();
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !origin.is_tuple() || !plain || !url.username().is_empty() {
        return Err(format!(
            "{text} is not an origin such as https://app.example.com"
        ));
    }
    Ok(origin.ascii_serialization())
}

impl Settings {
    /// Reads the common settings, the services' URLs, `MAILBOX_URL`, `CLARION_PUBLIC_URL`,
    /// `CLARION_CORS_ORIGINS` and what begins with `GATEWAY_`. It listens on `GATEWAY_HTTP_ADDR`, or
    /// else `CLARION_HTTP_ADDR`.
    pub fn read(read: &mut Reader<'_>, default_port: u16) -> Self {
        let mut base = Base::read(read, Service::Gateway, default_port);
        let own: Option<String> = read.optional("GATEWAY_HTTP_ADDR");
        if own.is_none()
            && let Some(address) = read.optional::<SocketAddr>("CLARION_HTTP_ADDR")
        {
            base.listen = Listen::Address(address);
        }
        Self {
            campaigns_url: read.peer("CAMPAIGNS_URL"),
            leads_url: read.peer("LEADS_URL"),
            notifications_url: read.peer("NOTIFICATIONS_URL"),
            analytics_url: read.peer("ANALYTICS_URL"),
            mailbox_url: read.optional_peer("MAILBOX_URL"),
            public_url: read.optional("CLARION_PUBLIC_URL"),
            cors_origins: read.or("CLARION_CORS_ORIGINS", Origins::default()),
            trusted_proxies: read.or("GATEWAY_TRUSTED_PROXIES", Networks::default()),
            inside: read.or("GATEWAY_INSIDE", Networks::private()),
            docs: read.or("GATEWAY_DOCS", true),
            routes_file: read.optional("GATEWAY_ROUTES_FILE"),
            access_log: read.optional("GATEWAY_ACCESS_LOG"),
            most_in_hand: read.or("GATEWAY_MOST_IN_HAND", 4096),
            timeout: Duration::from_secs(read.or("GATEWAY_TIMEOUT_SECONDS", 30)),
            base,
        }
    }

    /// Where the services are, by the names of their pools.
    pub(crate) fn urls(&self) -> BTreeMap<String, String> {
        let known = [
            ("identity", Some(&self.base.identity_url)),
            ("campaigns", Some(&self.campaigns_url)),
            ("leads", Some(&self.leads_url)),
            ("notifications", Some(&self.notifications_url)),
            ("analytics", Some(&self.analytics_url)),
            ("mailbox", self.mailbox_url.as_ref()),
        ];
        let given = known
            .into_iter()
            .filter_map(|(name, url)| Some((name, url?)));
        given
            .map(|(name, url)| (name.to_owned(), url.to_string()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(
            "https://App.example.com:443/, http://localhost:3000".parse(),
            Ok(Origins(vec![
                "https://app.example.com".into(),
                "http://localhost:3000".into()
            ]))
        );
        for text in ["*", "app.example.com", "https://a.example/path", "data:x"] {
            assert!(text.parse::<Origins>().is_err(), "{text}");
        }
    }
}
