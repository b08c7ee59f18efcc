//! Headers: what passes, what is ours to say, and what a browser is told to be careful about.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Scheme;
use chassis::http::context::RequestContext;

/// The session cookie of the dashboard.
pub(crate) const SESSION_COOKIE: &str = "__Host-clarion_session";

/// Belongs to one connection and ends with it (RFC 9110 §7.6.1), or says what the connection's
/// next one will say anew.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "content-length"
    )
}

/// Says who is calling or from where: only we may say that to a service.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    let Some(first) = name.as_bytes().first() else {
        return true;
    };
    match first {
        b'x' => {
            name.starts_with("x-forwarded")
                || name.starts_with("x-clarion")
                || name.starts_with("x-user")
                || name.starts_with("x-workspace")
                || name.starts_with("x-original-")
                || name.starts_with("x-rewrite-")
                || matches!(
                    name,
                    "x-real-ip"
                        | "x-api-key"
                        | "x-request-id"
                        | "x-client-ip"
                        | "x-http-method-override"
                )
        }
        b'a' => name == "authorization",
        b'c' => matches!(name, "cookie" | "client-ip" | "cf-connecting-ip"),
        b'e' => name == "expect",
        b'f' => name == "forwarded",
        b'h' => name == "host",
        b't' => matches!(name, "traceparent" | "true-client-ip"),
        _ => false,
    }
}

/// The names that a `Connection` header adds to the hop-by-hop ones.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name: &HeaderName| *name != "close" && *name != "keep-alive")
        .collect()
}

/// What of a client's request goes on to a service.
pub(crate) fn pass_request(from: &HeaderMap, to: &mut HeaderMap) {
    let named = named_by_connection(from);
    for (name, value) in from {
        if !is_hop_by_hop(name) && !is_claim(name) && !named.contains(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

/// What of a service's answer goes back to the client.
pub(crate) fn pass_response(from: &HeaderMap, mut append: impl FnMut(HeaderName, HeaderValue)) {
    let named = named_by_connection(from);
    for (name, value) in from {
        let ours = *name == "x-request-id" || *name == "server";
        if !ours && !is_hop_by_hop(name) && !named.contains(name) {
            append(name.clone(), value.clone());
        }
    }
}

/// The client's cookies without the session, which is for `identity` and us.
pub(crate) fn other_cookies(headers: &HeaderMap) -> Option<HeaderValue> {
    let pairs: Vec<_> = headers
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter(|pair| pair.split('=').next() != Some(SESSION_COOKIE))
        .filter(|pair| !pair.is_empty())
        .collect();
    HeaderValue::from_str(&pairs.join("; "))
        .ok()
        .filter(|value| !value.is_empty())
}

/// What we tell a service about the request.
pub(crate) fn vouch(
    headers: &mut HeaderMap,
    context: &RequestContext,
    peer: Option<std::net::IpAddr>,
    scheme: &Scheme,
) {
    let mut say = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    say("x-request-id", &context.request_id);
    say("traceparent", &context.traceparent());
    say("x-forwarded-proto", scheme.as_str());
    if let Some(peer) = peer {
        say("x-forwarded-for", &peer.to_string());
    }
}

/// A page of ours or of a service that does not bring a policy of its own.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Anything that is not a page: nothing in it may run, should a browser show it as one.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds what every answer carries, unless its part knows better.
pub(crate) fn harden(headers: &mut HeaderMap, tls: bool) {
    let mut say = |name: &'static str, value: &'static str| {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    say("x-content-type-options", "nosniff");
    say("referrer-policy", "no-referrer");
    say("cross-origin-opener-policy", "same-origin");
    if tls {
        say(
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        );
    }
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(policy),
        );
        if !headers.contains_key(header::X_FRAME_OPTIONS) {
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        map
    }

    #[test]
    fn claims_and_hops_stay_at_the_door() {
        let from = map(&[
            ("accept", "*/*"),
            ("connection", "close, x-secret-hop"),
            ("x-secret-hop", "1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-clarion-workspace", "1"),
            ("x-user-id", "1"),
            ("x-workspace-id", "1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("authorization", "Bearer x"),
            ("x-api-key", "clk_x"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("upgrade", "websocket"),
            ("x-custom", "kept"),
        ]);
        let mut to = HeaderMap::new();
        pass_request(&from, &mut to);
        let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "x-custom"]);
    }

    #[test]
    fn only_the_session_leaves_the_cookies() {
        let from = map(&[("cookie", "a=1; __Host-clarion_session=secret; b=2")]);
        assert_eq!(
            other_cookies(&from),
            Some(HeaderValue::from_static("a=1; b=2"))
        );
        let from = map(&[("cookie", "__Host-clarion_session=secret")]);
        assert_eq!(other_cookies(&from), None);
    }

    #[test]
    fn a_part_may_bring_its_own_policy() {
        let mut own = map(&[
            ("content-type", "text/html"),
            ("content-security-policy", "frame-ancestors 'self'"),
        ]);
        harden(&mut own, true);
        assert_eq!(
            own.get("content-security-policy"),
            Some(&HeaderValue::from_static("frame-ancestors 'self'"))
        );
        assert!(!own.contains_key("x-frame-options"));
        assert!(own.contains_key("strict-transport-security"));
        let mut data = HeaderMap::new();
        harden(&mut data, false);
        assert!(data.contains_key("x-frame-options"));
        assert!(!data.contains_key("strict-transport-security"));
    }
}
