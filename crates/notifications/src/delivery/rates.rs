//! Tokens for what is limited, shared by all replicas: Redis gives them out in small helpings,
//! asked for in the background; a message is only ever decided about from what is here. While
//! Redis is away each replica allows itself its share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::redis::Redis;
use deadpool_redis::redis;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::bucket::{Bucket, burst};

/// Shortest time between two questions to Redis.
const PAUSE: Duration = Duration::from_millis(10);
/// So long Redis is left alone after it did not answer.
const AWAY: Duration = Duration::from_secs(1);
/// A helping is what the rate allows in this many seconds.
const HELPING_S: f64 = 0.05;
/// A limit that nobody asked about for this long is forgotten.
const UNUSED: Duration = Duration::from_secs(120);

/// A bucket per key: KEYS are buckets, ARGV their rate and how many are wanted; answers how many
/// are given and, where that is too few, in how many milliseconds there is another.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local answer = {}
for i, key in ipairs(KEYS) do
    local rate, wanted = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local kept = redis.call('HMGET', key, 'tokens', 'at')
    local tokens, at = tonumber(kept[1]) or 1, tonumber(kept[2]) or now
    tokens = math.min(math.max(1, rate / 10), tokens + math.max(0, now - at) / 1000 * rate)
    local given = math.min(wanted, math.floor(tokens))
    tokens = tokens - given
    redis.call('HSET', key, 'tokens', tostring(tokens), 'at', tostring(now))
    redis.call('PEXPIRE', key, math.ceil(math.max(60000, 2000 / rate)))
    answer[2 * i - 1] = given
    answer[2 * i] = given < wanted and math.ceil((1 - tokens) / rate * 1000) or 0
end
return answer
";

/// The limits in use in this process.
#[derive(Debug)]
pub(crate) struct Rates {
    redis: Option<Redis>,
    /// How many processes share each rate while Redis is away.
    replicas: AtomicUsize,
    limits: Mutex<HashMap<String, Limit>>,
    redis_back: Mutex<Option<Instant>>,
    asked: Notify,
}

#[derive(Debug)]
struct Limit {
    per_second: f64,
    /// Tokens that Redis gave.
    granted: Bucket,
    /// What is allowed without Redis.
    own: Bucket,
    /// More are needed.
    wanted: bool,
    /// Redis has none before this.
    empty_until: Instant,
    /// Until when messages that could not wait here were put off.
    parked_until: Instant,
    used: Instant,
}

impl Rates {
    pub(crate) fn new(redis: Option<Redis>) -> Self {
        Self {
            redis,
            replicas: AtomicUsize::new(1),
            limits: Mutex::default(),
            redis_back: Mutex::default(),
            asked: Notify::new(),
        }
    }

    /// How many processes are alive, this one among them.
    pub(crate) fn shared_by(&self, replicas: usize) {
        self.replicas.store(replicas.max(1), Ordering::Relaxed);
    }

    fn limits(&self) -> MutexGuard<'_, HashMap<String, Limit>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When Redis is asked again; none when it answers.
    fn away_until(&self) -> Option<Instant> {
        let back = self.redis_back.lock();
        *back.unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alone(&self, now: Instant) -> bool {
        self.redis.is_none() || self.away_until().is_some_and(|until| now < until)
    }

    fn share(&self, per_second: f64) -> f64 {
        per_second / self.replicas.load(Ordering::Relaxed) as f64
    }

    /// Takes a token of `key`, or tells when to ask again.
    pub(crate) fn take(&self, key: &str, per_second: f64, now: Instant) -> Result<(), Duration> {
        let (alone, share) = (self.is_alone(now), self.share(per_second));
        let mut limits = self.limits();
        if !limits.contains_key(key) {
            limits.insert(key.to_owned(), Limit::new(per_second, now));
        }
        let limit = limits.get_mut(key).expect("it was just put there");
        limit.per_second = per_second;
        limit.used = now;
        if limit.granted.take_granted() {
            return Ok(());
        }
        if alone {
            return limit.own.take(share, now);
        }
        limit.wanted = true;
        self.asked.notify_one();
        let wait = limit.empty_until.saturating_duration_since(now);
        Err(wait.max(PAUSE))
    }

    /// Gives back a token that was not needed after all.
    pub(crate) fn put_back(&self, key: &str) {
        if let Some(limit) = self.limits().get_mut(key) {
            limit.granted.add(1);
        }
    }

    /// When a message that cannot wait here comes again, so that not all come at once.
    pub(crate) fn park(&self, key: &str, wait: Duration, now: Instant) -> Duration {
        let mut limits = self.limits();
        let Some(limit) = limits.get_mut(key) else {
            return wait;
        };
        let share = self.share(limit.per_second);
        let between = Duration::try_from_secs_f64(1.0 / share).unwrap_or(AWAY);
        limit.parked_until = (limit.parked_until + between).max(now + wait);
        limit.parked_until - now
    }

    /// Fetches tokens from Redis until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => {}
            }
            if let Some(redis) = &self.redis {
                self.fetch(redis).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn fetch(&self, redis: &Redis) {
        let wanted = self.wanted(Instant::now());
        if wanted.is_empty() {
            return;
        }
        let answer = ask(redis, &wanted).await;
        let now = Instant::now();
        let mut back = self
            .redis_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => {
                if back.take().is_some() {
                    tracing::info!("redis is back: rates are shared through it again");
                }
                drop(back);
                self.take_in(&wanted, &answer, now);
            }
            Err(error) => {
                if back.replace(now + AWAY).is_none() {
                    tracing::warn!(%error, "redis is away: each replica keeps to its share of the rates");
                }
            }
        }
    }

