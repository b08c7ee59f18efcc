//! HTTP/1.1 on the wire (RFC 9112), for both sides of the gateway: heads, bodies, and a stream that
//! is read ahead.
//!
//! Whoever reads a message differently from whoever is behind them can be made to see two where
//! there is one. So heads are read strictly: what is ambiguous is refused, never mended.

mod alarm;
mod buffered;
mod framing;
mod head;
mod lines;

pub(crate) use alarm::Alarm;
pub(crate) use buffered::Buffered;
pub(crate) use framing::{BodyReader, Framing};
pub(crate) use head::{AnswerHead, Head, Malformed};
pub(crate) use lines::Lines;

use std::future::poll_fn;
use std::task::{Context, Poll};

/// A body on its way. What is there is looked at where it lies, and then given up.
pub(crate) trait Flow {
    /// Waits until there is something, and says how much; nothing is the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>>;
    /// What is there.
    fn data(&self) -> &[u8];
    /// Gives up the first `count` bytes of it.
    fn consume(&mut self, count: usize);
}

/// The body of a request.
pub(crate) trait Incoming: Flow {
    fn framing(&self) -> Framing;
    /// How long it may be, and how long it may stand still.
    fn bound(&mut self, limit: u64, patience: std::time::Duration);
}

/// Waits for the next bytes of a body.
pub(crate) async fn next(flow: &mut (impl Flow + ?Sized)) -> Result<usize, Broken> {
    poll_fn(|cx| flow.poll_data(cx)).await
}

/// Why a body does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the body broke off")]
    Off,
    #[error("the body's chunks are malformed")]
    Malformed,
    #[error("the body stands still")]
    Slow,
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
}
