//! A Redis pool that is allowed to be away.

use std::time::Duration;

use common::values::Secret;
use deadpool_redis::{Config, Connection, Pool, Runtime, redis};

use crate::error::Unavailable;

/// Connections to Redis. Nothing that must not be lost lives there.
#[derive(Clone)]
pub struct Redis(Pool);

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// A pool that connects when it is first used; fails only on a URL that cannot be one.
    pub fn new(url: &Secret) -> Result<Self, Unavailable> {
        let bad = |error| Unavailable::because("redis", error);
        let pool = Config::from_url(url.expose())
            .builder()
            .map_err(|error| bad(error.to_string()))?
            .max_size(8)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(1)))
            .create_timeout(Some(Duration::from_secs(1)))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self(pool))
    }

    /// One connection for one unit of work: each checkout costs a round trip.
    pub async fn get(&self) -> Result<Connection, Unavailable> {
        self.0
            .get()
            .await
            .map_err(|error| Unavailable::because("redis", error))
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Unavailable> {
        let mut connection = self.get().await?;
        redis::cmd("PING")
            .query_async(&mut connection)
            .await
            .map_err(|error| Unavailable::because("redis", error))
    }
}
