//! A client's connection that speaks HTTP/2: many requests at once, each a stream.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::rt;
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::header::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::door;
use crate::gate::Gate;
use crate::reply::{Outgoing, Reply, Said};
use crate::request::Sender;
use crate::wire::{Alarm, Broken, Flow, Framing, Head, Incoming, Malformed};

const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection without requests is kept.
const IDLE: Duration = Duration::from_secs(75);
/// How long a client may take nothing of an answer.
const STALLED: Duration = Duration::from_secs(60);
/// Most that is sent in one piece.
const PIECE: usize = 16 * 1024;

/// Answers requests until either side has had enough.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    gate: Rc<Gate>,
    stream: S,
    from: Sender,
) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(128)
        .max_header_list_size(32 * 1024)
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    let shaking = rt::time::timeout(HANDSHAKE, builder.handshake::<_, Bytes>(stream)).await;
    let Ok(Ok(mut connection)) = shaking else {
        return;
    };
    let (in_hand, from, closing) = (
        Rc::new(Cell::new(0_usize)),
        Rc::new(from),
        gate.close.clone(),
    );
    let mut closed = pin!(closing.cancelled());
    let (mut alarm, mut ending) = (Alarm::default(), false);
    alarm.set(Instant::now() + IDLE);
    loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(request) = connection.poll_accept(cx) {
                return Poll::Ready(Some(request));
            }
            if !ending && closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            ready!(alarm.poll(cx));
            Poll::Ready(None)
        });
        match next.await {
            Some(Some(Ok((request, respond)))) => {
                alarm.set(Instant::now() + IDLE);
                let work = answer(Rc::clone(&gate), Rc::clone(&from), request, respond);
                let counted = Counted::new(&in_hand);
                rt::spawn(async move {
                    work.await;
                    drop(counted);
                });
            }
            Some(_) => return,
            // Somebody still works: the client is not idle.
            None if in_hand.get() > 0 && !closing.is_cancelled() => {
                alarm.set(Instant::now() + IDLE);
            }
            None if ending => return,
            None => {
                // What is in hand ends; nothing new begins.
                ending = true;
                alarm.set(Instant::now() + IDLE);
                connection.graceful_shutdown();
            }
        }
    }
}

/// One of the streams in hand.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn answer(
    gate: Rc<Gate>,
    from: Rc<Sender>,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (parts, stream) = request.into_parts();
    let mut reply = Reply::default();
    let mut is_head = false;
    match head_of(&parts, stream.is_end_stream()) {
        Ok(head) => {
            is_head = head.method == Method::HEAD;
            let mut body = StreamBody::new(stream, head.framing);
            door::enter(&gate, &head, &from, &mut body, &mut reply).await;
        }
        Err(error) => door::turn_away(&gate, &from, &error.into(), &mut reply),
    }
    // A client that is gone needs no answer.
    let _ = send(&gate, reply, is_head, respond).await;
}

fn head_of(parts: &http::request::Parts, ended: bool) -> Result<Head, Malformed> {
    let method = Method::from_bytes(parts.method.as_str().as_bytes())
        .map_err(|_| Malformed::Syntax("the method"))?;
    let target = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = authority.map(|it| ("host", it.as_bytes()));
    let lines = parts.headers.iter();
    // The authority is the host; another one would be a second.
    let lines = lines
        .filter(|(name, _)| authority.is_none() || *name != http::header::HOST)
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    Head::assemble(method, target, host.into_iter().chain(lines), ended)
}

/// The body of a request.
struct StreamBody {
    stream: RecvStream,
    chunk: Bytes,
    framing: Framing,
    passed: u64,
    limit: u64,
    patience: Duration,
    alarm: Alarm,
    waiting: bool,
}

impl StreamBody {
    fn new(stream: RecvStream, framing: Framing) -> Self {
        Self {
            stream,
            chunk: Bytes::new(),
            framing,
            passed: 0,
            limit: 0,
            patience: HANDSHAKE,
            alarm: Alarm::default(),
            waiting: false,
        }
    }
}

