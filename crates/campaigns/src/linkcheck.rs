//! Whether the links of a mail lead anywhere.

use std::net::SocketAddr;
use std::time::Duration;

use chassis::outbound::is_public;
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
