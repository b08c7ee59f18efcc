//! A request as the rest of the gateway sees it: its head, who sends it, and its names in logs and
//! traces.

use std::net::IpAddr;

use actix_web::http::Method;
use chassis::http::context::RequestContext;
use rand::RngExt;

use crate::wire::Head;

/// A request without its body.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) head: &'a Head,
    /// Who sends it, as far as we can know.
    pub(crate) from: &'a Sender,
    pub(crate) trail: &'a Trail,
}

/// Where requests come from.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) address: IpAddr,
    /// The same as text, made once for a connection.
    pub(crate) text: String,
    /// Whether the client's side is encrypted, here or at a proxy that we trust.
    pub(crate) secure: bool,
}

impl Sender {
    pub(crate) fn new(address: IpAddr, secure: bool) -> Self {
        let address = address.to_canonical();
        let text = address.to_string();
        Self {
            address,
            text,
            secure,
        }
    }
}

impl<'a> Request<'a> {
    pub(crate) fn method(&self) -> &'a Method {
        &self.head.method
    }

    pub(crate) fn path(&self) -> &'a str {
        self.head.path()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.head.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.head.text(name)
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&'a str> {
        let lines = self.head.lines().all("cookie");
        let pairs = lines.filter_map(|value| std::str::from_utf8(value).ok());
        let mut pairs = pairs.flat_map(|value| value.split(';'));
        pairs.find_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name).then_some(value)
        })
    }
}

const ID: usize = 64;
/// `00-<trace>-<span>-<flags>`
const PARENT: usize = 55;

/// What follows a request through logs, events and calls (W3C Trace Context); made in place, so
/// that it costs no memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    id: [u8; ID],
    id_length: usize,
    parent: [u8; PARENT],
}

impl Trail {
    /// Continues what came in, if it is well-formed.
    pub(crate) fn of(head: &Head) -> Self {
        let mut trail = Self {
            id: [0; ID],
            id_length: 0,
            parent: *b"00-00000000000000000000000000000000-0000000000000000-01",
        };
        match head.get("x-request-id").filter(|id| well_formed(id)) {
            Some(id) => trail.id[..id.len()].copy_from_slice(id),
            None => trail.name(),
        }
        trail.id_length = head
            .get("x-request-id")
            .filter(|id| well_formed(id))
            .map_or(36, <[u8]>::len);
        let mut random = rand::rng();
        match head.get("traceparent").filter(|it| is_parent(it)) {
            Some(parent) => {
                trail.parent[3..35].copy_from_slice(&parent[3..35]);
                trail.parent[54] = b'0' + (hex(parent[54]) & 1);
            }
            None => {
                fill(&mut trail.parent[3..19], random.random());
                fill(&mut trail.parent[19..35], random.random());
            }
        }
        fill(&mut trail.parent[36..52], random.random());
        trail
    }

    /// A new id: a UUID of version 7, which sorts by time.
    fn name(&mut self) {
        let millis = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_millis() as u64;
        let mut bytes: [u8; 10] = [0; 10];
        rand::rng().fill(&mut bytes);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        id.hyphenated().encode_lower(&mut self.id[..36]);
    }

    pub(crate) fn id(&self) -> &str {
        std::str::from_utf8(&self.id[..self.id_length]).unwrap_or_default()
    }

    pub(crate) fn traceparent(&self) -> &str {
        std::str::from_utf8(&self.parent).unwrap_or_default()
    }

    pub(crate) fn trace_id(&self) -> &str {
        &self.traceparent()[3..35]
    }

    /// The same as other crates carry it.
    pub(crate) fn context(&self) -> RequestContext {
        RequestContext {
            request_id: self.id().to_owned(),
            trace_id: self.trace_id().to_owned(),
            span_id: self.traceparent()[36..52].to_owned(),
            sampled: self.parent[54] == b'1',
            until: None,
        }
    }
}

fn well_formed(id: &[u8]) -> bool {
    (1..=ID).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// `00-<trace>-<parent>-<flags>` (W3C Trace Context §3.2), neither id all zeros.
fn is_parent(text: &[u8]) -> bool {
    let lower = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.len() == PARENT
        && text.starts_with(b"00-")
        && text[35] == b'-'
        && text[52] == b'-'
        && lower(&text[3..35])
        && lower(&text[36..52])
        && lower(&text[53..])
        && text[3..35].iter().any(|b| *b != b'0')
        && text[36..52].iter().any(|b| *b != b'0')
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'a'..=b'f' => digit - b'a' + 10,
        digit => digit.wrapping_sub(b'0'),
    }
}

/// Sixteen hex digits.
fn fill(into: &mut [u8], number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (at, digit) in into.iter_mut().enumerate() {
        *digit = DIGITS[(number >> (60 - 4 * at)) as usize & 15];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(lines: &[(&str, &str)]) -> Trail {
        let lines = lines.iter().map(|(name, value)| (*name, value.as_bytes()));
        Trail::of(&Head::assemble(Method::GET, "/", lines, true).expect("a head"))
    }

    #[test]
    fn what_came_in_goes_on() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let parent = format!("00-{trace}-b7ad6b7169203331-00");
        let it = trail(&[("x-request-id", "mine-1"), ("traceparent", &parent)]);
        assert_eq!((it.id(), it.trace_id()), ("mine-1", trace));
        assert!(it.traceparent().ends_with("-00"));
        assert!(!it.traceparent().contains("b7ad6b7169203331"));
        assert!(!it.context().sampled);
    }

    #[test]
    fn what_is_malformed_is_made_anew() {
        let long = "x".repeat(65);
        for id in ["", "not an id", &long] {
            let it = trail(&[("x-request-id", id), ("traceparent", "00-00-00-01")]);
            assert!(uuid::Uuid::parse_str(it.id()).is_ok(), "{}", it.id());
            assert!(
                is_parent(it.traceparent().as_bytes()),
                "{}",
                it.traceparent()
            );
        }
        assert_ne!(trail(&[]).id(), trail(&[]).id());
    }
}
