//! One request to a part, and its answer back.

use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::Method;
use common::auth::Subject;

use crate::credentials::{Opened, Says};
use crate::error::Error;
use crate::gate::Gate;
use crate::headers;
use crate::reply::{Outgoing, Reply};
use crate::request::Request;
use crate::table::{Auth, Canary, Route, is_idempotent};
use crate::upstream::{Answer, AnswerBody, Call, Payload, Pool, send};
use crate::wire::{Framing, Incoming, next};

/// Bodies up to this size are gathered and sent in one write.
const SMALL: u64 = 64 * 1024;

/// Passes a request on to its part, and the answer back.
pub(crate) async fn forward(
    gate: &Rc<Gate>,
    route: &Route,
    request: &Request<'_>,
    opened: &Opened,
    body: &mut dyn Incoming,
    reply: &mut Reply,
) -> Result<(), Error> {
    let pool = choose(route, request, opened);
    if !pool.exists() && route.optional {
        // A part that this installation does not have leaves no trace.
        return Err(Error::NoRoute);
    }
    let terms = route.terms(request.text("content-type").unwrap_or_default());
    let patience = gate.shared.timeout;
    body.bound(terms.limit, patience);
    if let Framing::Length(length) = body.framing()
        && length > terms.limit
    {
        return Err(Error::BodyTooLarge(terms.limit));
    }
    let mut head = gate.buffer();
    write_head(route, request, opened, &mut head);
    let call = Call {
        pool,
        head: &head,
        idempotent: is_idempotent(request.method()),
        head_only: *request.method() == Method::HEAD,
        retries: route.retries,
        until: Instant::now() + terms.timeout.unwrap_or(patience),
    };
    let answer = match body.framing() {
        Framing::None | Framing::Length(0) => {
            // An empty body is said to be one, as it came.
            let none = body.framing() == Framing::None;
            let mut payload = if none {
                Payload::None
            } else {
                Payload::Whole(&[])
            };
            send(gate, &call, &mut payload).await
        }
        Framing::Length(length) if length <= SMALL => {
            let mut whole = gate.buffer();
            let gathered = gather(body, &mut whole).await;
            let answer = match gathered {
                Ok(()) => send(gate, &call, &mut Payload::Whole(&whole)).await,
                Err(error) => Err(error),
            };
            gate.spare(whole);
            answer
        }
        _ => send(gate, &call, &mut Payload::Flow(body)).await,
    };
    gate.spare(head);
    let answer = answer?;
    if answer.head.status == 101 && !request.head.asks_for_websocket() {
        return Err(Error::broken(
            pool.name(),
            "it changed the protocol unasked",
        ));
    }
    respond(gate, request, answer, reply);
    Ok(())
}

async fn gather(body: &mut dyn Incoming, whole: &mut Vec<u8>) -> Result<(), Error> {
    loop {
        match next(body).await? {
            0 => return Ok(()),
            count => {
                whole.extend_from_slice(&body.data()[..count]);
                body.consume(count);
            }
        }
    }
}

/// The route's pool, or its canary for those who are to try it.
fn choose<'a>(route: &'a Route, request: &Request<'_>, opened: &Opened) -> &'a Arc<Pool> {
    match &route.canary {
        Some(canary) if tries(canary, request, opened) => &canary.pool,
        _ => &route.pool,
    }
}

/// Whether a request goes to the canary. A caller is one of the few always or never: nobody sees
/// two versions in turn.
fn tries(canary: &Canary, request: &Request<'_>, opened: &Opened) -> bool {
    let asked = canary.header.as_deref();
    if asked.is_some_and(|name| request.get(name).is_some()) {
        return true;
    }
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    match opened.caller.map(|caller| caller.subject) {
        Some(Subject::User(id)) => id.hash(&mut hasher),
        Some(Subject::ApiKey(id)) => id.hash(&mut hasher),
        _ => request.from.address.hash(&mut hasher),
    }
    hasher.finish() % 100 < u64::from(canary.percent)
}

/// The first line and the lines that do not depend on the replica.
fn write_head(route: &Route, request: &Request<'_>, opened: &Opened, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.head.target().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let lines = request.head.lines();
    headers::pass_request(lines, out);
    headers::vouch(request, out);
    let says = match &opened.says {
        Says::Nothing => None,
        Says::TheSame => lines.get("authorization"),
        Says::This(value) => Some(value.as_bytes()),
    };
    if let Some(value) = says {
        out.extend_from_slice(b"authorization: ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    headers::pass_cookies(lines, route.auth == Auth::Session, out);
    if request.head.asks_for_websocket() {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    }
}

/// Makes the part's answer ours. Small bodies are there whole; others go on as they come.
fn respond(gate: &Rc<Gate>, request: &Request<'_>, mut answer: Answer, reply: &mut Reply) {
    reply.status = answer.head.status;
    headers::pass_answer(&answer.connection.lines, reply);
    if request.head.asks_for_websocket() {
        if answer.head.status == 101 {
            reply.say("upgrade", b"websocket");
            reply.body = Outgoing::Upgraded(answer.connection);
            return;
        }
        // The part may wait for more of what it refused.
        answer.head.keep_alive = false;
    }
    let length = match answer.head.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    match answer.rest {
        Framing::None => {
            if *request.method() == Method::HEAD {
                reply.announced = length;
            } else if length.is_some() && !matches!(answer.head.status, 204 | 304) {
                std::mem::swap(&mut reply.small, &mut answer.connection.small);
                reply.body = Outgoing::Small;
            }
            drop(AnswerBody::new(Rc::clone(gate), answer));
        }
        _ => {
            let body = AnswerBody::new(Rc::clone(gate), answer);
            reply.body = Outgoing::Flow(length, Box::new(body));
        }
    }
}
