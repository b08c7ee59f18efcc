//! What was revoked before it expired. identity writes it to a stream in Redis; every process
//! follows the stream into its memory, so a revocation is obeyed everywhere within a moment and no
//! request waits for Redis.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use common::auth::{Identity, Subject, Verified};
use deadpool_redis::redis::{self, AsyncConnectionConfig, RedisResult, aio::ConnectionLike};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::redis::Redis;

const STREAM: &str = "clarion:revocations";
/// A revocation is remembered longer than any token lives.
pub const KEPT_S: i64 = 3_600 + 300;
/// An idle stream answers at least this often, which shows that Redis is there.
const BLOCK: Duration = Duration::from_millis(1_000);
/// Redis that was not heard of for so long is away.
const SILENCE: Duration = Duration::from_millis(2_500);
/// How long somebody who must know waits for Redis to come (back).
const PATIENCE: Duration = Duration::from_millis(1_500);
const PAGE: usize = 1_000;

/// What does not count any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One token, by its `jti`.
    Token(Uuid),
    /// Every token of one sign-in, by its `sid`.
    SignIn(Uuid),
    /// Every token of a person or a key that is older than the revocation.
    Subject(Subject),
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "jti:{id}"),
            Self::SignIn(id) => write!(f, "sid:{id}"),
            Self::Subject(subject) => write!(f, "{subject}"),
        }
    }
}

impl Revoked {
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("jti", id) => id.parse().ok().map(Self::Token),
            ("sid", id) => id.parse().ok().map(Self::SignIn),
            _ => Subject::parse(text).map(Self::Subject),
        }
    }
}

/// One revocation. Its id is a version 7 UUID, as every `jti` is: which of the two is older is a
/// comparison, to the millisecond between machines and exactly within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub id: Uuid,
    pub what: Revoked,
}

impl Revocation {
    pub fn now(what: Revoked) -> Self {
        let id = Uuid::now_v7();
        Self { id, what }
    }

    fn made_at_s(&self) -> i64 {
        let stamp = self.id.get_timestamp();
        stamp.map_or(0, |stamp| stamp.to_unix().0.cast_signed())
    }
}

/// What of a token a revocation can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    jti: Uuid,
    session: Option<Uuid>,
    /// None for a service, whose tokens are not revoked.
    subject: Option<Subject>,
}

impl Marks {
    fn of(token: &Verified) -> Self {
        let caller = match token.identity {
            Identity::Caller(caller) => Some(caller),
            Identity::Service(_) => None,
        };
        Self {
            jti: token.jti,
            session: caller.and_then(|caller| caller.session),
            subject: caller.map(|caller| caller.subject),
        }
    }

    /// Of a token that came straight from identity: no signature is looked at.
    pub fn of_issued(token: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Claims {
            jti: Uuid,
            sid: Option<Uuid>,
            sub: String,
        }
        let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Claims = serde_json::from_slice(&body).ok()?;
        Some(Self {
            jti: claims.jti,
            session: claims.sid,
            subject: Subject::parse(&claims.sub),
        })
    }
}

/// All revocations that any living token could fall under.
#[derive(Debug, Default)]
pub struct Revocations {
    /// Most of the time there are none, and then nobody waits for the lock.
    any: AtomicBool,
    known: RwLock<HashMap<Revoked, Uuid>>,
    heard: Mutex<Option<Instant>>,
}

impl Revocations {
    /// Whether a genuine token was revoked.
    pub fn cover(&self, token: &Verified) -> bool {
        // Most of the time nothing is.
        self.any.load(Ordering::Acquire) && self.cover_marks(&Marks::of(token))
    }

