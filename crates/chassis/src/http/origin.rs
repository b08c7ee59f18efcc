use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};

/// The longest name of a program that is kept.
const LONGEST: usize = 300;

/// Where a request came from, as far as anybody can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What the gateway says, which strips what clients say; else whoever connected.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub agent: Option<String>,
}

impl Origin {
    /// Of a request whose connection came from `peer`.
    pub fn of(headers: &HeaderMap, peer: Option<IpAddr>) -> Self {
        Self {
            address: Self::address(headers, peer),
            agent: text(headers, "user-agent").map(|name| name.chars().take(LONGEST).collect()),
        }
    }

    /// Only the address of one.
    pub(crate) fn address(headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let forwarded = text(headers, "x-forwarded-for").and_then(|list| list.split(',').next());
        forwarded
            .and_then(|first| first.trim().parse().ok())
            .or(peer)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl FromRequest for Origin {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let peer = request.peer_addr().map(|peer| peer.ip());
        ready(Ok(Self::of(request.headers(), peer)))
    }
}
