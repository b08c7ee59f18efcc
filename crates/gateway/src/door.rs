//! Every request comes in here: it is named, checked, answered, hardened, counted and logged.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::http::Method;
use chassis::Fault;
use chassis::http::{context, problem};
use chassis::refusals::{self, Refused};

use crate::cache::{self, Entry};
use crate::compress::compress;
use crate::error::Error;
use crate::forward::forward;
use crate::gate::Gate;
use crate::limits::{self, Rule, Verdict};
use crate::reply::Reply;
use crate::request::{Request, Sender, Trail};
use crate::table::{self, METHODS, Priority, Route};
use crate::wire::{Head, Incoming};
use crate::{cors, credentials, headers, pages};

/// Answers a request.
pub(crate) async fn enter(
    gate: &Rc<Gate>,
    head: &Head,
    from: &Sender,
    body: &mut dyn Incoming,
    reply: &mut Reply,
) {
    let started = Instant::now();
    reply.clear();
    let trail = Trail::of(head);
    let told = gate.shared.trusted.sender(from, head);
    let request = Request {
        head,
        from: told.as_ref().unwrap_or(from),
        trail: &trail,
    };
    let view = gate.view();
    let route = view.table.find(request.method(), request.path());
    let mut verdict = None;
    let answered = answer(gate, route, &request, body, &mut verdict, reply).await;
    let label = route.map_or("own", |route| &route.prefix);
    if let Err(error) = answered {
        refuse(&request, &error, reply);
        tell(gate, &request, label, &error);
    }
    if let Some((rule, verdict)) = verdict {
        verdict.tell(rule, reply);
    }
    reply.say("x-request-id", trail.id().as_bytes());
    let shared = &gate.shared;
    headers::harden(
        reply,
        request.from.secure || shared.public_url.scheme() == "https",
    );
    if let Some(route) = route {
        cors::mark(gate, route, &request, reply);
        headers::keep_private(route, reply);
    }

    let (took, index) = (started.elapsed(), route.map(|route| route.index));
    // Labels must stay few.
    let method = match table::knows(request.method()) {
        true => request.method(),
        false => &Method::TRACE,
    };
    view.count(&shared.metrics, index, method, reply.status, took);
    let bytes = reply.length().unwrap_or(0);
    gate.log
        .borrow_mut()
        .note(&request, label, reply.status, bytes, took);
    tracing::debug!(
        request.id = trail.id(), trace.id = trail.trace_id(), method = %request.method(),
        route = label, status = reply.status, took_ms = took.as_secs_f64() * 1e3, "request"
    );
}

/// Answers what is no request: its head was malformed or did not come.
pub(crate) fn turn_away(gate: &Gate, from: &Sender, error: &Error, reply: &mut Reply) {
    let head = Head::default();
    let trail = Trail::of(&head);
    let request = Request {
        head: &head,
        from,
        trail: &trail,
    };
    reply.clear();
    refuse(&request, error, reply);
    tell(gate, &request, "none", error);
    reply.say("x-request-id", trail.id().as_bytes());
    headers::harden(reply, gate.shared.public_url.scheme() == "https");
    let method = Method::TRACE;
    let view = gate.view();
    view.count(
        &gate.shared.metrics,
        None,
        &method,
        reply.status,
        std::time::Duration::ZERO,
    );
}

fn refuse(request: &Request<'_>, error: &Error, reply: &mut Reply) {
    let response = context::with(Some(request.trail.context()), || problem(error));
    reply.take(response);
    if matches!(error, Error::Method | Error::ReadOnly) {
        reply.say("allow", METHODS.as_bytes());
    }
}

/// Has the log hear of a request that was refused here; what services refuse, they tell.
fn tell(gate: &Gate, request: &Request<'_>, route: &str, error: &Error) {
    let (status, code) = error.kind();
    if refusals::is_one(status.as_u16()) {
        gate.shared.refusals.tell(&Refused {
            request_id: request.trail.id(),
            method: request.method().as_str(),
            route,
            status: status.as_u16(),
            code,
            who: None,
            address: Some(request.from.address),
        });
    }
}

async fn answer<'r>(
    gate: &Rc<Gate>,
    route: Option<&'r Route>,
    request: &Request<'_>,
    body: &mut dyn Incoming,
    verdict: &mut Option<(&'r Rule, Verdict)>,
    reply: &mut Reply,
) -> Result<(), Error> {
    if !table::knows(request.method()) {
        return Err(Error::Method);
    }
    if !table::is_plain(request.path()) {
        return Err(Error::BadPath);
    }
    let Some(route) = route else {
        let context = request.trail.context();
        reply.take(context.scope(pages::answer(gate, request)).await?);
        compress(request, reply);
        return Ok(());
    };
    if cors::preflight(gate, route, request, reply) {
        return Ok(());
    }
    let _in_hand = InHand::enter(gate, route.priority)?;
    let opened = credentials::open(gate, request, route.auth).await?;
    for rule in &route.limits {
        let who = rule.who(opened.caller.as_ref(), request.from.address);
        let found = gate.shared.limits.take(rule, who, limits::now());
        if !found.allowed {
            *verdict = Some((rule, found));
            let seconds = found.retry.div_ceil(1_000_000);
            let rule = rule.name.clone();
            return Err(Error::TooMany { rule, seconds });
        }
        if verdict.is_none_or(|(_, other)| found.remaining < other.remaining) {
            *verdict = Some((rule, found));
        }
    }
    let entry = Entry::of(route, request, opened.caller.as_ref());
    match entry.zip(gate.redis.as_ref()) {
        None => forward(gate, route, request, &opened, body, reply).await?,
        Some((entry, redis)) => {
            let (freshness, pool) = (&gate.shared.freshness, route.pool.name());
            if !entry.find(redis, freshness, pool, reply).await {
                forward(gate, route, request, &opened, body, reply).await?;
                entry.keep(redis, reply);
            }
            cache::not_modified(request, reply);
        }
    }
    if route.compress {
        compress(request, reply);
    }
    Ok(())
}

/// A request that is being answered. When there are too many, those of low priority are refused
/// first, so that what matters most is answered as long as anything is.
struct InHand<'a>(&'a Gate);

impl<'a> InHand<'a> {
    fn enter(gate: &'a Gate, priority: Priority) -> Result<Self, Error> {
        let shared = &gate.shared;
        let before = shared.in_hand.fetch_add(1, Ordering::Relaxed);
        let entered = Self(gate);
        let most = match priority {
            Priority::Low => shared.most_in_hand / 2,
            Priority::Normal => shared.most_in_hand / 5 * 4,
            Priority::High => shared.most_in_hand,
        };
        match before < most.max(1) {
            true => Ok(entered),
            false => Err(Error::Overloaded),
        }
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.shared.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}
