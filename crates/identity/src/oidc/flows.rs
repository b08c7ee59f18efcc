//! Sign-ins that are under way, in Redis: what a browser was sent away with, until it comes back.

use chrono::{DateTime, Duration, Utc};
use common::UserId;
use deadpool_redis::redis::AsyncCommands;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::sessions::{away, redis};
use crate::state::State;
use crate::tokens;

/// How long somebody may take at the provider, and for their code here.
pub(crate) const PATIENCE_S: i64 = 600;

/// A browser that was sent to the provider.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) purpose: Purpose,
    pub(crate) return_to: String,
    /// Hash of the cookie of the browser that began: nobody finishes what another one began.
    pub(crate) browser: Vec<u8>,
    pub(crate) began_at: DateTime<Utc>,
}

/// What a browser was sent away for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Purpose {
    SignIn,
    /// This person asked to be known by what the provider calls them, in this sign-in.
    Link {
        user: UserId,
        sign_in: Option<Uuid>,
    },
}

/// Somebody whom the provider vouched for, and whose second factor is still to come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) user: UserId,
    pub(crate) return_to: String,
    pub(crate) began_at: DateTime<Utc>,
}

impl Flow {
    /// Keeps it; answers the `state` it is found by.
    pub(crate) async fn keep(&self, state: &State) -> Result<String, Error> {
        let (text, hash) = tokens::opaque("")?;
        put(state, &key("state", &hash), self).await?;
        Ok(text)
    }

    /// The one of this `state`, once.
    pub(crate) async fn take(state: &State, text: &str) -> Result<Option<Self>, Error> {
        let key = key("state", &tokens::hash(text));
        let flow: Option<Self> = read(redis(state)?.get().await?.get_del(key).await)?;
        Ok(flow.filter(|flow| recent(flow.began_at, state.now())))
    }
}

impl Pending {
    pub(crate) async fn keep(&self, state: &State, browser: &[u8]) -> Result<(), Error> {
        put(state, &key("pending", browser), self).await
    }

    pub(crate) async fn find(state: &State, browser: &[u8]) -> Result<Option<Self>, Error> {
        let pending: Option<Self> = read(
            redis(state)?
                .get()
                .await?
                .get(key("pending", browser))
                .await,
        )?;
        Ok(pending.filter(|pending| recent(pending.began_at, state.now())))
    }

    pub(crate) async fn forget(state: &State, browser: &[u8]) -> Result<(), Error> {
        let mut redis = redis(state)?.get().await?;
        redis.del(key("pending", browser)).await.map_err(away)
    }
}

fn recent(began_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now < began_at + Duration::seconds(PATIENCE_S)
}

fn key(kind: &str, hash: &[u8]) -> String {
    format!("identity:oidc:{kind}:{}", hex::encode(hash))
}

async fn put(state: &State, key: &str, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(Error::internal)?;
    let mut redis = redis(state)?.get().await?;
    redis
        .set_ex(key, text, PATIENCE_S.unsigned_abs())
        .await
        .map_err(away)
}

fn read<T: DeserializeOwned>(
    text: Result<Option<String>, deadpool_redis::redis::RedisError>,
) -> Result<Option<T>, Error> {
    let text = text.map_err(away)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}
