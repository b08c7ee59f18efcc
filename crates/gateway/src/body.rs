//! Bodies on their way through: small ones whole, large ones as they come.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::rt::time::{Sleep, sleep};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures::Stream;

use crate::error::Error;

/// Bodies up to this size are gathered and sent in one write.
pub(crate) const SMALL: u64 = 64 * 1024;

/// A request's body.
pub(crate) enum Body {
    None,
    Whole(Bytes),
    Sized(u64, Flow),
    Unsized(Flow),
}

impl Body {
    /// Reads what is small; refuses what says that it is too large. A body that stands still for
    /// longer than `patience` is given up.
    pub(crate) async fn read(
        request: &HttpRequest,
        payload: Payload,
        limit: u64,
        patience: Duration,
    ) -> Result<Self, Error> {
        let headers = request.headers();
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        let length = headers.get(header::CONTENT_LENGTH);
        let flow = |payload| Flow::new(payload, limit, patience);
        match (length, chunked) {
            // One of the two is a lie, and whoever is behind us might believe the other one.
            (Some(_), true) => Err(Error::TwoLengths),
            (None, false) => Ok(Self::None),
            (None, true) => Ok(Self::Unsized(flow(payload))),
            (Some(length), false) => {
                let length = length
                    .to_str()
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                match length.ok_or(Error::BodyBroken)? {
                    0 => Ok(Self::None),
                    length if length > limit => Err(Error::BodyTooLarge(limit)),
                    length if length <= SMALL => gather(flow(payload)).await,
                    length => Ok(Self::Sized(length, flow(payload))),
                }
            }
        }
    }
}

async fn gather(mut flow: Flow) -> Result<Body, Error> {
    let mut whole = BytesMut::new();
    loop {
        match poll_fn(|cx| Pin::new(&mut flow).poll_next(cx)).await {
            None => return Ok(Body::Whole(whole.freeze())),
            Some(Ok(chunk)) => whole.extend_from_slice(&chunk),
            Some(Err(_)) => return Err(flow.fault.take().unwrap_or(Error::BodyBroken)),
        }
    }
}

/// A body as it comes, up to a limit. What went wrong with it is left in `fault`, because the
/// client that sends it on tells only that it could not.
pub(crate) struct Flow {
    payload: Payload,
    left: u64,
    limit: u64,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    pub(crate) fault: Fault,
}

/// Why a body could not be passed on.
#[derive(Clone, Default)]
pub(crate) struct Fault(Rc<Cell<Option<Error>>>);

impl Fault {
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.take()
    }
}

impl Flow {
    fn new(payload: Payload, limit: u64, patience: Duration) -> Self {
        Self {
            payload,
            left: limit,
            limit,
            patience,
            waiting: None,
            fault: Fault::default(),
        }
    }

    fn fail(&self, error: Error) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.fault.0.set(Some(error));
        Poll::Ready(Some(Err(PayloadError::Incomplete(None))))
    }

    /// Waits for the next chunk, for a while.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => self.fail(Error::BodyTooSlow),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Stream for Flow {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match Pin::new(&mut this.payload).poll_next(cx) {
            Poll::Pending => this.wait(cx),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => this.fail(Error::BodyBroken),
            Poll::Ready(Some(Ok(chunk))) => {
                this.waiting = None;
                match this.left.checked_sub(chunk.len() as u64) {
                    None => this.fail(Error::BodyTooLarge(this.limit)),
                    Some(left) => {
                        this.left = left;
                        Poll::Ready(Some(Ok(chunk)))
                    }
                }
            }
        }
    }
}
