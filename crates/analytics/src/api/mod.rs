//! What is answered over HTTP.

pub mod answers;
pub mod engagement;
pub mod export;
pub mod goals;
pub mod ingest;
pub mod live;
pub mod reports;
pub mod segment;
pub mod shares;
pub mod snippet;
pub mod tracking;
pub mod visits;
pub mod write_keys;

use std::sync::Arc;

use actix_web::HttpRequest;
use chassis::reads::Reads;
use chassis::{Host, InvalidInput};
use chrono::{DateTime, Utc};
use common::page::PageQuery;
use common::token::Keyring;
use common::values::{Invalid, Secret};
use serde::de::DeserializeOwned;
use url::Url;

use crate::countries::Countries;
use crate::domain::address::AddressPolicy;
use crate::domain::ranges::Ranges;
use crate::domain::verdict::{Facts, HitKind};
use crate::keys::WriteKeys;
use crate::live::Live;
use crate::metrics::Counters;
use crate::pipeline::Pipeline;
use crate::visits::Visits;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct State {
    pub host: Host,
    /// Answers questions about what was recorded.
    pub reads: Reads,
    pub pipeline: Pipeline,
    pub counters: Counters,
    pub keyring: Keyring,
    pub salt: Secret,
    pub address: AddressPolicy,
    pub link_days: i64,
    /// Where addresses are.
    pub countries: Countries,
    /// Where no person's hits come from.
    pub data_centres: Arc<Ranges>,
    pub keys: WriteKeys,
    pub live: Live,
    pub visits: Visits,
    /// What the world reaches us by.
    pub public_url: Url,
}

impl State {
    fn public_host(&self) -> String {
        let host = self.public_url.host_str().unwrap_or_default();
        match self.public_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    fn public_scheme(&self) -> &str {
        self.public_url.scheme()
    }
}

/// The size and the start of a page.
fn paging<K: DeserializeOwned>(query: &PageQuery) -> Result<(i64, Option<K>), InvalidInput> {
    let refuse = |pointer: &str, why: Invalid| InvalidInput::field(pointer, why.0);
    let limit = query.limit().map_err(|why| refuse("query/limit", why))?;
    let after = query.after().map_err(|why| refuse("query/cursor", why))?;
    Ok((limit, after))
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
    data_centre: bool,
}

impl Visitor {
    fn of(request: &HttpRequest, data_centres: &Ranges) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name).map(|value| value.as_bytes());
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        let asks_ahead = |name: &str| {
            let value = header(name).to_ascii_lowercase();
            value.contains("prefetch") || value.contains("prerender") || value.contains("preview")
        };
        let address = address(request, &header("x-forwarded-for"));
        Self {
            data_centre: data_centres.contain_text(&address),
            user_agent: header("user-agent").chars().take(MAX_USER_AGENT).collect(),
            address,
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
            data_centre: self.data_centre,
            canary: false,
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
