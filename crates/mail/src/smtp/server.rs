//! Which mail server to use, and how: `SMTP_URL`.

use std::str::FromStr;

use common::values::Secret;
use url::Url;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    None,
    /// When the server offers STARTTLS, without asking who it is: better than nothing against
    /// listeners, and no weaker than the plain text that would be used otherwise.
    Opportunistic,
    /// STARTTLS with a verified certificate, or no connection.
    Required,
    /// TLS from the first byte (RFC 8314), with a verified certificate.
    Implicit,
}

impl Tls {
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::None,
            Self::Opportunistic,
            Self::Required,
            Self::Implicit,
        ]
        .into_iter()
        .find(|tls| tls.as_str() == text)
    }

    /// What is used when nothing is said: a password is sent over TLS only, unless it stays on
    /// this machine.
    pub fn usual(with_password: bool, host: &str) -> Self {
        match with_password && !is_here(host) {
            true => Self::Required,
            false => Self::Opportunistic,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Implicit => "implicit",
        }
    }
}

/// A mail server: `smtp://user:password@host:port?tls=required|opportunistic|none`, or `smtps://`.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub credentials: Option<(String, Secret)>,
}

impl SmtpServer {
    /// Stands in for a server that was named wrongly; nothing is ever sent to it.
    pub fn nowhere() -> Self {
        Self {
            host: "unset.invalid".into(),
            port: 25,
            tls: Tls::Required,
            credentials: None,
        }
    }
}

impl FromStr for SmtpServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or("names no host")?;
        // An IPv6 address stands in brackets in a URL and without them elsewhere.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let credentials = credentials(&url)?;
        let (tls, port) = match url.scheme() {
            "smtp" => (starttls(&url, credentials.is_some(), &host)?, 25),
            "smtps" => (Tls::Implicit, 465),
            other => return Err(format!("begins with {other}:, not with smtp: or smtps:")),
        };
        if !matches!(url.path(), "" | "/") {
            return Err("must not have a path".into());
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(port),
            tls,
            credentials,
        })
    }
}

fn starttls(url: &Url, with_password: bool, host: &str) -> Result<Tls, String> {
    let mut tls = Tls::usual(with_password, host);
    for (key, value) in url.query_pairs() {
        tls = match (key.as_ref(), value.as_ref()) {
            ("tls", "none") => Tls::None,
            ("tls", "opportunistic") => Tls::Opportunistic,
            ("tls", "required") => Tls::Required,
            ("tls", _) => return Err("tls must be none, opportunistic or required".into()),
            (other, _) => return Err(format!("has an unknown parameter {other}")),
        };
    }
    Ok(tls)
}

fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "::1") || host.starts_with("127.")
}

fn credentials(url: &Url) -> Result<Option<(String, Secret)>, String> {
    let decode = |text: &str| {
        let pair = format!("x={}", text.replace('+', "%2B"));
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
        let decoded = decoded
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        match decoded.contains('\0') {
            true => Err("has a NUL in the user or password".to_owned()),
            false => Ok(decoded),
        }
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) if !user.is_empty() => {
            Ok(Some((decode(user)?, Secret::new(decode(password)?))))
        }
        _ => Err("must have both user and password, or neither".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> SmtpServer {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn ports_and_modes_follow_the_scheme() {
        let plain = read("smtp://mail.example");
        assert_eq!((plain.port, plain.tls), (25, Tls::Opportunistic));
        let implicit = read("smtps://mail.example");
        assert_eq!((implicit.port, implicit.tls), (465, Tls::Implicit));
        assert_eq!(read("smtp://[::1]:2525?tls=none").host, "::1");
    }

    #[test]
    fn a_password_asks_for_tls_and_is_decoded_and_hidden() {
        let server = read("smtp://ada%40x:p%2Bw+d@mail.example:587");
        assert_eq!(server.tls, Tls::Required);
        let (user, password) = server.credentials.clone().expect("there are credentials");
        assert_eq!((user.as_str(), password.expose()), ("ada@x", "p+w+d"));
        assert!(!format!("{server:?}").contains("p+w+d"));
        assert_eq!(read("smtp://a:b@127.0.0.1").tls, Tls::Opportunistic);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, why) in [
            ("mail.example", "is not a URL"),
            ("http://mail.example", "not with smtp"),
            ("smtp://mail.example/x", "path"),
            ("smtp://mail.example?tls=maybe", "tls must be"),
            ("smtp://mail.example?x=y", "unknown parameter x"),
            ("smtp://user@mail.example", "both user and password"),
            ("smtp:///", "names no host"),
            ("smtp://a:%00@mail.example", "NUL"),
        ] {
            let error = text.parse::<SmtpServer>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
