//! Texts are packed for clients that take gzip, also those that come in pieces.

use std::io::Write;
use std::task::{Context, Poll};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::reply::{Outgoing, Reply, Said};
use crate::request::Request;
use crate::wire::{Broken, Flow};

/// What is smaller would hardly shrink.
const WORTH_IT: u64 = 1024;
/// Fast, and within some percent of the best.
const LEVEL: Compression = Compression::new(4);

/// Packs the body if it is a text and the client takes it so. What has an `ETag` stays as it is: it
/// would be another representation, with another tag, and edits name the one that they have seen.
pub(crate) fn compress(request: &Request<'_>, reply: &mut Reply) {
    let suits = reply.status == 200
        && reply.has(Said::Text)
        && !reply.has(Said::Encoding)
        && !reply.has(Said::Etag)
        && reply.length().is_none_or(|length| length >= WORTH_IT)
        && !matches!(reply.body, Outgoing::None | Outgoing::Upgraded(_));
    if !suits {
        return;
    }
    reply.say("vary", b"accept-encoding");
    if !request.text("accept-encoding").is_some_and(takes_gzip) {
        return;
    }
    let packed = match std::mem::take(&mut reply.body) {
        Outgoing::Small => pack(&reply.small).map(|bytes| {
            reply.small = bytes;
            Outgoing::Small
        }),
        Outgoing::Whole(bytes) => pack(&bytes).map(|bytes| Outgoing::Whole(bytes.into())),
        Outgoing::Flow(_, flow) => Some(Outgoing::Flow(None, Box::new(Packed::new(flow)))),
        other => {
            reply.body = other;
            return;
        }
    };
    // Writing to memory cannot fail; if it did, there would be no body to send.
    let Some(body) = packed else { return };
    reply.body = body;
    reply.say("content-encoding", b"gzip");
}

fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), LEVEL);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// Whether `Accept-Encoding` takes gzip (RFC 9110 §12.5.3).
fn takes_gzip(list: &str) -> bool {
    let mut verdict = None;
    for item in list.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").map(str::parse::<f32>);
            weight.is_some_and(|weight| weight.unwrap_or(0.0) <= 0.0)
        });
        if name.eq_ignore_ascii_case("gzip") {
            return !refused;
        }
        if name == "*" {
            verdict = Some(!refused);
        }
    }
    verdict.unwrap_or(false)
}

/// A body that is packed as it comes. What waits in the packer is sent on whenever nothing more
/// comes for now.
struct Packed {
    flow: Box<dyn Flow>,
    /// There until the end was written.
    encoder: Option<GzEncoder<Vec<u8>>>,
    out: Vec<u8>,
    start: usize,
    unflushed: bool,
}

impl Packed {
    fn new(flow: Box<dyn Flow>) -> Self {
        Self {
            flow,
            encoder: Some(GzEncoder::new(Vec::new(), LEVEL)),
            out: Vec::new(),
            start: 0,
            unflushed: false,
        }
    }

    fn ready(&mut self) -> usize {
        if self.start == self.out.len() {
            self.out.clear();
            self.start = 0;
            if let Some(encoder) = &mut self.encoder {
                std::mem::swap(&mut self.out, encoder.get_mut());
            }
        }
        self.out.len() - self.start
    }
}

impl Flow for Packed {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        loop {
            let ready = self.ready();
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(Ok(ready));
            };
            if ready > 0 {
                return Poll::Ready(Ok(ready));
            }
            match self.flow.poll_data(cx) {
                Poll::Ready(Ok(0)) => {
                    let encoder = self.encoder.take();
                    let rest = encoder.map(GzEncoder::finish);
                    self.out = rest.and_then(Result::ok).ok_or(Broken::Off)?;
                    self.start = 0;
                }
                Poll::Ready(Ok(count)) => {
                    let written = encoder.write_all(&self.flow.data()[..count]);
                    written.map_err(|_| Broken::Off)?;
                    self.flow.consume(count);
                    self.unflushed = true;
                }
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending if self.unflushed => {
                    self.unflushed = false;
                    encoder.flush().map_err(|_| Broken::Off)?;
                    if encoder.get_ref().is_empty() {
                        return Poll::Pending;
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn data(&self) -> &[u8] {
        &self.out[self.start..]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_whether_it_takes_gzip() {
        for (list, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("br", false),
            ("", false),
            ("gzip;q=x", false),
        ] {
            assert_eq!(takes_gzip(list), takes, "{list}");
        }
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let text = "all the same ".repeat(1_000);
        let packed = pack(text.as_bytes()).expect("packed");
        assert!(packed.len() < text.len() / 10);
        let mut unpacked = String::new();
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        std::io::Read::read_to_string(&mut reader, &mut unpacked).expect("gzip");
        assert_eq!(unpacked, text);
    }
}