    /// What to ask for: the key, its rate, how many.
    fn wanted(&self, now: Instant) -> Vec<(String, f64, u32)> {
        let mut limits = self.limits();
        limits.retain(|_, limit| now.saturating_duration_since(limit.used) < UNUSED);
        let wanted = limits.iter_mut().filter(|(_, limit)| limit.wanted);
        wanted
            .map(|(key, limit)| {
                limit.wanted = false;
                let helping = (limit.per_second * HELPING_S).min(burst(limit.per_second));
                (
                    key.clone(),
                    limit.per_second,
                    helping.ceil().max(1.0) as u32,
                )
            })
            .collect()
    }

    fn take_in(&self, wanted: &[(String, f64, u32)], answer: &[u32], now: Instant) {
        let mut limits = self.limits();
        for ((key, ..), given) in wanted.iter().zip(answer.chunks_exact(2)) {
            if let Some(limit) = limits.get_mut(key) {
                limit.granted.add(given[0]);
                limit.empty_until = now + Duration::from_millis(given[1].into());
                // What it would have allowed itself meanwhile is no longer its to allow.
                limit.own = Bucket::empty(now);
            }
        }
    }
}

impl Limit {
    fn new(per_second: f64, now: Instant) -> Self {
        Self {
            per_second,
            granted: Bucket::empty(now),
            own: Bucket::empty(now),
            wanted: false,
            empty_until: now,
            parked_until: now,
            used: now,
        }
    }
}

async fn ask(redis: &Redis, wanted: &[(String, f64, u32)]) -> Result<Vec<u32>, String> {
    let mut connection = redis.get().await.map_err(|error| error.to_string())?;
    let script = redis::Script::new(SCRIPT);
    let mut call = script.prepare_invoke();
    for (key, per_second, count) in wanted {
        call.key(format!("clarion:rate:{key}"))
            .arg(*per_second)
            .arg(*count);
    }
    call.invoke_async(&mut connection)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_redis_each_takes_its_share() {
        let rates = Rates::new(None);
        rates.shared_by(4);
        let start = Instant::now();
        assert!(rates.take("a", 40.0, start).is_err(), "it begins with none");
        let mut taken = 0;
        for tick in 0..1_000 {
            let now = start + Duration::from_millis(tick);
            taken += u32::from(rates.take("a", 40.0, now).is_ok());
        }
        assert!((9..=10).contains(&taken), "{taken} of a second's 10");
        assert!(
            rates
                .take("b", 40.0, start + Duration::from_secs(1))
                .is_err()
        );
    }

    #[test]
    fn what_is_parked_comes_back_one_after_the_other() {
        let rates = Rates::new(None);
        let now = Instant::now();
        let wait = rates.take("a", 2.0, now).expect_err("none yet");
        let parked: Vec<_> = (0..3).map(|_| rates.park("a", wait, now)).collect();
        let half = Duration::from_millis(500);
        assert_eq!(parked, [half, half * 2, half * 3]);
    }

    #[test]
    fn a_token_that_was_not_needed_serves_another() {
        let rates = Rates::new(None);
        let now = Instant::now();
        assert!(rates.take("a", 1.0, now).is_err());
        rates.put_back("a");
        assert_eq!(rates.take("a", 1.0, now), Ok(()));
    }
}
