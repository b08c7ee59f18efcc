//! Whether the links of a mail lead anywhere.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use url::Url;

use crate::domain::preflight::Check;

const DEADLINE: Duration = Duration::from_secs(4);
const AT_ONCE: usize = 8;
const MOST: usize = 50;

/// Looks at each link once. What cannot be reached is a warning: the network here may differ
/// from the readers'.
pub(crate) async fn check(links: Vec<String>, private_too: bool) -> Vec<Check> {
    let found = links.len();
    let checks: Vec<Option<String>> = futures::stream::iter(links.into_iter().take(MOST))
        .map(|link| async move {
            problem(&link, private_too)
                .await
                .map(|why| format!("{link} {why}"))
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut checks: Vec<Check> = checks
        .into_iter()
        .flatten()
        .map(|detail| Check::warning("links", detail))
        .collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            "links",
            format!("{} of {found} links answer", found.min(MOST)),
        ));
    }
    checks
}

async fn problem(link: &str, private_too: bool) -> Option<String> {
    let Ok(url) = Url::parse(link) else {
        return Some("is not a URL".into());
    };
    let Some(host) = url.host_str() else {
        return Some("names no host".into());
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let resolved = match tokio::time::timeout(DEADLINE, tokio::net::lookup_host((host, port))).await
    {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        _ => return Some("has a host that cannot be found".into()),
    };
    let usable: Vec<SocketAddr> = resolved
        .into_iter()
        .filter(|address| private_too || is_public(address.ip()))
        .collect();
    if usable.is_empty() {
        return Some("leads into a private network and was not followed".into());
    }
    fetch(url.clone(), host, &usable).await
}

/// Asks for the page at the very addresses that were looked at, so that a name that resolves
/// differently a moment later leads nowhere else; redirects are not followed.
async fn fetch(url: Url, host: &str, addresses: &[SocketAddr]) -> Option<String> {
    let client = reqwest::Client::builder()
        .resolve_to_addrs(host, addresses)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(DEADLINE)
        .user_agent("Clarion link check")
        .build();
    let sent = match client {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    match sent {
        // Many sites turn away what is not a browser; the page is there all the same.
        Ok(response) if matches!(response.status().as_u16(), 404 | 410 | 500..=599) => {
            Some(format!("answers {}", response.status()))
        }
        Ok(_) => None,
        Err(_) => Some("does not answer".into()),
    }
}

/// Whether an address is out in the Internet: not loopback, private, link-local, shared,
/// multicast or reserved (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a == 192 && b == 0 && v4.octets()[2] == 0))
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            match v6.to_ipv4() {
                Some(v4) => is_public(v4.into()),
                None => {
                    (0x2000..0x4000).contains(&first)
                        && first != 0x2002
                        && v6.segments()[..2] != [0x2001, 0]
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "192.168.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "fd00::1",
            "fe80::1",
            "2002:7f00:1::",
            "224.0.0.1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["8.8.8.8", "2606:4700::1111"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
