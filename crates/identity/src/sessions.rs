//! Sessions in Redis, by the hash of their cookie. Without Redis nobody is signed in by cookie:
//! that is answered as unavailable, never as a guess.

use chassis::Unavailable;
use chassis::redis::Redis;
use chrono::{DateTime, Duration, Utc};
use common::{UserId, WorkspaceId};
use deadpool_redis::redis::cmd;
use serde::{Deserialize, Serialize};

use crate::domain::User;
use crate::error::Error;
use crate::state::State;
use crate::tokens;

pub(crate) const COOKIE: &str = "__Host-clarion_session";
/// A session that is not used for so long is over.
const IDLE_S: i64 = 12 * 3600;
/// A session is over after this, however busy it is.
pub(crate) const ABSOLUTE_S: i64 = 7 * 24 * 3600;

/// What a session cookie stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user_id: UserId,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) csrf: String,
    started_at: DateTime<Utc>,
    /// Tells the password that it was begun with from a later one.
    password: String,
}

impl Session {
    /// Whether the person still has the password that this session was begun with.
    pub(crate) fn fits(&self, user: &User) -> bool {
        self.password == fingerprint(user)
    }

    pub(crate) fn ends_at(&self) -> DateTime<Utc> {
        self.started_at + Duration::seconds(ABSOLUTE_S)
    }
}

/// Nothing about a password, only whether its hash is another one.
fn fingerprint(user: &User) -> String {
    hex::encode(&tokens::hash(&user.password_hash)[..8])
}

/// Begins a session; answers the cookie's value.
pub(crate) async fn start(
    state: &State,
    user: &User,
    workspace: WorkspaceId,
) -> Result<(String, Session), Error> {
    let (cookie, hash) = tokens::opaque("")?;
    let (csrf, _) = tokens::opaque("")?;
    let session = Session {
        user_id: user.id,
        workspace_id: workspace,
        csrf,
        started_at: state.now(),
        password: fingerprint(user),
    };
    let text = serde_json::to_string(&session).map_err(Error::internal)?;
    let mut redis = redis(state)?.get().await?;
    let mut keep = cmd("SET");
    keep.arg(key(&hash)).arg(text).arg("EX").arg(IDLE_S);
    keep.exec_async(&mut redis).await.map_err(away)?;
    Ok((cookie, session))
}

/// The session of a cookie, whose idle time starts anew.
pub(crate) async fn find(state: &State, cookie: &str) -> Result<Option<Session>, Error> {
    let mut redis = redis(state)?.get().await?;
    let mut read = cmd("GETEX");
    read.arg(key(&tokens::hash(cookie))).arg("EX").arg(IDLE_S);
    let text: Option<String> = read.query_async(&mut redis).await.map_err(away)?;
    let session = text.and_then(|text| serde_json::from_str::<Session>(&text).ok());
    Ok(session.filter(|session| session.ends_at() > state.now()))
}

pub(crate) async fn end(state: &State, cookie: &str) -> Result<(), Error> {
    let mut redis = redis(state)?.get().await?;
    let mut forget = cmd("DEL");
    forget.arg(key(&tokens::hash(cookie)));
    forget.exec_async(&mut redis).await.map_err(away)
}

fn redis(state: &State) -> Result<&Redis, Error> {
    let redis = state.host.redis.as_ref();
    redis.ok_or_else(|| Unavailable::new("the session store").into())
}

fn away(cause: deadpool_redis::redis::RedisError) -> Error {
    Unavailable::because("the session store", cause).into()
}

fn key(hash: &[u8]) -> String {
    format!("identity:session:{}", hex::encode(hash))
}
