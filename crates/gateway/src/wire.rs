//! A connection to a part that never ends in silence.
//!
//! The HTTP client takes the end of a connection for the end of an answer. A service that is killed
//! in the middle of one would then look as if it had said everything, so the end is an error here.
//! What ends by itself (a length, a last chunk) has ended before the connection does.
//!
//! The client also listens for the answer only when it has sent all of the request. A service that
//! refuses a large body half-way answers and hangs up; the rest of the body then goes nowhere, so
//! that the answer is heard. Nothing else is sent on such a connection: it has ended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// The other side takes nothing any more.
    deaf: bool,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it, a body in several writes waits for the other side's delayed ACK.
        stream.set_nodelay(true).ok();
        let deaf = false;
        Self { stream, deaf }
    }

    /// A write to a side that has hung up is as good as done: its answer may be waiting.
    fn wrote(&mut self, result: io::Result<usize>, length: usize) -> io::Result<usize> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match result {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.deaf = true;
                Ok(length)
            }
            result => result,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let ended = matches!(read, Poll::Ready(Ok(())))
            && buffer.filled().len() == before
            && buffer.remaining() > 0;
        match ended {
            true => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            false => read,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        written.map(|result| self.wrote(result, bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl ActixStream for Wire {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, cx)
    }
}
