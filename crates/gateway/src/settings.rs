//! The gateway's settings.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use chassis::settings::{Base, Listen, Reader};
use common::auth::Service;
use url::Url;

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
    /// `CLARION_CORS_ORIGINS` and `GATEWAY_TIMEOUT_SECONDS`. It listens on `GATEWAY_HTTP_ADDR`, or else `CLARION_HTTP_ADDR`.
    pub fn read(read: &mut Reader<'_>, default_port: u16) -> Self {
        let mut base = Base::read(read, Service::Gateway, default_port);
        let own: Option<String> = read.optional("GATEWAY_HTTP_ADDR");
        if own.is_none()
            && let Some(address) = read.optional::<SocketAddr>("CLARION_HTTP_ADDR")
        {
            base.listen = Listen::Address(address);
        }
        Self {
            campaigns_url: read.url("CAMPAIGNS_URL"),
            leads_url: read.url("LEADS_URL"),
            notifications_url: read.url("NOTIFICATIONS_URL"),
            analytics_url: read.url("ANALYTICS_URL"),
            mailbox_url: read.optional("MAILBOX_URL"),
            public_url: read.optional("CLARION_PUBLIC_URL"),
            cors_origins: read.or("CLARION_CORS_ORIGINS", Origins::default()),
            timeout: Duration::from_secs(read.or("GATEWAY_TIMEOUT_SECONDS", 30)),
            base,
        }
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
