//! Networks, and the proxies among them whose word on the client is taken.

use std::net::IpAddr;
use std::str::FromStr;

use crate::request::Sender;
use crate::wire::Head;

/// Networks, separated by commas: `10.0.0.0/8, 127.0.0.1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text} is not a network such as 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        match bits <= most {
            true => Ok(Self { address, bits }),
            false => Err(bad()),
        }
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                (u32::from(own) ^ u32::from(other))
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                (u128::from(own) ^ u128::from(other))
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

impl Networks {
    /// This machine, and those that no address of the internet reaches (RFC 1918, 4193, 3927).
    pub(crate) fn private() -> Self {
        let all = "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7, \
                   169.254.0.0/16, fe80::/10";
        all.parse().expect("these are networks")
    }

    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who sends this request, where a proxy that we trust says so: the last address that no such
    /// proxy has. What is before it anybody may have made up.
    pub(crate) fn sender(&self, peer: &Sender, head: &Head) -> Option<Sender> {
        if self.0.is_empty() || !self.contain(peer.address) {
            return None;
        }
        let (mut address, mut whole) = (peer.address, Vec::new());
        for value in head.lines().all("x-forwarded-for") {
            whole.extend(value.split(|byte| *byte == b','));
        }
        for part in whole.into_iter().rev() {
            let text = std::str::from_utf8(part).unwrap_or_default().trim();
            let Ok(named) = text.parse::<IpAddr>() else {
                break;
            };
            address = named.to_canonical();
            if !self.contain(address) {
                break;
            }
        }
        let proto = head.text("x-forwarded-proto");
        let secure = proto.map_or(peer.secure, |proto| proto.eq_ignore_ascii_case("https"));
        Some(Sender::new(address, secure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::Method;

    fn sender(trusted: &str, peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted: Networks = trusted.parse().expect("networks");
        let lines = forwarded
            .iter()
            .map(|value| ("x-forwarded-for", value.as_bytes()));
        let head = Head::assemble(Method::GET, "/", lines, true).expect("a head");
        let peer = Sender::new(peer.parse().expect("an address"), false);
        trusted.sender(&peer, &head).map(|sender| sender.text)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_the_last_stranger() {
        let trusted = "10.0.0.0/8, ::1";
        let seen = |peer, forwarded: &[&str]| sender(trusted, peer, forwarded);
        assert_eq!(seen("192.0.2.1", &["198.51.100.1"]), None);
        assert_eq!(
            seen("10.1.2.3", &["198.51.100.1"]).as_deref(),
            Some("198.51.100.1")
        );
        assert_eq!(
            seen("10.1.2.3", &["203.0.113.9, 198.51.100.1", "10.9.9.9"]).as_deref(),
            Some("198.51.100.1"),
            "what a client made up stands before"
        );
        assert_eq!(seen("::1", &["unknown"]).as_deref(), Some("::1"));
        assert_eq!(seen("10.1.2.3", &[]).as_deref(), Some("10.1.2.3"));
        assert_eq!(sender("", "10.1.2.3", &["198.51.100.1"]), None);
    }

    #[test]
    fn networks_are_read_strictly() {
        for text in ["10.0.0.0/33", "10.0.0", "x", "::/129", "10.0.0.0/-1"] {
            assert!(
                text.parse::<Networks>()
                    .is_err_and(|why| why.contains(text)),
                "{text}"
            );
        }
        let everybody: Networks = "0.0.0.0/0".parse().expect("a network");
        assert!(everybody.contain([1, 2, 3, 4].into()));
    }
}
