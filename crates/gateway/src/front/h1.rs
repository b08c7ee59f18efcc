//! A client's connection that speaks HTTP/1.1: one request after the other.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::WaitForCancellationFuture;

use crate::door;
use crate::error::Error;
use crate::gate::Gate;
use crate::reply::{Outgoing, Reply, Said};
use crate::request::Sender;
use crate::wire::{Alarm, BodyReader, Broken, Buffered, Flow, Framing, Head, Incoming, Malformed};

/// How long a head may take from its first byte to its last; also until the first request.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept between requests.
const IDLE: Duration = Duration::from_secs(75);
/// How long a client may take nothing of an answer.
const STALLED: Duration = Duration::from_secs(60);
/// Most that is gathered before it is written.
const GATHERED: usize = 32 * 1024;

/// Answers requests until either side has had enough.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    gate: Rc<Gate>,
    stream: S,
    from: Sender,
) {
    let mut io = Buffered::new(stream);
    let (mut head, mut reply, mut out) = (Head::default(), Reply::default(), gate.buffer());
    let mut alarm = Alarm::default();
    alarm.set(Instant::now() + HEAD);
    let closing = gate.close.clone();
    let mut closed = pin!(closing.cancelled());
    loop {
        match next_head(&mut io, &mut head, &mut alarm, closed.as_mut()).await {
            Next::Request => {}
            Next::End => break,
            Next::Refused(error) => {
                door::turn_away(&gate, &from, &error, &mut reply);
                write_head(&gate, 1, &Method::GET, &reply, false, &mut out);
                write_small(&reply, &mut out);
                if write(&mut io, &mut out, &mut alarm).await.is_ok() {
                    linger(&mut io, &mut alarm).await;
                }
                break;
            }
        }
        let mut body = ClientBody::new(&mut io, &mut alarm, &head);
        door::enter(&gate, &head, &from, &mut body, &mut reply).await;
        let whole = body.reader.is_done();
        let keep = head.keep_alive && whole && !closing.is_cancelled();
        let answered = answer(
            &gate, &mut io, &mut alarm, &head, &mut reply, keep, &mut out,
        )
        .await;
        match answered {
            Ok(()) if keep => {}
            Ok(()) => {
                linger(&mut io, &mut alarm).await;
                break;
            }
            Err(_) => break,
        }
        reply.clear();
        io.rest();
        alarm.set(Instant::now() + IDLE);
    }
    gate.spare(out);
}

/// What comes next on a connection.
enum Next {
    Request,
    End,
    Refused(Error),
}

async fn next_head<S: AsyncRead + Unpin>(
    io: &mut Buffered<S>,
    head: &mut Head,
    alarm: &mut Alarm,
    mut closed: Pin<&mut WaitForCancellationFuture<'_>>,
) -> Next {
    let mut began = false;
    poll_fn(|cx| {
        loop {
            if !io.unread().is_empty() {
                match head.read(io.unread()) {
                    Ok(Some(length)) => {
                        io.consume(length);
                        return Poll::Ready(Next::Request);
                    }
                    Ok(None) if !began => {
                        began = true;
                        alarm.set(Instant::now() + HEAD);
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Next::Refused(error.into())),
                }
            }
            match io.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Next::End),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Poll::Ready(Next::Refused(Malformed::TooLarge.into()));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Next::End),
                Poll::Pending => {
                    if !began && closed.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Next::End);
                    }
                    ready!(alarm.poll(cx));
                    return Poll::Ready(match began {
                        true => Next::Refused(Error::HeadTooSlow),
                        false => Next::End,
                    });
                }
            }
        }
    })
    .await
}

/// The body of a request, as the connection brings it.
struct ClientBody<'a, S> {
    io: &'a mut Buffered<S>,
    alarm: &'a mut Alarm,
    framing: Framing,
    reader: BodyReader,
    passed: u64,
    limit: u64,
    patience: Duration,
    waiting: bool,
    /// What is left to be said to a client that waits for a word.
    go_on: &'static [u8],
}

