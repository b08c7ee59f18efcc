//! Answers that are given again for a while, where the table says so: small ones, in Redis, which all
//! gateways share. An event of the service makes them old at once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::rt;
use chassis::bell::{Bell, Ringer};
use chassis::redis::Redis;
use common::auth::{Caller, Service};
use deadpool_redis::redis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::reply::{Outgoing, Reply, Said};
use crate::request::Request;
use crate::table::{CacheRule, Per, Route};

/// A request does not wait longer for Redis than this: the service can be asked, too.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bodies up to this size are kept.
const LARGEST: usize = 64 * 1024;

/// Since when each service's answers may be given again, in microseconds since 1970.
#[derive(Debug)]
pub(crate) struct Freshness(BTreeMap<&'static str, AtomicU64>);

impl Default for Freshness {
    fn default() -> Self {
        let names = Service::ALL.iter().map(|service| service.as_str());
        Self(names.map(|name| (name, AtomicU64::new(0))).collect())
    }
}

impl Freshness {
    fn since(&self, pool: &str) -> u64 {
        let since = self.0.get(pool);
        since.map_or(0, |since| since.load(Ordering::Acquire))
    }

    /// Listens for events, until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, redis: Redis, stop: CancellationToken) {
        /// Everything is old after this anyway.
        const LONGEST: Duration = Duration::from_secs(3600);
        let bell = Bell::default();
        let listening = bell
            .clone()
            .run(Service::Gateway, Ringer::default(), redis, stop.clone());
        let each = Service::ALL.iter().map(|service| async {
            loop {
                bell.wait(*service, LONGEST).await;
                if let Some(since) = self.0.get(service.as_str()) {
                    since.store(limits::now(), Ordering::Release);
                }
            }
        });
        tokio::select! {
            () = stop.cancelled() => {}
            () = listening => {}
            _ = futures::future::join_all(each) => {}
        }
    }
}

/// An answer that is kept, without its body.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// When the request came that brought it, in microseconds since 1970.
    at: u64,
    lines: Vec<(String, String)>,
}

/// A request whose answer may be kept.
pub(crate) struct Entry {
    key: String,
    rule: CacheRule,
    at: u64,
}

impl Entry {
    /// Where the answer to this request is, if it may be given again.
    pub(crate) fn of(
        route: &Route,
        request: &Request<'_>,
        caller: Option<&Caller>,
    ) -> Option<Self> {
        let rule = route.cache?;
        let plain = *request.method() == Method::GET
            && request.get("range").is_none()
            && !request
                .text("cache-control")
                .is_some_and(|it| it.contains("no-cache"));
        let hash = Sha256::new()
            .chain_update(whose(rule.per, request, caller)?)
            .chain_update([0])
            .chain_update(request.head.target())
            .chain_update([0])
            .chain_update(request.get("accept").unwrap_or_default());
        let mut key = format!("clarion:answer:{}:", route.pool.name());
        for byte in hash.finalize() {
            // Writing to memory cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        let at = limits::now();
        plain.then_some(Self { key, rule, at })
    }

    /// Gives a kept answer again, if there is one and nothing has happened since.
    pub(crate) async fn find(
        &self,
        redis: &Redis,
        freshness: &Freshness,
        pool: &str,
        reply: &mut Reply,
    ) -> bool {
        let getting = async {
            let mut connection = redis.get().await.ok()?;
            let mut get = redis::cmd("GET");
            let found: Result<Option<Vec<u8>>, _> =
                get.arg(&self.key).query_async(&mut connection).await;
            found.ok().flatten()
        };
        let found = rt::time::timeout(PATIENCE, getting).await;
        let Some(bytes) = found.ok().flatten() else {
            return false;
        };
        let Some(end) = memchr::memchr(b'\n', &bytes) else {
            return false;
        };
        let Ok(kept) = serde_json::from_slice::<Kept>(&bytes[..end]) else {
            return false;
        };
        if kept.at <= freshness.since(pool) {
            return false;
        }
        for (name, value) in &kept.lines {
            reply.say(name, value.as_bytes());
        }
        let age = self.at.saturating_sub(kept.at) / 1_000_000;
        reply.say("age", itoa::Buffer::new().format(age).as_bytes());
        reply.small.extend_from_slice(&bytes[end + 1..]);
        reply.body = Outgoing::Small;
        true
    }

    /// Keeps an answer, if its service does not mind; nobody waits for that.
    pub(crate) fn keep(self, redis: &Redis, reply: &mut Reply) {
        let forbidden = |value: &[u8]| {
            let value = String::from_utf8_lossy(value);
            ["no-store", "private", "no-cache"]
                .iter()
                .any(|word| value.contains(word))
        };
        let suits = reply.status == 200
            && matches!(reply.body, Outgoing::Small)
            && reply.small.len() <= LARGEST
            && reply.lines().get("set-cookie").is_none()
            && !reply.lines().all("cache-control").any(forbidden);
        if !suits {
            return;
        }
        if !reply.has(Said::Etag) {
            let tag = etag(&reply.small);
            reply.say("etag", tag.as_bytes());
        }
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        let lines = reply.lines().iter();
        let lines: Option<Vec<_>> = lines
            .map(|(name, value)| Some((name.to_owned(), text(value)?)))
            .collect();
        let Some(lines) = lines else { return };
        let kept = Kept { at: self.at, lines };
        let Ok(mut bytes) = serde_json::to_vec(&kept) else {
            return;
        };
        bytes.push(b'\n');
        bytes.extend_from_slice(&reply.small);
        let redis = redis.clone();
        rt::spawn(async move {
            let Ok(mut connection) = redis.get().await else {
                return;
            };
            let mut set = redis::cmd("SET");
            set.arg(&self.key).arg(bytes);
            set.arg("PX").arg(self.rule.age.as_millis() as u64);
            if let Err(error) = set.exec_async(&mut connection).await {
                tracing::debug!(%error, "an answer cannot be kept");
            }
        });
    }
}

/// Who shares an answer: never callers who may do different things.
fn whose(per: Per, request: &Request<'_>, caller: Option<&Caller>) -> Option<String> {
    match (per, caller) {
        (Per::Everybody, _) => Some(String::new()),
        (Per::Workspace, Some(caller)) => {
            let scopes: Vec<_> = caller.scopes().iter().map(|scope| scope.as_str()).collect();
            Some(format!("w:{}:{}", caller.workspace, scopes.join(" ")))
        }
        (Per::Caller, Some(caller)) => Some(format!("c:{}:{:?}", caller.workspace, caller.subject)),
        (Per::Address, _) => Some(format!("a:{}", request.from.text)),
        (Per::Workspace | Per::Caller, None) => None,
    }
}

/// A tag for what came without one.
fn etag(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let mut tag = String::from("\"");
    for byte in &hash[..12] {
        // Writing to memory cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Answers that the client has it already, if it does (RFC 9110 §13.1.2).
pub(crate) fn not_modified(request: &Request<'_>, reply: &mut Reply) {
    let Some(known) = request.text("if-none-match") else {
        return;
    };
    let Some(tag) = reply.lines().get("etag") else {
        return;
    };
    let tag = String::from_utf8_lossy(tag);
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let same = known.trim() == "*" || known.split(',').any(|one| plain(one) == plain(&tag));
    if reply.status == 200 && same {
        reply.status = 304;
        reply.body = Outgoing::None;
    }
}
