//! Gateways tell each other through Redis what they allowed, a few times a second and never while a
//! request waits. Without Redis each decides for itself, as it always does.

use std::sync::Arc;
use std::time::Duration;

use chassis::Unavailable;
use chassis::redis::Redis;
use deadpool_redis::redis::Script;

use super::{CellKey, Untold, Who};
use crate::gate::Shared;

const EVERY: Duration = Duration::from_millis(100);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Cells that go in one request.
const MOST: usize = 1_000;

/// For each key: moves its cell on by so many intervals, and answers where it stands. A cell that
/// says nothing any more is forgotten by itself.
const MOVE_ON: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stand = {}
for i, key in ipairs(KEYS) do
  local interval, ahead, count = ARGV[i * 3 - 2], ARGV[i * 3 - 1], ARGV[i * 3]
  local free_at = math.max(tonumber(redis.call('GET', key) or 0), now)
  free_at = math.min(free_at + interval * count, now + ahead * 2)
  stand[i] = string.format('%.0f', free_at)
  redis.call('SET', key, stand[i], 'PX', math.ceil((free_at - now) / 1000) + 1)
end
return stand";

/// Works until the gateway stops.
pub(crate) async fn sync(shared: Arc<Shared>, redis: Redis) {
    let (script, mut pause) = (Script::new(MOVE_ON), EVERY);
    loop {
        tokio::select! {
            () = shared.close.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let untold = shared.limits.untold(MOST);
        if untold.is_empty() {
            continue;
        }
        pause = match tell(&redis, &script, &untold).await {
            Ok(stand) => {
                for (cell, free_at) in untold.iter().zip(stand) {
                    shared.limits.hear(cell.key, free_at);
                }
                EVERY
            }
            Err(error) => {
                // What was to be told is lost; the next that is told counts again.
                tracing::debug!(%error, "each gateway counts its own requests only");
                PAUSE
            }
        };
    }
}

async fn tell(redis: &Redis, script: &Script, untold: &[Untold]) -> Result<Vec<u64>, Unavailable> {
    let mut connection = redis.get().await?;
    let mut call = script.prepare_invoke();
    for cell in untold {
        call.key(name(&cell.key));
        call.arg(cell.interval).arg(cell.ahead).arg(cell.count);
    }
    call.invoke_async(&mut connection)
        .await
        .map_err(|error| Unavailable::because("redis", error))
}

/// What a cell is called in Redis.
fn name((rule, who): &CellKey) -> String {
    let who = match who {
        Who::Everybody => "all".to_owned(),
        Who::Workspace(id) => format!("w:{id}"),
        Who::User(id) => format!("u:{id}"),
        Who::Key(id) => format!("k:{id}"),
        Who::Address(address) => format!("a:{address}"),
    };
    format!("clarion:limit:{rule:x}:{who}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gateways_add_up_what_they_allowed() {
        let servers = testkit::Servers::shared();
        let url = common::values::Secret::new(servers.redis.url());
        let redis = Redis::new(&url, None).expect("a URL");
        let (script, now) = (Script::new(MOVE_ON), super::super::now());
        let untold = |count| Untold {
            key: (now, Who::Everybody),
            count,
            interval: 1_000_000,
            ahead: 60_000_000,
        };
        let first = tell(&redis, &script, &[untold(3)]).await.expect("told");
        assert!(first[0] >= now + 3_000_000);
        let second = tell(&redis, &script, &[untold(2), untold(1)])
            .await
            .expect("told");
        assert_eq!(second, [first[0] + 2_000_000, first[0] + 3_000_000]);
        let endless = tell(&redis, &script, &[untold(1_000_000)])
            .await
            .expect("told");
        assert!(
            endless[0] <= super::super::now() + 121_000_000,
            "it comes back"
        );
    }
}
