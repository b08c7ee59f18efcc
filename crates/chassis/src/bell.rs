//! Redis as a bell: it wakes consumers before their next poll, and carries nothing else.
//!
//! Losing it costs latency, never an event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::auth::Service;
use deadpool_redis::redis;
use futures::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::redis::Redis;

const CHANNEL: &str = "clarion:bell:";
/// A connection that lasted this long was a good one.
const LASTING: Duration = Duration::from_secs(10);

/// Rings the bell of one service; ringing many times at once is one ring.
#[derive(Clone, Debug, Default)]
pub struct Ringer(Arc<Notify>);

impl Ringer {
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Hears the bells of the other services.
#[derive(Clone, Debug)]
pub struct Bell {
    heard: Arc<HashMap<Service, Notify>>,
}

impl Default for Bell {
    fn default() -> Self {
        let heard = Service::ALL
            .iter()
            .map(|service| (*service, Notify::new()))
            .collect();
        Self {
            heard: Arc::new(heard),
        }
    }
}

impl Bell {
    /// Waits for `producer`'s bell, or for `poll` to pass.
    pub async fn wait(&self, producer: Service, poll: Duration) {
        if let Some(notify) = self.heard.get(&producer) {
            // Past the deadline is as good as rung: the consumer polls.
            tokio::time::timeout(poll, notify.notified()).await.ok();
        }
    }

    fn rung(&self, channel: &str) {
        let producer = channel.strip_prefix(CHANNEL).and_then(Service::parse);
        if let Some(notify) = producer.and_then(|producer| self.heard.get(&producer)) {
            notify.notify_one();
        }
    }

    /// Publishes this service's rings and listens for the others', until `stop`. Reconnects as
    /// long as Redis is away.
    pub async fn run(
        self,
        service: Service,
        ringer: Ringer,
        redis: Redis,
        stop: CancellationToken,
    ) {
        const SHORTEST: Duration = Duration::from_millis(200);
        let mut pause = SHORTEST;
        loop {
            let started = Instant::now();
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                result = self.connected(service, &ringer, redis.client()) => result,
            };
            if let Err(error) = connected {
                tracing::warn!(%error, "redis is away: events are polled");
            }
            if started.elapsed() > LASTING {
                pause = SHORTEST;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
            }
        }
    }

    /// Works until the connection ends.
    async fn connected(
        &self,
        service: Service,
        ringer: &Ringer,
        client: &redis::Client,
    ) -> redis::RedisResult<()> {
        let mut publisher = client.get_multiplexed_async_connection().await?;
        let mut subscriber = client.get_async_pubsub().await?;
        subscriber.psubscribe(format!("{CHANNEL}*")).await?;
        let mut rings = subscriber.on_message();
        let own = format!("{CHANNEL}{service}");
        loop {
            tokio::select! {
                message = rings.next() => match message {
                    Some(message) => self.rung(message.get_channel_name()),
                    None => return Ok(()),
                },
                () = ringer.0.notified() => {
                    let () = redis::cmd("PUBLISH").arg(&own).arg("").query_async(&mut publisher).await?;
                }
            }
        }
    }
}