impl Flow for StreamBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        while self.chunk.is_empty() {
            match self.stream.poll_data(cx) {
                Poll::Pending => {
                    if !self.waiting {
                        self.waiting = true;
                        self.alarm.set(Instant::now() + self.patience);
                    }
                    return self.alarm.poll(cx).map(|()| Err(Broken::Slow));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(0)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Broken::Off)),
                Poll::Ready(Some(Ok(chunk))) => {
                    self.waiting = false;
                    self.passed += chunk.len() as u64;
                    if self.passed > self.limit {
                        return Poll::Ready(Err(Broken::TooLarge(self.limit)));
                    }
                    self.chunk = chunk;
                }
            }
        }
        Poll::Ready(Ok(self.chunk.len()))
    }

    fn data(&self) -> &[u8] {
        &self.chunk
    }

    fn consume(&mut self, count: usize) {
        bytes::Buf::advance(&mut self.chunk, count);
        // Fails only where the stream is gone, which the next read says.
        let _ = self.stream.flow_control().release_capacity(count);
    }
}

impl Incoming for StreamBody {
    fn framing(&self) -> Framing {
        self.framing
    }

    fn bound(&mut self, limit: u64, patience: Duration) {
        self.limit = limit;
        self.patience = patience;
    }
}

async fn send(
    gate: &Gate,
    mut reply: Reply,
    is_head: bool,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let body = std::mem::take(&mut reply.body);
    let empty = is_head || matches!(body, Outgoing::None | Outgoing::Upgraded(_));
    let length = match (&body, reply.status) {
        (Outgoing::None, 204 | 304) => None,
        (Outgoing::None, _) if is_head => reply.announced,
        (Outgoing::None, _) => Some(0),
        (Outgoing::Small, _) => Some(reply.small.len() as u64),
        (Outgoing::Whole(bytes), _) => Some(bytes.len() as u64),
        (Outgoing::Flow(length, _), _) => *length,
        (Outgoing::Upgraded(_), _) => None,
    };
    let mut stream = respond.send_response(head(gate, &reply, length), empty)?;
    if empty {
        return Ok(());
    }
    match body {
        Outgoing::Small => write(&mut stream, Bytes::from(reply.small), true).await,
        Outgoing::Whole(bytes) => write(&mut stream, bytes, true).await,
        Outgoing::Flow(_, mut flow) => pass(&mut stream, &mut *flow).await,
        Outgoing::None | Outgoing::Upgraded(_) => Ok(()),
    }
}

fn head(gate: &Gate, reply: &Reply, length: Option<u64>) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(reply.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    for (name, value) in reply.lines().iter() {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    if !reply.has(Said::Date)
        && let Ok(date) = HeaderValue::from_bytes(&gate.date())
    {
        headers.insert(http::header::DATE, date);
    }
    if let Some(length) = length {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    response
}

/// Passes a body on as it comes; one that breaks off resets the stream, so that it never looks
/// whole.
async fn pass(stream: &mut SendStream<Bytes>, flow: &mut dyn Flow) -> Result<(), h2::Error> {
    loop {
        let gone = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => flow.poll_data(cx).map(Some),
        });
        let Some(found) = gone.await else {
            return Ok(());
        };
        match found {
            Ok(0) => return stream.send_data(Bytes::new(), true),
            Ok(count) => {
                let count = count.min(PIECE);
                let piece = Bytes::copy_from_slice(&flow.data()[..count]);
                flow.consume(count);
                write(stream, piece, false).await?;
            }
            Err(_) => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(());
            }
        }
    }
}

/// Sends as fast as the client takes it.
async fn write(
    stream: &mut SendStream<Bytes>,
    mut bytes: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len().min(PIECE));
        let waiting = rt::time::timeout(STALLED, poll_fn(|cx| stream.poll_capacity(cx)));
        let Ok(Some(room)) = waiting.await else {
            stream.send_reset(h2::Reason::CANCEL);
            return Ok(());
        };
        let piece = bytes.split_to(room?.min(bytes.len()));
        stream.send_data(piece, end && bytes.is_empty())?;
    }
    Ok(())
}
