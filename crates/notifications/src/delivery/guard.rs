//! Sends nothing from a database that looks restored, until the operator says so.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::health::Parts;
use chassis::host::Host;
use chassis::redis::Redis;
use chassis::{Clock, Db, Unavailable};
use chrono::{DateTime, Utc};
use deadpool_redis::redis;
use diesel::PgConnection;
use prometheus::IntGaugeVec;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Wake;
use crate::domain::instance::judge;
use crate::store::instance;

/// How often the database is looked at, and its mark remembered.
const EVERY: Duration = Duration::from_secs(1);
/// What to do, for the log, `/health` and the speed of a campaign.
const ADVICE: &str = "nothing is sent until `clarion ledger release`";

/// Remembers a mark unless a later one is remembered already.
const SCRIPT: &str = r"
if (tonumber(redis.call('GET', KEYS[1])) or -1) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[1])
end
return 1
";

/// Whether the ledger may be worked off. Closed until the database was looked at.
#[derive(Debug)]
pub(crate) struct Guard {
    redis: Option<Redis>,
    parts: Parts,
    held: IntGaugeVec,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    /// The last mark that this process saw.
    seen: Option<Mark>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Postgres was not reached yet.
    #[default]
    Unknown,
    Open,
    Held(String),
}

/// A mark of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    id: Uuid,
    mark: i64,
}

/// What a look at the database found.
#[derive(Debug)]
struct Look {
    of: Mark,
    held: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Guard {
    pub(crate) fn new(host: &Host) -> Self {
        Self {
            redis: host.redis.clone(),
            parts: host.parts.clone(),
            held: host.metrics.gauge(
                "ledger_held",
                "1 while nothing is sent because the database looks restored.",
                &[],
            ),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().standing == Standing::Open
    }

    /// Why the ledger is held, and what to do; none when it is not, as far as is known.
    pub(crate) fn held(&self) -> Option<String> {
        match &self.state().standing {
            Standing::Held(reason) => Some(format!("{reason}; {ADVICE}")),
            Standing::Unknown | Standing::Open => None,
        }
    }

    /// Looks at the database now and then until `stop`.
    pub(super) async fn run(&self, db: &Db, clock: &Clock, wake: &Wake, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let was_open = self.is_open();
            self.round(db, clock.now()).await;
            if !was_open && self.is_open() {
                wake.ring();
            }
        }
    }

    /// Looks at the database with what Redis remembers of it, and tells Redis. Redis may be away:
    /// then other replicas' marks, and those of earlier starts, are not known.
    pub(super) async fn round(&self, db: &Db, now: DateTime<Utc>) {
        let id = db.run(|conn| Ok::<_, LookError>(instance::id(conn)?)).await;
        let looked = match id {
            Ok(id) => {
                let remembered = self.remembered(id).await;
                let seen = [self.state().seen, remembered];
                db.transaction(move |conn| Ok(look(conn, &seen, now)?))
                    .await
            }
            Err(error) => Err(error),
        };
        match looked {
            Ok(look) => {
                let mark = look.held.is_none().then_some(look.of);
                self.take_in(look);
                self.remember(mark).await;
            }
            Err(error) => tracing::warn!(%error, "the database cannot be looked at at the moment"),
        }
    }

    /// The same on a new connection, which may lead to another server than the last one did.
    /// Blocks; asks this process's memory only.
    pub(super) fn look_on(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> diesel::QueryResult<()> {
        let seen = [self.state().seen];
        let look = diesel::Connection::transaction(conn, |conn| look(conn, &seen, now))?;
        self.take_in(look);
        Ok(())
    }

    fn take_in(&self, look: Look) {
        let mut state = self.state();
        let standing = match look.held {
            Some(reason) => Standing::Held(reason),
            None => {
                let later = |seen: Mark| seen.id != look.of.id || seen.mark < look.of.mark;
                if state.seen.is_none_or(later) {
                    state.seen = Some(look.of);
                }
                Standing::Open
            }
        };
        if state.standing == standing {
            return;
        }
        match &standing {
            Standing::Held(reason) => {
                tracing::error!(reason, "the ledger is held: {ADVICE}");
                self.parts
                    .set("ledger", Some(format!("{reason}; {ADVICE}")));
                self.held.with_label_values::<&str>(&[]).set(1);
            }
            Standing::Unknown | Standing::Open => {
                if matches!(state.standing, Standing::Held(_)) {
                    tracing::info!("the ledger is released");
                }
                self.parts.set("ledger", None);
                self.held.with_label_values::<&str>(&[]).set(0);
            }
        }
        state.standing = standing;
    }

    async fn remembered(&self, id: Option<Uuid>) -> Option<Mark> {
        let (redis, id) = (self.redis.as_ref()?, id?);
        let mut connection = redis.get().await.ok()?;
        let asked = redis::cmd("GET")
            .arg(key(id))
            .query_async::<Option<i64>>(&mut connection)
            .await;
        let mark = asked.ok()?;
        Some(Mark { id, mark: mark? })
    }

    async fn remember(&self, mark: Option<Mark>) {
        let (Some(redis), Some(Mark { id, mark })) = (&self.redis, mark) else {
            return;
        };
        let Ok(mut connection) = redis.get().await else {
            return;
        };
        let script = redis::Script::new(SCRIPT);
        let mut call = script.key(key(id));
        let told: Result<i64, _> = call.arg(mark).invoke_async(&mut connection).await;
        if let Err(error) = told {
            tracing::debug!(%error, "redis does not remember the ledger's mark at the moment");
        }
    }
}

fn key(id: Uuid) -> String {
    format!("clarion:ledger:{id}")
}

/// Looks at the database: is it the one that `seen` is remembered of? What looks restored is held
/// from now on, for all replicas.
fn look(
    conn: &mut PgConnection,
    seen: &[Option<Mark>],
    now: DateTime<Utc>,
) -> diesel::QueryResult<Look> {
    let found = instance::found(conn)?;
    let known = instance::lock(conn, &found, now)?;
    let mut of = Mark {
        id: known.id,
        mark: known.mark,
    };
    if let Some(hold) = instance::open_hold(conn)? {
        let held = Some(hold.reason);
        return Ok(Look { of, held });
    }
    let of_this = seen.iter().flatten().filter(|seen| seen.id == known.id);
    let remembered = of_this.map(|seen| seen.mark).max();
    if let Some(restored) = judge(&known.identity, &found, known.mark, remembered) {
        let reason = restored.to_string();
        instance::hold(conn, &reason, now)?;
        let held = Some(reason);
        return Ok(Look { of, held });
    }
    instance::advance(conn, &found)?;
    of.mark += 1;
    Ok(Look { of, held: None })
}
