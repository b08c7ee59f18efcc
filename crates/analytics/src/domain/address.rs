//! What is kept of a visitor's network address.

use std::str::FromStr;

use chrono::NaiveDate;
use common::values::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What to keep of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressPolicy {
    /// A hash that is salted anew every day: visits of one day can be told apart, people cannot
    /// be followed.
    #[default]
    Hash,
    /// The address itself.
    Full,
    /// Nothing.
    Drop,
}

impl FromStr for AddressPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "hash" => Ok(Self::Hash),
            "full" => Ok(Self::Full),
            "drop" => Ok(Self::Drop),
            _ => Err("must be hash, full or drop"),
        }
    }
}

impl AddressPolicy {
    /// What is stored of `address` on `day`.
    pub fn keep(self, address: &str, day: NaiveDate, salt: &Secret) -> Option<String> {
        match self {
            _ if address.is_empty() => None,
            Self::Drop => None,
            Self::Full => Some(address.to_owned()),
            Self::Hash => Some(hash(address, day, salt)),
        }
    }
}

fn hash(address: &str, day: NaiveDate, salt: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(format!("address {day} {address}").as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..12])
}

/// A name for whoever this is, for one day: visits of a day can be told apart, people cannot be
/// followed.
pub fn visitor_of_day(who: &str, day: NaiveDate, salt: &Secret) -> String {
    format!("day:{}", hash(&format!("visitor {who}"), day, salt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_visitors_apart_for_a_day_only() {
        let salt = Secret::new("s");
        let keep = |address, day| {
            let day = NaiveDate::from_ymd_opt(2026, 1, day).expect("a date");
            AddressPolicy::Hash.keep(address, day, &salt)
        };
        assert_eq!(keep("192.0.2.1", 1), keep("192.0.2.1", 1));
        assert_ne!(keep("192.0.2.1", 1), keep("192.0.2.2", 1));
        assert_ne!(keep("192.0.2.1", 1), keep("192.0.2.1", 2));
        assert_eq!(keep("", 1), None);
    }
}