    /// The same for a token of which only the marks are kept.
    pub fn cover_marks(&self, token: &Marks) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let ended = |what: Option<Revoked>| what.is_some_and(|what| known.contains_key(&what));
        let before = token.subject.map(Revoked::Subject);
        let before = before.and_then(|what| known.get(&what));
        let older = |id: &Uuid| token.jti.get_version_num() != 7 || token.jti < *id;
        ended(Some(Revoked::Token(token.jti)))
            || ended(token.session.map(Revoked::SignIn))
            || before.is_some_and(older)
    }

    /// Obeys a revocation from now on.
    pub fn add(&self, revocation: Revocation) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let id = known.entry(revocation.what).or_insert(revocation.id);
        *id = revocation.id.max(*id);
        self.any.store(true, Ordering::Release);
    }

    /// Forgets what no living token can fall under.
    fn forget_old(&self) {
        let since = Utc::now().timestamp() - KEPT_S;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|what, id| {
            Revocation {
                id: *id,
                what: *what,
            }
            .made_at_s()
                >= since
        });
        self.any.store(!known.is_empty(), Ordering::Release);
    }

    /// Whether Redis was heard of a moment ago: whatever was revoked before then is known here.
    pub fn is_fresh(&self) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// The same, with some patience for a process that has just started or a Redis that is back.
    pub async fn is_fresh_soon(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_fresh() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        true
    }

    fn note(&self, heard: Option<Instant>) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }

    /// Follows the stream until `stop`; reconnects as long as Redis is away, and goes on where it
    /// was.
    pub async fn follow(self: Arc<Self>, redis: Redis, stop: CancellationToken) {
        const SHORTEST: Duration = Duration::from_millis(50);
        let mut last = format!("{}-0", (Utc::now().timestamp() - KEPT_S) * 1_000);
        let mut pause = SHORTEST;
        loop {
            let before = last.clone();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.connected(redis.client(), &mut last) => ended,
            };
            let was_there = self.is_fresh() || before != last;
            self.note(None);
            if was_there {
                pause = SHORTEST;
                if let Err(error) = ended {
                    tracing::warn!(%error, "redis is away: what is revoked now is heard of later");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_millis(500)),
            }
        }
    }

    /// Reads until the connection ends.
    async fn connected(&self, client: &redis::Client, last: &mut String) -> RedisResult<()> {
        // A block takes longer than an ordinary answer may; the time limit below is ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(None);
        let mut redis = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut block = Duration::ZERO;
        let mut tidied = Instant::now();
        loop {
            let entries = match tokio::time::timeout(
                block + Duration::from_secs(1),
                next(&mut redis, last, block),
            )
            .await
            {
                Ok(entries) => entries?,
                Err(_) => return Err(silent()),
            };
            // The first answer comes at once, so that a start does not wait.
            block = BLOCK;
            let all = entries.len() < PAGE;
            for (position, revocation) in entries {
                if let Some(revocation) = revocation {
                    self.add(revocation);
                }
                *last = position;
            }
            if all {
                self.note(Some(Instant::now()));
            }
            if tidied.elapsed() > Duration::from_secs(60) {
                tidied = Instant::now();
                self.forget_old();
            }
        }
    }
}

fn silent() -> redis::RedisError {
    redis::RedisError::from((redis::ErrorKind::Io, "Redis does not answer"))
}

/// What comes after `last`; waits for up to `block` if there is nothing yet. An entry that this
/// release cannot read is passed over.
async fn next(
    redis: &mut impl ConnectionLike,
    last: &str,
    block: Duration,
) -> RedisResult<Vec<(String, Option<Revocation>)>> {
    type Streams = Vec<(String, Vec<(String, HashMap<String, String>)>)>;
    let mut read = redis::cmd("XREAD");
    read.arg("COUNT").arg(PAGE);
    if !block.is_zero() {
        read.arg("BLOCK").arg(block.as_millis() as u64);
    }
    read.arg("STREAMS").arg(STREAM).arg(last);
    let streams: Option<Streams> = read.query_async(redis).await?;
    let entries = streams
        .into_iter()
        .flatten()
        .flat_map(|(_, entries)| entries);
    let revocation = |fields: HashMap<String, String>| {
        let id = fields.get("id")?.parse().ok()?;
        let what = Revoked::parse(fields.get("what")?)?;
        Some(Revocation { id, what })
    };
    Ok(entries
        .map(|(position, fields)| (position, revocation(fields)))
        .collect())
}