impl<'a, S> ClientBody<'a, S> {
    fn new(io: &'a mut Buffered<S>, alarm: &'a mut Alarm, head: &Head) -> Self {
        Self {
            io,
            alarm,
            framing: head.framing,
            reader: BodyReader::new(head.framing),
            passed: 0,
            limit: 0,
            patience: HEAD,
            waiting: false,
            go_on: match head.expects {
                true => b"HTTP/1.1 100 Continue\r\n\r\n",
                false => b"",
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Flow for ClientBody<'_, S> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        while !self.go_on.is_empty() && !self.reader.is_done() {
            let writing = Pin::new(self.io.stream_mut()).poll_write(cx, self.go_on);
            match ready!(writing) {
                Ok(count) if count > 0 => self.go_on = &self.go_on[count..],
                _ => return Poll::Ready(Err(Broken::Off)),
            }
            if self.go_on.is_empty() {
                // It is sent at the latest with the next read.
                let _ = Pin::new(self.io.stream_mut()).poll_flush(cx);
            }
        }
        let Poll::Ready(found) = self.reader.poll(self.io, cx) else {
            if !self.waiting {
                self.waiting = true;
                self.alarm.set(Instant::now() + self.patience);
            }
            return self.alarm.poll(cx).map(|()| Err(Broken::Slow));
        };
        self.waiting = false;
        match found {
            Ok(count) if self.passed + count as u64 > self.limit => {
                Poll::Ready(Err(Broken::TooLarge(self.limit)))
            }
            found => Poll::Ready(found),
        }
    }

    fn data(&self) -> &[u8] {
        self.io.unread()
    }

    fn consume(&mut self, count: usize) {
        self.passed += count as u64;
        self.reader.consume(self.io, count);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming for ClientBody<'_, S> {
    fn framing(&self) -> Framing {
        self.framing
    }

    fn bound(&mut self, limit: u64, patience: Duration) {
        self.limit = limit;
        self.patience = patience;
    }
}

/// Writes a reply, its body as it comes.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    gate: &Gate,
    io: &mut Buffered<S>,
    alarm: &mut Alarm,
    head: &Head,
    reply: &mut Reply,
    keep: bool,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let is_head = head.method == Method::HEAD;
    write_head(gate, head.version, &head.method, reply, keep, out);
    match std::mem::take(&mut reply.body) {
        Outgoing::Upgraded(mut connection) => {
            write(io, out, alarm).await?;
            tokio::io::copy_bidirectional(io, &mut *connection).await?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        _ if is_head => write(io, out, alarm).await,
        Outgoing::None => write(io, out, alarm).await,
        Outgoing::Small => {
            out.extend_from_slice(&reply.small);
            write(io, out, alarm).await
        }
        Outgoing::Whole(bytes) => {
            if bytes.len() <= GATHERED {
                out.extend_from_slice(&bytes);
                return write(io, out, alarm).await;
            }
            write(io, out, alarm).await?;
            alarm.set(Instant::now() + STALLED);
            let writing = alarm.bound(io.write_all(&bytes)).await;
            writing.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
            io.flush().await
        }
        Outgoing::Flow(length, mut flow) => {
            let chunked = length.is_none() && head.version >= 1;
            stream(io, alarm, &mut *flow, chunked, out).await?;
            // Without a length and without chunks only the end of the connection says that it ends.
            match length.is_none() && !chunked {
                true => Err(io::ErrorKind::ConnectionAborted.into()),
                false => Ok(()),
            }
        }
    }
}

/// Everything before the body.
fn write_head(
    gate: &Gate,
    version: u8,
    method: &Method,
    reply: &Reply,
    keep: bool,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    match StatusCode::from_u16(reply.status) {
        Ok(status) => {
            out.extend_from_slice(status.as_str().as_bytes());
            out.push(b' ');
            let reason = status.canonical_reason().unwrap_or_default();
            out.extend_from_slice(reason.as_bytes());
        }
        Err(_) => out.extend_from_slice(b"502 Bad Gateway"),
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(reply.lines().as_bytes());
    if !reply.has(Said::Date) {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&gate.date());
        out.extend_from_slice(b"\r\n");
    }
    if reply.status == 101 {
        out.extend_from_slice(b"connection: upgrade\r\n\r\n");
        return;
    }
    let length = match (&reply.body, reply.status) {
        (Outgoing::None, 204 | 304) => None,
        (Outgoing::None, _) if *method == Method::HEAD => reply.announced,
        (Outgoing::None, _) => Some(0),
        _ => reply.length(),
    };
    if let Some(length) = length {
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    } else if matches!(reply.body, Outgoing::Flow(..)) && version >= 1 {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    match (keep, version) {
        (false, _) => out.extend_from_slice(b"connection: close\r\n"),
        (true, 0) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, _) => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn write_small(reply: &Reply, out: &mut Vec<u8>) {
    match &reply.body {
        Outgoing::Whole(bytes) => out.extend_from_slice(bytes),
        Outgoing::Small => out.extend_from_slice(&reply.small),
        _ => {}
    }
}

/// Writes what is in `out`.
async fn write<S: AsyncWrite + Unpin>(
    io: &mut Buffered<S>,
    out: &mut Vec<u8>,
    alarm: &mut Alarm,
) -> io::Result<()> {
    let (mut written, mut waiting) = (0, false);
    poll_fn(|cx| {
        match poll_write_all(io, out, &mut written, cx) {
            Poll::Ready(done) => return Poll::Ready(done),
            Poll::Pending if !waiting => {
                waiting = true;
                alarm.set(Instant::now() + STALLED);
            }
            Poll::Pending => {}
        }
        alarm.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// Writes and empties `out`, of which so much is written.
fn poll_write_all<S: AsyncWrite + Unpin>(
    io: &mut Buffered<S>,
    out: &mut Vec<u8>,
    written: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let stream = io.stream_mut();
    while *written < out.len() {
        match ready!(Pin::new(&mut *stream).poll_write(cx, &out[*written..]))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => *written += count,
        }
    }
    out.clear();
    *written = 0;
    Pin::new(stream).poll_flush(cx)
}

/// Passes a body on as it comes. A client that goes away meanwhile is noticed, also while nothing
/// comes.
async fn stream<S: AsyncRead + AsyncWrite + Unpin>(
    io: &mut Buffered<S>,
    alarm: &mut Alarm,
    flow: &mut dyn Flow,
    chunked: bool,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (mut written, mut ended, mut broken, mut waiting) = (0, false, false, false);
    poll_fn(|cx| {
        loop {
            while !ended && out.len() < GATHERED {
                match flow.poll_data(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => {
                        ended = true;
                        if chunked {
                            out.extend_from_slice(b"0\r\n\r\n");
                        }
                    }
                    Poll::Ready(Ok(count)) => {
                        if chunked {
                            // Writing to memory cannot fail.
                            let _ = io::Write::write_fmt(out, format_args!("{count:x}\r\n"));
                        }
                        out.extend_from_slice(&flow.data()[..count]);
                        flow.consume(count);
                        if chunked {
                            out.extend_from_slice(b"\r\n");
                        }
                    }
                    // What came is passed on, and then nothing: it must not look whole.
                    Poll::Ready(Err(_)) => (ended, broken) = (true, true),
                }
            }
            if !out.is_empty() {
                match poll_write_all(io, out, &mut written, cx) {
                    Poll::Ready(done) => done?,
                    Poll::Pending => {
                        if !waiting {
                            waiting = true;
                            alarm.set(Instant::now() + STALLED);
                        }
                        return alarm.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
                    }
                }
                waiting = false;
                continue;
            }
            if ended {
                return Poll::Ready(match broken {
                    true => Err(io::ErrorKind::BrokenPipe.into()),
                    false => Ok(()),
                });
            }
            if io.unread().is_empty() {
                match io.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                    }
                    Poll::Ready(filled) => {
                        filled?;
                    }
                    Poll::Pending => {}
                }
            }
            return Poll::Pending;
        }
    })
    .await
}

/// Closes so that the last answer arrives: a client that still sends would have it thrown away by
/// the reset that an early close brings.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(io: &mut Buffered<S>, alarm: &mut Alarm) {
    const LONGEST: Duration = Duration::from_secs(10);
    alarm.set(Instant::now() + LONGEST);
    let work = async {
        io.shutdown().await.ok();
        loop {
            let unread = io.unread().len();
            io.consume(unread);
            match poll_fn(|cx| io.poll_fill(cx)).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    alarm.bound(work).await;
}
