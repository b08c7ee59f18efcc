//! Sessions in Redis, by the hash of their cookie. Without Redis nobody is signed in by cookie:
//! that is answered as unavailable, never as a guess.

use std::collections::HashMap;

use chassis::Unavailable;
use chassis::http::Origin;
use chassis::redis::Redis;
use chrono::{DateTime, Duration, Utc};
use common::auth::Role;
use common::{RoleId, UserId, WorkspaceId};
use deadpool_redis::redis::{AsyncCommands, cmd, pipe};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Member, User};
use crate::error::Error;
use crate::state::State;
use crate::tokens;

pub(crate) const COOKIE: &str = "__Host-clarion_session";
/// A session that is not used for so long is over.
const IDLE_S: i64 = 12 * 3600;
/// A session is over after this, however busy it is.
pub(crate) const ABSOLUTE_S: i64 = 7 * 24 * 3600;
/// Somebody has so many sessions at most; the one unused for longest ends for a new one.
const MOST: usize = 20;
/// That a session is in use is noted this often.
const NOTED_S: i64 = 60;

/// What a session cookie stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Its public name, which opens nothing; the tokens that are made from it carry it.
    pub(crate) id: Uuid,
    pub(crate) user_id: UserId,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) csrf: String,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) seen_at: DateTime<Utc>,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
    /// What the person was when it began: a cookie never grows into another role.
    role: Role,
    role_id: Option<RoleId>,
    /// Tells the password that it was begun with from a later one.
    password: String,
}

impl Session {
    /// Whether the person still has the password and the role that this session was begun with.
    pub(crate) fn fits(&self, member: &Member) -> bool {
        self.password == fingerprint(&member.user)
            && self.role == member.standing.role
            && self.role_id == member.standing.role_id()
    }

    pub(crate) fn ends_at(&self) -> DateTime<Utc> {
        self.started_at + Duration::seconds(ABSOLUTE_S)
    }

    fn lives(&self, now: DateTime<Utc>) -> bool {
        now < self.ends_at() && now < self.seen_at + Duration::seconds(IDLE_S)
    }
}

/// Nothing about a password, only whether its hash is another one.
fn fingerprint(user: &User) -> String {
    hex::encode(&tokens::hash(&user.password_hash)[..8])
}

/// Begins a session; answers the cookie's value.
pub(crate) async fn start(
    state: &State,
    member: &Member,
    workspace: WorkspaceId,
    origin: &Origin,
) -> Result<(String, Session), Error> {
    let (cookie, hash) = tokens::opaque("")?;
    let (csrf, _) = tokens::opaque("")?;
    let now = state.now();
    let session = Session {
        id: Uuid::now_v7(),
        user_id: member.user.id,
        workspace_id: workspace,
        csrf,
        started_at: now,
        seen_at: now,
        address: origin.address.map(|address| address.to_string()),
        agent: origin.agent.clone(),
        role: member.standing.role,
        role_id: member.standing.role_id(),
        password: fingerprint(&member.user),
    };
    let text = serde_json::to_string(&session).map_err(Error::internal)?;
    let (key, all) = (key(&hash), all_of(member.user.id));
    let mut redis = redis(state)?.get().await?;
    pipe()
        .atomic()
        .set_ex(&key, text, IDLE_S.unsigned_abs())
        .ignore()
        .hset(&all, session.id.to_string(), &key)
        .ignore()
        .expire(&all, ABSOLUTE_S)
        .ignore()
        .exec_async(&mut redis)
        .await
        .map_err(away)?;
    Ok((cookie, session))
}

