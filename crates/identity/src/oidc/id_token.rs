//! What an ID token must say before it is believed (OpenID Connect Core 1.0 §3.1.3.7).

use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use serde::Deserialize;

/// How far apart two clocks may be, in seconds.
const SKEW_S: i64 = 60;
/// A token of a sign-in is as old as the sign-in; an older one was kept by somebody.
const OLDEST_S: i64 = 600;

/// What may have signed one. Nothing that a client's secret or nobody signs.
pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The claims of an ID token that we read.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    pub(crate) sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    pub(crate) email: Option<String>,
    email_verified: Option<Flag>,
    pub(crate) name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Some providers write their booleans as texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Text(String),
}

/// What is expected of a token besides its signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: DateTime<Utc>,
}

impl Claims {
    /// Whether the provider knows that mails to the address reach them.
    pub(crate) fn email_is_verified(&self) -> bool {
        match &self.email_verified {
            Some(Flag::Bool(verified)) => *verified,
            Some(Flag::Text(text)) => text == "true",
            None => false,
        }
    }

    /// Fails with what is wrong, for the log.
    pub(crate) fn check(&self, expected: &Expected<'_>) -> Result<(), &'static str> {
        let now = expected.now.timestamp();
        let audiences = match &self.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Many(many) => many,
        };
        let wrong = [
            (self.iss != expected.issuer, "it is another issuer's"),
            (
                // One that somebody else may use too could have been got by them.
                audiences.is_empty() || audiences.iter().any(|one| one != expected.client_id),
                "it is not for us alone",
            ),
            (
                self.azp
                    .as_ref()
                    .is_some_and(|party| party != expected.client_id),
                "it was issued to another party",
            ),
            (self.exp <= now - SKEW_S, "it has expired"),
            (self.iat > now + SKEW_S, "it was issued in the future"),
            (self.iat < now - OLDEST_S, "it was issued long ago"),
            (
                self.nbf.is_some_and(|from| from > now + SKEW_S),
                "it is not valid yet",
            ),
            (
                self.nonce.as_deref() != Some(expected.nonce),
                "it answers another request",
            ),
            (
                !(1..=255).contains(&self.sub.len()) || !self.sub.is_ascii(),
                "its subject is no name",
            ),
        ];
        match wrong.into_iter().find(|(is, _)| *is) {
            Some((_, what)) => Err(what),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(change: impl FnOnce(&mut Value)) -> Result<(), &'static str> {
        let now = Utc::now();
        let at = now.timestamp();
        let mut claims = json!({
            "iss": "https://id.example.com", "sub": "248289761001", "aud": "clarion",
            "exp": at + 300, "iat": at, "nonce": "n-0S6_WzA2Mj",
        });
        change(&mut claims);
        let claims: Claims = serde_json::from_value(claims).map_err(|_| "unreadable")?;
        claims.check(&Expected {
            issuer: "https://id.example.com",
            client_id: "clarion",
            nonce: "n-0S6_WzA2Mj",
            now,
        })
    }

    fn set(name: &'static str, value: Value) -> impl FnOnce(&mut Value) {
        move |claims| claims[name] = value
    }

    #[test]
    fn a_token_for_us_is_taken() {
        assert_eq!(check(|_| {}), Ok(()));
        assert_eq!(check(set("aud", json!(["clarion"]))), Ok(()));
        assert_eq!(check(set("azp", json!("clarion"))), Ok(()));
    }

    #[test]
    fn each_claim_is_looked_at() {
        let now = Utc::now().timestamp();
        for (name, value) in [
            ("iss", json!("https://id.example.com/")),
            ("aud", json!("another")),
            ("aud", json!([])),
            ("aud", json!(["clarion", "another"])),
            ("azp", json!("another")),
            ("exp", json!(now - 61)),
            ("iat", json!(now + 120)),
            ("iat", json!(now - 700)),
            ("nbf", json!(now + 120)),
            ("nonce", json!("n-another")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!("ä")),
            ("sub", json!("a".repeat(256))),
            ("exp", Value::Null),
            ("iat", json!("yesterday")),
        ] {
            let shown = format!("{name}: {value}");
            assert!(check(set(name, value)).is_err(), "{shown}");
        }
    }

    #[test]
    fn an_address_counts_as_verified_only_when_they_say_so() {
        for (value, verified) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("yes"), false),
            (Value::Null, false),
        ] {
            let claims: Claims = serde_json::from_value(json!({
                "iss": "i", "sub": "s", "aud": "a", "exp": 1, "iat": 1, "email_verified": value,
            }))
            .expect("claims");
            assert_eq!(claims.email_is_verified(), verified, "{value}");
        }
    }
}