/// Tells every process. What is old enough to be of no use is forgotten at the same time.
pub async fn publish(
    redis: &mut impl ConnectionLike,
    revocations: &[Revocation],
) -> RedisResult<()> {
    let oldest = (Utc::now().timestamp() - KEPT_S) * 1_000;
    let mut pipe = redis::pipe();
    for revocation in revocations {
        pipe.cmd("XADD")
            .arg(STREAM)
            .arg("MINID")
            .arg("~")
            .arg(oldest)
            .arg("*")
            .arg("id")
            .arg(revocation.id.to_string())
            .arg("what")
            .arg(revocation.what.to_string())
            .ignore();
    }
    pipe.exec_async(redis).await
}

/// Whether the stream is there; a Redis that lost its memory has none.
pub async fn is_kept(redis: &mut impl ConnectionLike) -> RedisResult<bool> {
    redis::cmd("EXISTS").arg(STREAM).query_async(redis).await
}

#[cfg(test)]
mod tests {
    use common::UserId;

    use super::*;

    fn token(subject: Subject, session: Option<Uuid>) -> Marks {
        Marks {
            jti: Uuid::now_v7(),
            session,
            subject: Some(subject),
        }
    }

    #[test]
    fn a_person_is_signed_out_up_to_now_and_not_from_now_on() {
        let (revocations, ada) = (Revocations::default(), Subject::User(UserId::new()));
        let old = token(ada, None);
        assert!(!revocations.cover_marks(&old));
        revocations.add(Revocation::now(Revoked::Subject(ada)));
        let other = token(Subject::User(UserId::new()), None);
        assert!(revocations.cover_marks(&old));
        assert!(!revocations.cover_marks(&token(ada, None)));
        assert!(!revocations.cover_marks(&other));
    }

    #[test]
    fn one_token_and_one_sign_in_end_alone() {
        let (revocations, ada) = (Revocations::default(), Subject::User(UserId::new()));
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        let (one, two) = (token(ada, Some(first)), token(ada, Some(second)));
        let three = token(ada, Some(second));
        revocations.add(Revocation::now(Revoked::SignIn(first)));
        revocations.add(Revocation::now(Revoked::Token(two.jti)));
        assert!(revocations.cover_marks(&one));
        assert!(revocations.cover_marks(&two));
        assert!(!revocations.cover_marks(&three));
        // Also a token that is made later for the same sign-in.
        assert!(revocations.cover_marks(&token(ada, Some(first))));
    }

    #[test]
    fn names_survive_the_stream() {
        let id = Uuid::now_v7();
        for what in [
            Revoked::Token(id),
            Revoked::SignIn(id),
            Revoked::Subject(Subject::User(UserId::new())),
            Revoked::Subject(Subject::ApiKey(common::ApiKeyId::new())),
        ] {
            assert_eq!(Revoked::parse(&what.to_string()), Some(what));
        }
        for text in ["", "jti:", "jti:7", "root:1", "sid"] {
            assert_eq!(Revoked::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_token_can_fall_under_is_forgotten() {
        let revocations = Revocations::default();
        let old = uuid::Timestamp::from_unix(uuid::NoContext, 1_000_000, 0);
        revocations.add(Revocation {
            id: Uuid::new_v7(old),
            what: Revoked::Token(Uuid::now_v7()),
        });
        revocations.forget_old();
        assert!(revocations.known.read().expect("no panic").is_empty());
    }

    #[test]
    fn what_is_no_token_has_no_marks() {
        for text in ["", "a.b.c", "..", "a.e30.c"] {
            assert_eq!(Marks::of_issued(text), None, "{text}");
        }
    }
}