/// The session of a cookie, which is in use by this.
pub(crate) async fn find(state: &State, cookie: &str) -> Result<Option<Session>, Error> {
    let key = key(&tokens::hash(cookie));
    let mut redis = redis(state)?.get().await?;
    let text: Option<String> = redis.get(&key).await.map_err(away)?;
    let session = text.and_then(|text| serde_json::from_str::<Session>(&text).ok());
    let now = state.now();
    let Some(mut session) = session.filter(|session| session.lives(now)) else {
        return Ok(None);
    };
    if now - session.seen_at >= Duration::seconds(NOTED_S) {
        session.seen_at = now;
        let text = serde_json::to_string(&session).map_err(Error::internal)?;
        // Only if it is still there: it may be ending at this moment.
        let mut note = cmd("SET");
        note.arg(&key).arg(text).arg("XX").arg("EX").arg(IDLE_S);
        note.exec_async(&mut redis).await.map_err(away)?;
    }
    Ok(Some(session))
}

/// Ends the session of a cookie; answers which one it was.
pub(crate) async fn end(state: &State, cookie: &str) -> Result<Option<Session>, Error> {
    let key = key(&tokens::hash(cookie));
    let mut redis = redis(state)?.get().await?;
    let text: Option<String> = redis.get_del(&key).await.map_err(away)?;
    let session = text.and_then(|text| serde_json::from_str::<Session>(&text).ok());
    if let Some(session) = &session {
        let all = all_of(session.user_id);
        let _: () = redis
            .hdel(all, session.id.to_string())
            .await
            .map_err(away)?;
    }
    Ok(session)
}

/// A person's sessions in every workspace, the latest first.
pub(crate) async fn of_person(state: &State, user: UserId) -> Result<Vec<Session>, Error> {
    let mut redis = redis(state)?.get().await?;
    let all: HashMap<String, String> = redis.hgetall(all_of(user)).await.map_err(away)?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, keys): (Vec<String>, Vec<String>) = all.into_iter().unzip();
    let texts: Vec<Option<String>> = redis.mget(keys).await.map_err(away)?;
    let (mut living, mut gone) = (Vec::new(), Vec::new());
    for (id, text) in ids.into_iter().zip(texts) {
        let session = text.and_then(|text| serde_json::from_str::<Session>(&text).ok());
        match session.filter(|session| session.lives(state.now())) {
            Some(session) => living.push(session),
            None => gone.push(id),
        }
    }
    if !gone.is_empty() {
        let _: () = redis.hdel(all_of(user), gone).await.map_err(away)?;
    }
    living.sort_by_key(|session| std::cmp::Reverse(session.id));
    Ok(living)
}

/// Those of a person's sessions that are more than somebody may have, those unused for longest.
pub(crate) async fn surplus(state: &State, user: UserId) -> Result<Vec<Uuid>, Error> {
    let mut all = of_person(state, user).await?;
    all.sort_by_key(|session| std::cmp::Reverse(session.seen_at));
    Ok(all.iter().skip(MOST).map(|session| session.id).collect())
}

/// Ends one of a person's sessions by its public name; answers whether there was one.
pub(crate) async fn end_by_id(state: &State, user: UserId, id: Uuid) -> Result<bool, Error> {
    let (all, id) = (all_of(user), id.to_string());
    let mut redis = redis(state)?.get().await?;
    let key: Option<String> = redis.hget(&all, &id).await.map_err(away)?;
    let Some(key) = key else { return Ok(false) };
    let (ended,): (i64,) = pipe()
        .atomic()
        .del(key)
        .hdel(&all, id)
        .ignore()
        .query_async(&mut redis)
        .await
        .map_err(away)?;
    Ok(ended == 1)
}

/// Fails unless Redis answers. Without it nobody signs in: what is revoked afterwards would be
/// heard of by nobody.
pub(crate) async fn reachable(state: &State) -> Result<(), Error> {
    Ok(redis(state)?.ping().await?)
}

pub(crate) fn redis(state: &State) -> Result<&Redis, Error> {
    let redis = state.host.redis.as_ref();
    redis.ok_or_else(|| Unavailable::new("the session store").into())
}

pub(crate) fn away(cause: deadpool_redis::redis::RedisError) -> Error {
    Unavailable::because("the session store", cause).into()
}

fn key(hash: &[u8]) -> String {
    format!("identity:session:{}", hex::encode(hash))
}

/// Where a person's sessions are listed.
fn all_of(user: UserId) -> String {
    format!("identity:sessions:{user}")
}
