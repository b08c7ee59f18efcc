//! One request to a service: a replica is chosen, asked, and when that fails harmlessly another.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use super::connection::{Connection, Failure};
use super::pool::Pool;
use super::replica::Lease;
use crate::error::Error;
use crate::gate::Gate;
use crate::wire::{AnswerHead, Broken, Framing, Incoming};

/// What is to be asked, by when.
pub(crate) struct Call<'a> {
    pub(crate) pool: &'a Pool,
    /// The first line and all lines of the head but those that depend on the replica.
    pub(crate) head: &'a [u8],
    /// Carrying it out twice does what once does.
    pub(crate) idempotent: bool,
    /// The answer has no body, whatever its head says.
    pub(crate) head_only: bool,
    /// How often it may be repeated.
    pub(crate) retries: u32,
    pub(crate) until: Instant,
}

/// The body that goes with it.
pub(crate) enum Payload<'a> {
    None,
    Whole(&'a [u8]),
    Flow(&'a mut dyn Incoming),
}

/// Answers up to this size are read whole before anything of them is passed on.
const SMALL: u64 = 64 * 1024;

/// An answer. A small body is in the connection's `small`, another one is still to come.
pub(crate) struct Answer {
    pub(crate) connection: Box<Connection>,
    pub(crate) head: AnswerHead,
    pub(crate) lease: Lease,
    /// How long the body will be, as far as it did not come yet.
    pub(crate) rest: Framing,
    /// It came before the request's body was sent whole.
    pub(crate) early: bool,
}

/// Asks until somebody answers or nothing can be tried any more.
pub(crate) async fn send(
    gate: &Gate,
    call: &Call<'_>,
    payload: &mut Payload<'_>,
) -> Result<Answer, Error> {
    call.pool.earn();
    let (mut tried, mut repeated) = (Vec::new(), 0);
    loop {
        let lease = call.pool.pick(&tried)?;
        let id = lease.replica().id;
        let kept = match tried.contains(&id) {
            true => None,
            false => gate.idle.borrow_mut().take(id, Instant::now()),
        };
        let (connection, was_kept) = match kept {
            Some(connection) => (connection, true),
            None => match Connection::open(lease.replica()).await {
                Ok(connection) => (Box::new(connection), false),
                Err(failure) => {
                    // Nothing was sent: whatever it is, another replica may be asked.
                    call.pool.failed(lease.replica(), true, &failure);
                    tried.push(id);
                    if call.pool.replicas().iter().all(|it| tried.contains(&it.id)) {
                        return Err(Error::away(call.pool.name(), failure));
                    }
                    continue;
                }
            },
        };
        let failure = match ask(call, payload, connection, lease.replica().host.as_bytes()).await {
            Ok(Found {
                connection,
                head,
                rest,
                early,
            }) => {
                lease.replica().worked();
                return Ok(Answer {
                    connection,
                    head,
                    lease,
                    rest,
                    early,
                });
            }
            Err(failure) => failure,
        };
        let Asked::Failed(failure) = failure else {
            return Err(failure.into_error(call.pool.name()));
        };
        let harmless = call.idempotent && !matches!(payload, Payload::Flow(_));
        let late = matches!(failure, Failure::Late);
        if late || !harmless {
            // A slow answer says little of the replica; checks find out whether it hangs.
            if !late {
                call.pool.failed(lease.replica(), false, &failure);
            }
            return Err(Asked::Failed(failure).into_error(call.pool.name()));
        }
        if was_kept {
            // It was closed while nobody looked; those beside it will have been, too.
            gate.idle.borrow_mut().forget(id);
        } else {
            call.pool.failed(lease.replica(), false, &failure);
            repeated += 1;
            if repeated > call.retries || !call.pool.may_repeat() {
                return Err(Asked::Failed(failure).into_error(call.pool.name()));
            }
        }
        // Somebody else, where there is somebody else.
        if call
            .pool
            .replicas()
            .iter()
            .any(|it| it.id != id && !tried.contains(&it.id))
        {
            tried.push(id);
        }
    }
}

/// Why asking came to nothing.
enum Asked {
    Failed(Failure),
    /// The client's body is to blame.
    Body(Broken),
}

impl From<Failure> for Asked {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Asked {
    fn into_error(self, part: &str) -> Error {
        match self {
            Self::Body(broken) => broken.into(),
            Self::Failed(Failure::Late) => Error::Late {
                part: part.to_owned(),
            },
            Self::Failed(failure) => Error::broken(part, failure),
        }
    }
}

/// What one replica answered.
struct Found {
    connection: Box<Connection>,
    head: AnswerHead,
    rest: Framing,
    early: bool,
}

async fn ask(
    call: &Call<'_>,
    payload: &mut Payload<'_>,
    mut connection: Box<Connection>,
    host: &[u8],
) -> Result<Found, Asked> {
    let out = &mut connection.out;
    out.extend_from_slice(call.head);
    line(out, b"host: ", host);
    let left = call.until.saturating_duration_since(Instant::now());
    number(out, b"x-clarion-timeout-ms: ", left.as_millis() as u64);
    let mut early = false;
    match payload {
        Payload::None => {
            out.extend_from_slice(b"\r\n");
            connection.send(call.until).await?;
        }
        Payload::Whole(body) => {
            number(out, b"content-length: ", body.len() as u64);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
            // Whoever hangs up on a body may have answered it.
            if let Err(failure @ Failure::Late) = connection.send(call.until).await {
                return Err(failure.into());
            }
        }
        Payload::Flow(body) => {
            match body.framing() {
                Framing::Length(length) => number(out, b"content-length: ", length),
                _ => line(out, b"transfer-encoding: ", b"chunked"),
            }
            out.extend_from_slice(b"\r\n");
            early = !pass(&mut connection, &mut **body, call.until).await?;
        }
    }
    let head = connection.head(call.until).await?;
    let mut rest = match head.status {
        204 | 304 => Framing::None,
        _ if call.head_only => Framing::None,
        _ => head.framing,
    };
    connection.small.clear();
    if let Framing::Length(length) = rest
        && length <= SMALL
    {
        connection.gather(length as usize, call.until).await?;
        rest = Framing::None;
    }
    Ok(Found {
        connection,
        head,
        rest,
        early,
    })
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    line(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Passes a body on as it comes, and says whether all of it was taken: the replica may answer and
/// hang up before that.
async fn pass(
    connection: &mut Connection,
    body: &mut dyn Incoming,
    until: Instant,
) -> Result<bool, Asked> {
    let chunked = !matches!(body.framing(), Framing::Length(_));
    let mut ended = false;
    connection.alarm.set(until);
    poll_fn(|cx| {
        loop {
            match connection.io.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::Closed.into())),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(ended && connection.out.is_empty())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Io(error).into())),
                Poll::Pending => {}
            }
            match connection.poll_send(cx) {
                Poll::Ready(Ok(())) if ended => return Poll::Ready(Ok(true)),
                Poll::Ready(Ok(())) => {}
                // What it said before it hung up is read by whoever waits for the answer.
                Poll::Ready(Err(_)) => {
                    connection.out.clear();
                    return Poll::Ready(Ok(false));
                }
                Poll::Pending => return late(connection, cx),
            }
            match body.poll_data(cx) {
                Poll::Ready(Ok(0)) => {
                    ended = true;
                    if chunked {
                        connection.out.extend_from_slice(b"0\r\n\r\n");
                    }
                }
                Poll::Ready(Ok(count)) => {
                    let out = &mut connection.out;
                    if chunked {
                        // Writing to memory cannot fail.
                        let _ = std::io::Write::write_fmt(out, format_args!("{count:x}\r\n"));
                    }
                    out.extend_from_slice(&body.data()[..count]);
                    if chunked {
                        out.extend_from_slice(b"\r\n");
                    }
                    body.consume(count);
                }
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(Asked::Body(broken))),
                Poll::Pending => return late(connection, cx),
            }
        }
    })
    .await
}

fn late(connection: &mut Connection, cx: &mut std::task::Context<'_>) -> Poll<Result<bool, Asked>> {
    connection
        .alarm
        .poll(cx)
        .map(|()| Err(Failure::Late.into()))
}
