//! An answer before it is written to the client.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use bytes::Bytes;

use crate::upstream::Connection;
use crate::wire::{Flow, Lines};

/// It is made once for a connection and filled anew for every request.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    lines: Lines,
    said: u16,
    pub(crate) body: Outgoing,
    /// The body, where that is `Small`.
    pub(crate) small: Vec<u8>,
    /// How long the body of the same answer to a GET would be.
    pub(crate) announced: Option<u64>,
}

#[derive(Default)]
pub(crate) enum Outgoing {
    #[default]
    None,
    Small,
    Whole(Bytes),
    /// As it comes, with its length if that is known.
    Flow(Option<u64>, Box<dyn Flow>),
    /// From here on both sides speak something else.
    Upgraded(Box<Connection>),
}

/// Lines that decide which others are added.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Said {
    Date = 1,
    ContentType = 1 << 1,
    Page = 1 << 2,
    Policy = 1 << 3,
    Frames = 1 << 4,
    Sniffing = 1 << 5,
    Referrer = 1 << 6,
    Opener = 1 << 7,
    Transport = 1 << 8,
    Encoding = 1 << 9,
    Etag = 1 << 10,
    Text = 1 << 11,
    Events = 1 << 12,
    CacheControl = 1 << 13,
}

impl Reply {
    pub(crate) fn clear(&mut self) {
        self.status = 200;
        self.lines.clear();
        self.said = 0;
        self.body = Outgoing::None;
        self.small.clear();
        self.announced = None;
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn has(&self, what: Said) -> bool {
        self.said & what as u16 != 0
    }

    /// Adds a line; the name is in lower case.
    pub(crate) fn say(&mut self, name: &str, value: &[u8]) {
        let said = match name {
            "date" => Said::Date as u16,
            "content-type" => Said::ContentType as u16 | kind(value),
            "content-security-policy" => Said::Policy as u16,
            "x-frame-options" => Said::Frames as u16,
            "x-content-type-options" => Said::Sniffing as u16,
            "referrer-policy" => Said::Referrer as u16,
            "cross-origin-opener-policy" => Said::Opener as u16,
            "strict-transport-security" => Said::Transport as u16,
            "content-encoding" => Said::Encoding as u16,
            "etag" => Said::Etag as u16,
            "cache-control" => Said::CacheControl as u16,
            _ => 0,
        };
        self.said |= said;
        self.lines.push(name.as_bytes(), value);
    }

    /// The length of the body, if there is one and it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.body {
            Outgoing::None => None,
            Outgoing::Small => Some(self.small.len() as u64),
            Outgoing::Whole(bytes) => Some(bytes.len() as u64),
            Outgoing::Flow(length, _) => *length,
            Outgoing::Upgraded(_) => None,
        }
    }

    /// An answer of our own.
    pub(crate) fn take(&mut self, response: HttpResponse) {
        self.clear();
        self.status = response.status().as_u16();
        for (name, value) in response.headers() {
            self.say(name.as_str(), value.as_bytes());
        }
        // Our own answers are made whole.
        let body = response.into_body().try_into_bytes().unwrap_or_default();
        if !body.is_empty() {
            self.body = Outgoing::Whole(body);
        }
    }
}

/// What a content type says about the body.
fn kind(value: &[u8]) -> u16 {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
    let begins = |start: &str| {
        essence.len() >= start.len()
            && essence[..start.len()].eq_ignore_ascii_case(start.as_bytes())
    };
    let mut said = 0;
    if is("text/html") {
        said |= Said::Page as u16;
    }
    if is("text/event-stream") {
        said |= Said::Events as u16;
    } else if begins("text/")
        || is("application/json")
        || is("application/problem+json")
        || is("application/javascript")
        || is("application/x-ndjson")
        || is("image/svg+xml")
    {
        said |= Said::Text as u16;
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_known() {
        let mut reply = Reply::default();
        reply.clear();
        reply.say("content-type", b"Text/HTML; charset=utf-8");
        assert!(reply.has(Said::Page) && reply.has(Said::Text) && !reply.has(Said::Policy));
        reply.clear();
        reply.say("content-type", b"text/event-stream");
        assert!(reply.has(Said::Events) && !reply.has(Said::Text) && !reply.has(Said::Page));
    }

    #[test]
    fn our_own_answers_are_whole() {
        let mut reply = Reply::default();
        reply.take(
            HttpResponse::NotFound()
                .insert_header(("x-a", "b"))
                .body("no"),
        );
        assert_eq!((reply.status, reply.length()), (404, Some(2)));
        assert_eq!(reply.lines().get("x-a"), Some(&b"b"[..]));
    }
}
