//! A Redis pool that is allowed to be away.

use std::sync::Arc;
use std::time::Duration;

use common::values::Secret;
use deadpool_redis::redis::{Client, TlsCertificates};
use deadpool_redis::{Connection, Manager, Pool, Runtime, redis};

use crate::error::Unavailable;
use crate::tls::Authority;

/// Connections to Redis. Nothing that must not be lost lives there.
#[derive(Clone)]
pub struct Redis {
    pool: Pool,
    client: Client,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// A pool that connects when it is first used; fails only on a URL that cannot be one, or an
    /// authority that cannot be read. With `rediss://` that authority alone is believed; without
    /// one, those that everybody believes.
    pub fn new(url: &Secret, authority: Option<&Arc<Authority>>) -> Result<Self, Unavailable> {
        let bad = |error: redis::RedisError| Unavailable::because("redis", error.to_string());
        let client = match authority.filter(|_| url.expose().starts_with("rediss:")) {
            Some(authority) => {
                let pem = authority.read();
                let pem = pem.map_err(|error| Unavailable::because("redis", error))?;
                let believed = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem),
                };
                Client::build_with_tls(url.expose(), believed)
            }
            None => Client::open(url.expose()),
        };
        Self::of(client.map_err(bad)?)
    }

    fn of(client: Client) -> Result<Self, Unavailable> {
        let bad = |error: String| Unavailable::because("redis", error);
        let manager = Manager::new(client.get_connection_info().clone());
        let pool = Pool::builder(manager.map_err(|error| bad(error.to_string()))?)
            .max_size(8)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(1)))
            .create_timeout(Some(Duration::from_secs(1)))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { pool, client })
    }

    /// The same Redis by connections of its own: those of a pool belong to the runtime that it is
    /// used in.
    pub fn apart(&self) -> Result<Self, Unavailable> {
        Self::of(self.client.clone())
    }

    /// For connections beside the pool: those that wait.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One connection for one unit of work: each checkout costs a round trip.
    pub async fn get(&self) -> Result<Connection, Unavailable> {
        self.pool
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
