//! Counters of landing pages: Redis counts and answers, and what it counted is added to Postgres
//! every few seconds. What Redis loses is what it counted since; without it Postgres counts.
//!
//! `new` holds what was counted since the last flush, with an id of its own; `flushing` is a `new`
//! that is on its way into Postgres, which takes each id once. So nothing is added twice, whoever
//! stops in between, and also when Redis comes back with what it had before.

use std::collections::HashMap;
use std::time::Duration;

use chassis::redis::Redis;
use chassis::{Clock, Db, Host, Unavailable};
use common::WorkspaceId;
use deadpool_redis::redis::{self, Script};
use uuid::Uuid;

use crate::error::Error;
use crate::store::visits::{self, Page};

/// How long Redis keeps what Postgres said of a page.
const BASE_S: u64 = 600;
/// Where the id of a hash is, which is no page's name.
const ID: &str = "#id";

/// Counts one visit; answers what Postgres had (empty when that is not known) and what came since.
const COUNT: &str = "
local by = tonumber(ARGV[2])
if by > 0 then
    if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], '#id', ARGV[3]) end
    redis.call('HINCRBY', KEYS[1], ARGV[1], by)
end
local new = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
local flushing = redis.call('HGET', KEYS[2], ARGV[1]) or '0'
return {redis.call('GET', KEYS[3]) or '', tonumber(new) + tonumber(flushing)}";

/// What is to be added now: what was begun before, or else all that is new.
const BEGIN: &str = "
if redis.call('EXISTS', KEYS[2]) == 0 then
    if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
    redis.call('RENAME', KEYS[1], KEYS[2])
end
return redis.call('HGETALL', KEYS[2])";

/// It is added, and these are the sums; unless somebody else was quicker.
const END: &str = "
if redis.call('HGET', KEYS[1], '#id') ~= ARGV[1] then return 0 end
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[2]) end
return redis.call('DEL', KEYS[1])";

/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Visits {
    redis: Option<Redis>,
    db: Db,
    clock: Clock,
    /// Before the names of all keys: several installations may share a Redis. Its braces keep them
    /// on one machine of a Redis cluster.
    prefix: String,
}

impl Visits {
    pub async fn new(host: &Host) -> Result<Self, Error> {
        Self::of(host.redis.clone(), host.db.clone(), host.clock.clone()).await
    }

    /// Of the installation whose database this is.
    pub async fn of(redis: Option<Redis>, db: Db, clock: Clock) -> Result<Self, Error> {
        let name = db
            .run(|conn| Ok::<_, Error>(visits::namespace(conn)?))
            .await?;
        Ok(Self {
            redis,
            db,
            clock,
            prefix: format!("clarion:{{visits:{name}}}"),
        })
    }

    fn new_key(&self) -> String {
        format!("{}:new", self.prefix)
    }

    fn flushing_key(&self) -> String {
        format!("{}:flushing", self.prefix)
    }

    fn base_key(&self, field: &str) -> String {
        format!("{}:of:{field}", self.prefix)
    }

    /// Adds `by` to a page's visits and answers them.
    pub async fn count(&self, workspace: WorkspaceId, page: &str, by: i64) -> Result<i64, Error> {
        if let Some(redis) = &self.redis {
            match self.count_in(redis, workspace, page, by).await {
                Ok(visits) => return Ok(visits),
                Err(Trouble::Database(error)) => return Err(error),
                Err(Trouble::Redis(error)) => {
                    tracing::debug!(%error, "a visit is counted without Redis");
                }
            }
        }
        let page = page.to_owned();
        self.db
            .run(move |conn| Ok::<_, Error>(visits::add(conn, workspace, &page, by)?))
            .await
    }

    async fn count_in(
        &self,
        redis: &Redis,
        workspace: WorkspaceId,
        page: &str,
        by: i64,
    ) -> Result<i64, Trouble> {
        let mut connection = redis.get().await?;
        let field = field(workspace, page);
        let base_key = self.base_key(&field);
        let (base, since): (String, i64) = Script::new(COUNT)
            .key(self.new_key())
            .key(self.flushing_key())
            .key(&base_key)
            .arg(&field)
            .arg(by)
            .arg(Uuid::now_v7().to_string())
            .invoke_async(&mut connection)
            .await?;
        if let Ok(base) = base.parse::<i64>() {
            return Ok(base + since);
        }
        let page = page.to_owned();
        let read = move |conn: &mut _| Ok::<_, Error>(visits::of(conn, workspace, &page)?);
        let base = self.db.run(read).await.map_err(Trouble::Database)?;
        // Whoever was quicker knows better.
        let mut set = redis::cmd("SET");
        set.arg(&base_key).arg(base).arg("NX").arg("EX").arg(BASE_S);
        let set: Result<(), _> = set.query_async(&mut connection).await;
        set.ok();
        Ok(base + since)
    }

    /// Adds what Redis counted to Postgres; answers of how many pages that was.
    pub async fn flush(&self) -> Result<usize, Error> {
        let Some(redis) = &self.redis else {
            return Ok(0);
        };
        let away = |error| Error::from(Unavailable::because("redis", error));
        let mut connection = redis.get().await?;
        let mut counted: HashMap<String, String> = Script::new(BEGIN)
            .key(self.new_key())
            .key(self.flushing_key())
            .invoke_async(&mut connection)
            .await
            .map_err(away)?;
        if counted.is_empty() {
            return Ok(0);
        }
        // A hash without an id is none of ours; it gets one, so that it does not stay for ever.
        let written = counted.remove(ID).unwrap_or_default();
        let id = Uuid::parse_str(&written).unwrap_or_else(|_| Uuid::now_v7());
        let pages: Vec<(Page, i64)> = counted
            .iter()
            .filter_map(|(field, by)| Some((page_of(field)?, by.parse().ok()?)))
            .collect();
        let (count, now) = (pages.len(), self.clock.now());
        let sums = self
            .db
            .run(move |conn| Ok::<_, Error>(visits::flush(conn, id, &pages, now)?))
            .await?;
        let script = Script::new(END);
        let mut end = script.key(self.flushing_key());
        end.arg(&written).arg(BASE_S);
        for ((workspace, page), visits) in sums {
            end.key(self.base_key(&field(workspace, &page)));
            end.arg(visits);
        }
        let _: i64 = end.invoke_async(&mut connection).await.map_err(away)?;
        Ok(count)
    }

    /// Flushes every so often, and a last time when the service stops.
    pub async fn run(self, host: Host, every: Duration) {
        loop {
            let stopping = tokio::select! {
                () = host.stop.cancelled() => true,
                () = tokio::time::sleep(every) => false,
            };
            if let Err(error) = self.flush().await {
                tracing::debug!(%error, "visits are added to the database later");
            }
            if stopping {
                return;
            }
        }
    }
}

/// What keeps Redis from counting a visit.
enum Trouble {
    Redis(Unavailable),
    Database(Error),
}

impl From<Unavailable> for Trouble {
    fn from(error: Unavailable) -> Self {
        Self::Redis(error)
    }
}

impl From<redis::RedisError> for Trouble {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(Unavailable::because("redis", error))
    }
}

fn field(workspace: WorkspaceId, page: &str) -> String {
    format!("{workspace}/{page}")
}

fn page_of(field: &str) -> Option<Page> {
    let (workspace, page) = field.split_once('/')?;
    Some((workspace.parse().ok()?, page.to_owned()))
}
