//! What follows a request through logs, events and calls to peers.

use std::future::Future;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use rand::RngExt;
use tokio::task_local;

/// A request's name in the logs, and its place in a trace (W3C Trace Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    pub request_id: String,
    /// 16 bytes in lower-case hex.
    pub trace_id: String,
    /// 8 bytes in lower-case hex: this service's part of the trace.
    pub span_id: String,
    pub sampled: bool,
    /// Nobody waits for the answer after this.
    pub until: Option<Instant>,
}

/// How many milliseconds somebody still waits, when a request sets out.
pub const TIMEOUT: &str = "x-clarion-timeout-ms";

task_local! {
    static CONTEXT: RequestContext;
}

// A transaction runs on a blocking thread; it takes the context along by hand.
impl RequestContext {
    /// Continues the trace and the request id that came in, if they are well-formed.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parent = text("traceparent").and_then(parse_traceparent);
        let (trace_id, sampled) = parent.unwrap_or_else(|| (random_hex(16), true));
        let request_id = text("x-request-id")
            .filter(|id| well_formed(id))
            .map(str::to_owned);
        let waits = text(TIMEOUT).and_then(|text| text.parse().ok());
        let waits = waits.map(Duration::from_millis);
        Self {
            until: waits.and_then(|waits| Instant::now().checked_add(waits)),
            request_id: request_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            trace_id,
            span_id: random_hex(8),
            sampled,
        }
    }

    /// The `traceparent` header for whatever this request causes.
    pub fn traceparent(&self) -> String {
        format!(
            "00-{}-{}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }

    /// Runs `work` as part of this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CONTEXT.scope(self, work).await
    }
}

/// The current request's id, or empty outside of one.
pub fn request_id() -> String {
    CONTEXT
        .try_with(|context| context.request_id.clone())
        .unwrap_or_default()
}

/// The current request's `traceparent`, if there is a request.
pub fn traceparent() -> Option<String> {
    CONTEXT.try_with(RequestContext::traceparent).ok()
}

/// How much longer somebody waits for the current request's answer, if anybody said so.
pub fn left() -> Option<Duration> {
    let until = CONTEXT.try_with(|context| context.until).ok().flatten()?;
    Some(until.saturating_duration_since(Instant::now()))
}

/// The current context, to be carried to another thread.
pub fn current() -> Option<RequestContext> {
    CONTEXT.try_with(Clone::clone).ok()
}

/// Runs `work` on this thread as part of `context`.
pub fn with<T>(context: Option<RequestContext>, work: impl FnOnce() -> T) -> T {
    match context {
        Some(context) => CONTEXT.sync_scope(context, work),
        None => work(),
    }
}

fn well_formed(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// `00-<trace>-<parent>-<flags>` (W3C Trace Context §3.2).
fn parse_traceparent(text: &str) -> Option<(String, bool)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && (len == 2 || part.bytes().any(|b| b != b'0'))
    };
    let sound =
        hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    sound.then(|| (trace.to_owned(), sampled))
}

fn random_hex(bytes: usize) -> String {
    let mut buffer = [0u8; 16];
    rand::rng().fill(&mut buffer[..bytes]);
    hex::encode(&buffer[..bytes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn a_trace_that_came_in_goes_on() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = RequestContext::from_headers(&headers(&[
            ("traceparent", parent),
            ("x-request-id", "abc-1"),
        ]));
        assert_eq!(context.request_id, "abc-1");
        assert!(
            context
                .traceparent()
                .starts_with("00-0af7651916cd43dd8448eb211c80319c-")
        );
        assert!(
            !context.traceparent().contains("b7ad6b7169203331"),
            "our own span id"
        );
    }

    #[test]
    fn what_is_malformed_is_replaced() {
        for parent in [
            "",
            "00-xyz",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            let given = HeaderValue::from_str(parent).expect("ASCII");
            let mut map = headers(&[("x-request-id", "bad id\t")]);
            map.insert(HeaderName::from_static("traceparent"), given);
            let context = RequestContext::from_headers(&map);
            assert_eq!(context.trace_id.len(), 32);
            assert_ne!(context.request_id, "bad id\t");
        }
    }
}
