//! Values that are parsed once, at the edge, and trusted afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a value was refused. The sentence is fit to show to the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// An e-mail address as SMTP can carry it (RFC 5321 §4.1.2, with RFC 6531 UTF-8).
///
/// Quoted local parts, address literals and comments are refused: no mailbox that a marketer
/// writes to needs them, and each is a way to smuggle something. The spelling is kept; equality
/// of people is decided by [`EmailAddress::key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "email")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Parses an address, trimming white space around it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let (local, domain) = text
            .rsplit_once('@')
            .ok_or_else(|| Invalid::new("must contain an @"))?;
        if text.len() > 254 {
            return Err(Invalid::new("must be at most 254 bytes long"));
        }
        if !valid_local(local) {
            return Err(Invalid::new("has an invalid part before the @"));
        }
        if !valid_domain(domain) {
            return Err(Invalid::new("has an invalid domain"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes two spellings the same person: the address in lower case.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    /// The part after the `@`, in lower case.
    pub fn domain(&self) -> String {
        self.0
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_lowercase())
            .unwrap_or_default()
    }
}

fn valid_local(local: &str) -> bool {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~.".contains(c)
            || (!c.is_ascii() && c.is_alphanumeric())
            || is_mark(c)
    };
    (1..=64).contains(&local.len())
        && local.chars().all(allowed)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

/// Combining marks of the scripts that need them; invisible and direction-changing characters,
/// which make two addresses look alike, are none of these.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{93c}'..='\u{94d}' | '\u{e31}'..='\u{e4e}')
}

fn valid_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| {
                c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && c.is_alphanumeric())
            })
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EmailAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

/// An ISO 4217 currency code: three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "EUR")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl TryFrom<String> for Currency {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|l| l.is_ascii_uppercase()) => Ok(Self([*a, *b, *c])),
            _ => Err(Invalid::new(
                "must be an ISO 4217 code of three capital letters",
            )),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount in minor units (cents) of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: 1999 is 19.99 in a currency of two decimals.
    pub amount: i64,
    pub currency: Currency,
}

/// A value that must not appear in logs: it prints as stars.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; call it where it is used, not where it is passed on.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An origin as browsers write it: scheme, host, and port where it is not the usual one.
pub fn web_origin(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let plain = url.username().is_empty() && url.password().is_none();
    let web = matches!(url.scheme(), "http" | "https");
    (bare && plain && web).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_and_international_addresses_are_taken() {
        for text in [
            "ada@example.com",
            " Ada+x@Example.COM ",
            "jörg@müller.example",
            "o'hara@a-b.co.uk",
        ] {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_smtp_cannot_carry_is_refused() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a b@example.com",
            "ada@exa mple.com",
            "ada@-example.com",
            ".ada@example.com",
            "a..b@example.com",
            "ada@example..com",
            "ada@example.com\r\nBcc: eve@example.com",
            "\"a b\"@example.com",
            "ada@[127.0.0.1]",
            "a\u{200b}da@example.com",
            "\u{202e}ada@example.com",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn one_person_has_one_key() {
        let (a, b) = (
            EmailAddress::parse("Ada@Example.com"),
            EmailAddress::parse("ada@example.COM"),
        );
        assert_eq!(a.map(|a| a.key()), b.map(|b| b.key()));
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (text, expected) in [
            ("https://Shop.example", Some("https://shop.example")),
            ("https://shop.example:443/", Some("https://shop.example")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            (
                "https://müller.example",
                Some("https://xn--mller-kva.example"),
            ),
            ("https://shop.example/path", None),
            ("https://shop.example?x", None),
            ("https://a:b@shop.example", None),
            ("ftp://shop.example", None),
            ("shop.example", None),
            ("*", None),
        ] {
            assert_eq!(web_origin(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_prints_as_stars() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    proptest! {
        #[test]
        fn no_control_character_survives_parsing(text in "\\PC{0,8}[\\x00-\\x1f]\\PC{0,4}@example.com") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert!(!address.as_str().chars().any(char::is_control));
            }
        }
    }
}
