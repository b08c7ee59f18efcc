//! What is answered over HTTP.

pub mod engagement;
pub mod ingest;
pub mod reports;
pub mod tracking;
pub mod visits;

use actix_web::HttpRequest;
use chassis::Host;
use chrono::{DateTime, Utc};
use common::token::Keyring;
use common::values::Secret;

use crate::domain::address::AddressPolicy;
use crate::domain::verdict::{Facts, HitKind};
use crate::metrics::Counters;
use crate::pipeline::Pipeline;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct State {
    pub host: Host,
    pub pipeline: Pipeline,
    pub counters: Counters,
    pub keyring: Keyring,
    pub salt: Secret,
    pub address: AddressPolicy,
    pub link_days: i64,
}

/// Longest user agent that is kept.
const MAX_USER_AGENT: usize = 512;

/// The raw facts of a request that somebody's browser or program made.
#[derive(Debug)]
struct Visitor {
    user_agent: String,
    address: String,
    head: bool,
    announced_prefetch: bool,
}

impl Visitor {
    fn of(request: &HttpRequest) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name).map(|value| value.as_bytes());
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        let asks_ahead = |name: &str| {
            let value = header(name).to_ascii_lowercase();
            value.contains("prefetch") || value.contains("prerender") || value.contains("preview")
        };
        Self {
            user_agent: header("user-agent").chars().take(MAX_USER_AGENT).collect(),
            address: address(request, &header("x-forwarded-for")),
            head: request.method() == actix_web::http::Method::HEAD,
            announced_prefetch: ["sec-purpose", "purpose", "x-purpose", "x-moz"]
                .into_iter()
                .any(asks_ahead),
        }
    }

    fn facts(
        &self,
        kind: HitKind,
        issued_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Facts<'_> {
        Facts {
            kind,
            head: self.head,
            user_agent: &self.user_agent,
            announced_prefetch: self.announced_prefetch,
            since_issue: issued_at.map(|at| now - at),
        }
    }
}

/// The visitor's address: what the nearest proxy says, or whoever connected.
fn address(request: &HttpRequest, forwarded: &str) -> String {
    let last = forwarded.rsplit(',').next().unwrap_or_default().trim();
    match last.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => request
            .peer_addr()
            .map(|peer| peer.ip().to_string())
            .unwrap_or_default(),
    }
}
