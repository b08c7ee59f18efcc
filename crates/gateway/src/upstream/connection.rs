//! A connection to a replica.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::rt::time::timeout;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::replica::Replica;
use super::stream::Stream;
use crate::wire::{Alarm, AnswerHead, Buffered, Lines};

/// How long a replica may take to accept a connection, and to agree on TLS.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection is used no longer than this: services close those that they keep after 75 s.
const KEPT: Duration = Duration::from_secs(30);

/// It stays on its worker: one that workers share costs a third more CPU and stalls now and then.
pub(crate) struct Connection {
    pub(crate) io: Buffered<Stream>,
    /// What is about to be sent.
    pub(crate) out: Vec<u8>,
    written: usize,
    /// The lines of the last answer's head.
    pub(crate) lines: Lines,
    /// The body of the last answer, if it was small.
    pub(crate) small: Vec<u8>,
    pub(crate) alarm: Alarm,
    used: Instant,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("{0}")]
    Malformed(#[from] crate::wire::Malformed),
    #[error("it did not answer in time")]
    Late,
}

impl Connection {
    pub(crate) async fn open(replica: &Replica) -> Result<Self, Failure> {
        let opening = Stream::open(replica.address, replica.secure.as_ref());
        let stream = timeout(CONNECT, opening)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Self {
            io: Buffered::new(stream),
            out: Vec::with_capacity(1024),
            written: 0,
            lines: Lines::default(),
            small: Vec::new(),
            alarm: Alarm::default(),
            used: Instant::now(),
        })
    }

    /// Notes that it is not in use from now on.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.used = now;
        self.io.rest();
    }

    /// Whether it can be used again: it is not old, and nothing came that nobody asked for, such
    /// as its end.
    pub(crate) fn is_usable(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < KEPT
            && self.io.unread().is_empty()
            && self.io.stream_mut().is_quiet()
    }

    /// Sends what is in `out`. A side that hangs up may have answered before: that is found out by
    /// reading.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let left = &self.out[self.written..];
            match ready!(Pin::new(self.io.stream_mut()).poll_write(cx, left)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.written += count,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // TLS may have taken what the socket has not.
        ready!(Pin::new(self.io.stream_mut()).poll_flush(cx))?;
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends what is in `out`, by `until`.
    pub(crate) async fn send(&mut self, until: Instant) -> Result<(), Failure> {
        self.alarm.set(until);
        poll_fn(|cx| match self.poll_send(cx) {
            Poll::Ready(done) => Poll::Ready(done.map_err(Failure::Io)),
            Poll::Pending => self.alarm.poll(cx).map(|()| Err(Failure::Late)),
        })
        .await
    }

    /// Waits for the head of an answer, until `until`. Interim answers are passed over.
    pub(crate) async fn head(&mut self, until: Instant) -> Result<AnswerHead, Failure> {
        self.alarm.set(until);
        poll_fn(|cx| self.poll_head(cx)).await
    }

    /// Reads a body of this length, until `until`.
    pub(crate) async fn gather(&mut self, length: usize, until: Instant) -> Result<(), Failure> {
        self.alarm.set(until);
        poll_fn(|cx| {
            loop {
                let unread = self.io.unread();
                let count = unread.len().min(length - self.small.len());
                self.small.extend_from_slice(&unread[..count]);
                self.io.consume(count);
                if self.small.len() == length {
                    return Poll::Ready(Ok(()));
                }
                match self.io.poll_fill(cx) {
                    Poll::Pending => return self.alarm.poll(cx).map(|()| Err(Failure::Late)),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::Closed)),
                    Poll::Ready(filled) => {
                        filled?;
                    }
                }
            }
        })
        .await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<AnswerHead, Failure>> {
        loop {
            if !self.io.unread().is_empty()
                && let Some(head) = AnswerHead::read(self.io.unread(), &mut self.lines)?
            {
                self.io.consume(head.length);
                match head.status {
                    100 | 102..=199 => continue,
                    _ => return Poll::Ready(Ok(head)),
                }
            }
            match self.io.poll_fill(cx) {
                Poll::Pending => return self.alarm.poll(cx).map(|()| Err(Failure::Late)),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::Closed)),
                Poll::Ready(filled) => {
                    filled?;
                }
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
