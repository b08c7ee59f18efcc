//! Headers: what passes, what is ours to say, and what a browser is told to be careful about.

use crate::reply::{Reply, Said};
use crate::request::Request;
use crate::table::{Auth, Route};
use crate::wire::Lines;

/// The session cookie of the dashboard.
pub(crate) const SESSION_COOKIE: &str = "__Host-clarion_session";

/// Belongs to one connection and ends with it (RFC 9110 §7.6.1), or says what the connection's
/// next one will say anew.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
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
fn is_claim(name: &str) -> bool {
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

/// Whether a `Connection` header adds this name to the hop-by-hop ones.
fn is_named(lines: &Lines, name: &str) -> bool {
    let mut words = lines
        .all("connection")
        .flat_map(|value| value.split(|byte| *byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether a `Connection` header names any other than the usual ones; hardly any does.
fn names_more(lines: &Lines) -> bool {
    let usual = |value: &[u8]| {
        [&b"close"[..], b"keep-alive", b"upgrade"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word))
    };
    lines.all("connection").any(|value| !usual(value))
}

/// What of a client's request goes on to a service.
pub(crate) fn pass_request(from: &Lines, out: &mut Vec<u8>) {
    let named = names_more(from);
    for (name, value) in from.iter() {
        let stays = is_hop_by_hop(name) || is_claim(name) || (named && is_named(from, name));
        if !stays {
            line(out, name, value);
        }
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// What of a service's answer goes back to the client. What it says about origins is not its to
/// say, and the request's name is ours.
pub(crate) fn pass_answer(from: &Lines, to: &mut Reply) {
    let named = names_more(from);
    for (name, value) in from.iter() {
        let ours = matches!(
            name,
            "x-request-id"
                | "server"
                | "access-control-allow-origin"
                | "access-control-allow-credentials"
                | "access-control-expose-headers"
        );
        let internal = name.starts_with("x-clarion-") || is_hop_by_hop(name);
        let stays = ours || internal || (named && is_named(from, name));
        if !stays {
            to.say(name, value);
        }
    }
}

/// The client's cookies without the session, which is for `identity` and us.
pub(crate) fn pass_cookies(from: &Lines, session_too: bool, out: &mut Vec<u8>) {
    let mut first = true;
    for value in from.all("cookie") {
        for pair in value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            if pair.is_empty() || (!session_too && name == SESSION_COOKIE.as_bytes()) {
                continue;
            }
            out.extend_from_slice(if first { b"cookie: " } else { b"; " });
            out.extend_from_slice(pair);
            first = false;
        }
    }
    if !first {
        out.extend_from_slice(b"\r\n");
    }
}

/// What we tell a service about the request.
pub(crate) fn vouch(request: &Request<'_>, out: &mut Vec<u8>) {
    line(out, "x-request-id", request.trail.id().as_bytes());
    line(out, "traceparent", request.trail.traceparent().as_bytes());
    let scheme = if request.from.secure { "https" } else { "http" };
    line(out, "x-forwarded-proto", scheme.as_bytes());
    line(out, "x-forwarded-for", request.from.text.as_bytes());
}

/// A page of ours or of a service that does not bring a policy of its own.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Anything that is not a page: nothing in it may run, should a browser show it as one.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds what every answer carries, unless its part knows better.
pub(crate) fn harden(reply: &mut Reply, tls: bool) {
    let mut say = |said: Said, name: &'static str, value: &'static str| {
        if !reply.has(said) {
            reply.say(name, value.as_bytes());
        }
    };
    say(Said::Sniffing, "x-content-type-options", "nosniff");
    say(Said::Referrer, "referrer-policy", "no-referrer");
    say(Said::Opener, "cross-origin-opener-policy", "same-origin");
    if tls {
        let year = "max-age=31536000; includeSubDomains";
        say(Said::Transport, "strict-transport-security", year);
    }
    if !reply.has(Said::Policy) {
        let policy = match reply.has(Said::Page) {
            true => PAGE_POLICY,
            false => DATA_POLICY,
        };
        reply.say("content-security-policy", policy.as_bytes());
        if !reply.has(Said::Frames) {
            reply.say("x-frame-options", b"DENY");
        }
    }
}

/// What somebody is shown with their credentials no browser or proxy keeps, unless its part says
/// otherwise or it may be given again.
pub(crate) fn keep_private(route: &Route, reply: &mut Reply) {
    let somebodys = matches!(route.auth, Auth::Needed | Auth::Optional | Auth::Session);
    if somebodys && route.cache.is_none() && !reply.has(Said::CacheControl) {
        reply.say("cache-control", b"no-store");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> Lines {
        let mut lines = Lines::default();
        for (name, value) in pairs {
            lines.push(name.as_bytes(), value.as_bytes());
        }
        lines
    }

    #[test]
    fn claims_and_hops_stay_at_the_door() {
        let from = lines(&[
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
        let mut out = Vec::new();
        pass_request(&from, &mut out);
        assert_eq!(out, b"accept: */*\r\nx-custom: kept\r\n");
    }

    #[test]
    fn only_the_session_leaves_the_cookies() {
        let cookies = |text: &str, session_too: bool| {
            let mut out = Vec::new();
            pass_cookies(&lines(&[("cookie", text)]), session_too, &mut out);
            String::from_utf8(out).expect("text")
        };
        let both = "a=1; __Host-clarion_session=secret; b=2";
        assert_eq!(cookies(both, false), "cookie: a=1; b=2\r\n");
        assert_eq!(cookies(both, true), format!("cookie: {both}\r\n"));
        assert_eq!(cookies("__Host-clarion_session=secret", false), "");
    }

    #[test]
    fn a_part_may_bring_its_own_policy() {
        let mut own = Reply::default();
        own.say("content-type", b"text/html");
        own.say("content-security-policy", b"frame-ancestors 'self'");
        harden(&mut own, true);
        let policies = own.lines().all("content-security-policy").count();
        assert_eq!(policies, 1);
        assert_eq!(own.lines().get("x-frame-options"), None);
        assert!(own.lines().get("strict-transport-security").is_some());
        let mut data = Reply::default();
        harden(&mut data, false);
        assert!(data.lines().get("x-frame-options").is_some());
        assert!(data.lines().get("strict-transport-security").is_none());
    }

    #[test]
    fn what_a_service_says_to_us_stays_inside() {
        let from = lines(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("x-clarion-debug", "1"),
            ("server", "x"),
            ("access-control-allow-origin", "*"),
            ("etag", "\"7\""),
        ]);
        let mut reply = Reply::default();
        pass_answer(&from, &mut reply);
        assert_eq!(reply.lines().as_bytes(), b"etag: \"7\"\r\n");
    }
}
