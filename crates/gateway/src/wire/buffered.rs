//! A stream with what was read of it and not yet used.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Enough for most heads; a connection that waits holds no more.
const FIRST: usize = 4 * 1024;
/// Most that is read ahead.
const LARGEST: usize = 64 * 1024;

pub(crate) struct Buffered<S> {
    stream: S,
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S> Buffered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            data: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// What was read and not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "consumed what was never read");
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives memory back that a large body needed.
    pub(crate) fn rest(&mut self) {
        if self.data.len() > FIRST && self.end == 0 {
            self.data = vec![0; FIRST];
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            let larger = (self.data.len() * 4).clamp(FIRST, LARGEST);
            self.data.resize(larger, 0);
        }
    }
}

impl<S: AsyncRead + Unpin> Buffered<S> {
    /// Reads once more; 0 is the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.end == self.data.len() {
            self.make_room();
        }
        if self.end == self.data.len() {
            // Nobody uses what is there, so more is of no use.
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let mut room = ReadBuf::new(&mut self.data[self.end..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Buffered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread().is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let count = self.unread().len().min(into.remaining());
        into.put_slice(&self.unread()[..count]);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Buffered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
