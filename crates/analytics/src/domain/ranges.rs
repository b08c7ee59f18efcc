//! Networks of data centres, from a file that the operator supplies.

use std::net::IpAddr;
use std::str::FromStr;

/// Networks, as intervals that are sorted and do not overlap. Addresses of both kinds are numbers
/// of 128 bits, those of IPv4 as IPv6 maps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// Whether an address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let number = number(address);
        let after = self.0.partition_point(|(first, _)| *first <= number);
        let before = after.checked_sub(1).and_then(|index| self.0.get(index));
        before.is_some_and(|(_, last)| number <= *last)
    }

    /// The same of an address as somebody sent it; what is none is in no network.
    pub fn contain_text(&self, address: &str) -> bool {
        address.parse().is_ok_and(|address| self.contain(address))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A network a line, as `192.0.2.0/24`, `2001:db8::/32` or a single address; `#` begins a comment.
/// The first line that is none is named.
impl FromStr for Ranges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let at = |why: &str| format!("line {}: {line:?} {why}", index + 1);
            found.push(network(line).map_err(at)?);
        }
        found.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(found.len());
        for (first, last) in found {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ok(Self(merged))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first and the last address of a network.
fn network(text: &str) -> Result<(u128, u128), &'static str> {
    const NONE: &str = "is no network such as 192.0.2.0/24";
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| NONE)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u32 = match prefix {
        Some(prefix) => prefix.parse().map_err(|_| NONE)?,
        None => bits,
    };
    if prefix > bits {
        return Err("has a prefix that is too long");
    }
    let host = u128::MAX.checked_shr(prefix + 128 - bits).unwrap_or(0);
    let first = number(address);
    match first & host {
        0 => Ok((first, first | host)),
        _ => Err("has bits behind its prefix"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(text: &str) -> Ranges {
        text.parse().expect("good ranges")
    }

    #[test]
    fn addresses_of_both_kinds_are_found() {
        let ranges = ranges(
            "# clouds\n\n192.0.2.0/24\n198.51.100.7 # one machine\n2001:db8::/32\n192.0.2.128/25\n",
        );
        assert!(!ranges.is_empty());
        for (address, inside) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("192.0.1.255", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::ffff:192.0.2.1", true),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(ranges.contain(parsed), inside, "{address}");
        }
        assert!(Ranges::default().is_empty());
        assert!(!Ranges::default().contain("192.0.2.1".parse().expect("an address")));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, why) in [
            ("10.0.0.0/8\nnonsense", "line 2: \"nonsense\" is no network"),
            (
                "10.0.0.0/33",
                "line 1: \"10.0.0.0/33\" has a prefix that is too long",
            ),
            (
                "10.1.0.0/8",
                "line 1: \"10.1.0.0/8\" has bits behind its prefix",
            ),
            ("10.0.0.0/", "line 1: \"10.0.0.0/\" is no network"),
            (
                "\n\n::/129",
                "line 3: \"::/129\" has a prefix that is too long",
            ),
        ] {
            let error = text.parse::<Ranges>().expect_err(text);
            assert!(error.starts_with(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_looking_at_every_network(
            networks in prop::collection::vec((any::<u32>(), 0u32..=32), 0..20), address: u32
        ) {
            let host = |prefix: u32| u32::MAX.checked_shr(prefix).unwrap_or(0);
            let lines: Vec<_> = networks
                .iter()
                .map(|(at, prefix)| format!("{}/{prefix}", std::net::Ipv4Addr::from(at & !host(*prefix))))
                .collect();
            let inside = networks
                .iter()
                .any(|(at, prefix)| at & !host(*prefix) == address & !host(*prefix));
            let ranges = ranges(&lines.join("\n"));
            prop_assert_eq!(ranges.contain(std::net::Ipv4Addr::from(address).into()), inside);
        }
    }
}
