//! The domain that return paths are in.

use std::str::FromStr;

use common::values::{EmailAddress, Invalid};

/// A domain whose mail comes to us, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BounceDomain(String);

/// A local part as long as those of return paths.
const LONGEST_LOCAL: &str = "b-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

impl BounceDomain {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BounceDomain {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !text.is_ascii() {
            return Err(Invalid("must be spelled in ASCII (xn--…)".into()));
        }
        let address = EmailAddress::parse(&format!("{LONGEST_LOCAL}@{}", text.trim()))
            .map_err(|_| Invalid("must be a domain of at most 190 octets".into()))?;
        Ok(Self(address.domain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_leaves_room_for_the_token() {
        let domain: BounceDomain = "Bounces.Example".parse().expect("a domain");
        assert_eq!(domain.as_str(), "bounces.example");
        let long = format!("{}.example", "abcdefghi.".repeat(19));
        for bad in ["", "a@b.example", "bücher.example", "no dots", &long] {
            assert!(bad.parse::<BounceDomain>().is_err(), "{bad}");
        }
    }
}
