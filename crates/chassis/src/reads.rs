//! Questions that need not see the last commit: they go to a streaming replica while there is one
//! that keeps up, and to the database itself otherwise. How old an answer may be is bounded, and
//! said with it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, Responder};
use common::values::Secret;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use prometheus::IntCounterVec;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::error::{Fault, Unavailable};
use crate::host::Starting;
use crate::settings::Reader;
use crate::{Db, Host};

/// How old an answer is at most, in milliseconds. Absent where the database itself answered.
pub const STALENESS: &str = "x-clarion-staleness-ms";
/// How often it is seen how far the replica is.
const EVERY: Duration = Duration::from_millis(250);
const PART: &str = "replica";

/// Which replica may answer, and how far it may be behind.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Connects as the service's own role, as `DATABASE_URL` does.
    pub url: Option<Secret>,
    /// A replica that may be further behind is not asked.
    pub most: Duration,
    pub pool: u32,
}

impl ReplicaSettings {
    pub fn read(read: &mut Reader<'_>) -> Self {
        Self {
            url: read.optional_secret("DATABASE_REPLICA_URL"),
            most: Duration::from_millis(read.or("DATABASE_REPLICA_MAX_STALENESS_MS", 5000)),
            pool: read.or("DATABASE_POOL", 8),
        }
    }
}

/// Where questions go. Clones share it.
#[derive(Clone, Debug)]
pub struct Reads {
    primary: Db,
    replica: Option<Arc<Replica>>,
}

#[derive(Debug)]
struct Replica {
    db: Db,
    most: Duration,
    /// The latest moment of which the replica is known to hold every commit.
    as_of: Mutex<Option<Instant>>,
    answered: IntCounterVec,
}

/// An answer, and how old it is at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<T> {
    pub value: T,
    /// Absent: the database itself answered.
    pub staleness: Option<Duration>,
}

impl<T> Read<T> {
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Read<U> {
        Read {
            value: view(self.value),
            staleness: self.staleness,
        }
    }

    /// What [`STALENESS`] says of it.
    pub fn header(&self) -> Option<(&'static str, String)> {
        header(self.staleness)
    }
}

/// What [`STALENESS`] says.
pub fn header(staleness: Option<Duration>) -> Option<(&'static str, String)> {
    staleness.map(|age| (STALENESS, age.as_millis().to_string()))
}

impl<T: Serialize> Responder for Read<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        if let Some(header) = self.header() {
            answer.insert_header(header);
        }
        answer.json(&self.value)
    }
}

impl Reads {
    /// Reads of `starting`'s database, and of its replica when there is one.
    pub fn start(starting: &mut Starting, settings: &ReplicaSettings) -> Self {
        let host = starting.host.clone();
        let Some(url) = &settings.url else {
            return Self {
                primary: host.db,
                replica: None,
            };
        };
        let replica = Arc::new(Replica {
            db: Db::of_replica(url, host.service.as_str(), settings.pool),
            most: settings.most,
            as_of: Mutex::default(),
            answered: host.metrics.counter(
                "reads_total",
                "Questions by who answered: the replica, or the database itself.",
                &["by"],
            ),
        });
        starting.spawn(PART, follow(host.clone(), Arc::clone(&replica)));
        Self {
            primary: host.db,
            replica: Some(replica),
        }
    }

    /// Runs `work` without a transaction on a blocking thread, on the replica if it is not too far
    /// behind. What it cannot answer, the database is asked.
    pub async fn run<T, E, F>(&self, work: F) -> Result<Read<T>, E>
    where
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Clone + Send + 'static,
        E: Fault + From<Unavailable> + Send + 'static,
        T: Send + 'static,
    {
        let Some(replica) = &self.replica else {
            let value = self.primary.run(work).await?;
            return Ok(Read {
                value,
                staleness: None,
            });
        };
        if let Some(as_of) = replica.usable() {
            match replica.db.run(work.clone()).await {
                Ok(value) => {
                    replica.count("replica");
                    let staleness = Some(as_of.elapsed());
                    return Ok(Read { value, staleness });
                }
                Err(error) if error.kind().0.is_server_error() => {
                    tracing::warn!(%error, "the replica did not answer; the database is asked");
                }
                Err(error) => return Err(error),
            }
        }
        replica.count("primary");
        let value = self.primary.run(work).await?;
        Ok(Read {
            value,
            staleness: None,
        })
    }

    /// How old an answer would be now; nothing when the database itself would answer.
    pub fn staleness(&self) -> Option<Duration> {
        Some(self.replica.as_ref()?.usable()?.elapsed())
    }
}

impl Replica {
    fn as_of(&self) -> MutexGuard<'_, Option<Instant>> {
        self.as_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment whose state it holds, unless that is too long ago.
    fn usable(&self) -> Option<Instant> {
        self.as_of().filter(|as_of| as_of.elapsed() <= self.most)
    }

    fn count(&self, by: &str) {
        self.answered.with_label_values(&[by]).inc();
    }
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Text)]
    system: String,
    #[diesel(sql_type = BigInt)]
    position: i64,
}

#[derive(QueryableByName)]
struct Played {
    #[diesel(sql_type = Text)]
    system: String,
    /// Absent: it is no replica.
    #[diesel(sql_type = Nullable<BigInt>)]
    position: Option<i64>,
}

/// Up to where commits are durable.
const WRITTEN: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
     (pg_current_wal_flush_lsn() - '0/0')::bigint AS position";
/// Up to where a replica holds them.
const PLAYED: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
     CASE WHEN pg_is_in_recovery()
         THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END AS position";

/// Connections of its own, which fail at once and hold up nobody.
struct Follower {
    host: Host,
    replica: Arc<Replica>,
    ours: Option<PgConnection>,
    theirs: Option<PgConnection>,
    /// When the database had written how much, as far as the replica has not got there.
    marks: VecDeque<(Instant, i64)>,
}

/// Sees how far the replica is, until the service stops.
async fn follow(host: Host, replica: Arc<Replica>) {
    let stop: CancellationToken = host.stop.clone();
    let mut follower = Follower {
        host: host.clone(),
        replica,
        ours: None,
        theirs: None,
        marks: VecDeque::new(),
    };
    let mut known = None;
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let problem = follower.look().err();
            (follower, problem)
        });
        let problem = match looked.await {
            Ok((back, problem)) => {
                follower = back;
                problem
            }
            Err(panic) => {
                tracing::error!(%panic, "nobody sees any longer how far the replica is");
                return;
            }
        };
        if known.as_ref() != Some(&problem) {
            match &problem {
                Some(problem) => tracing::warn!(problem, "the replica is not asked"),
                None => tracing::info!("the replica is asked"),
            }
            host.parts.set(PART, problem.clone());
            known = Some(problem);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

impl Follower {
    /// One look; says why the replica is not to be asked, if it is not.
    fn look(&mut self) -> Result<(), String> {
        let asked = Instant::now();
        let written: Option<Written> = ask(&mut self.ours, &self.host.db, WRITTEN).ok();
        let played: Result<Played, String> = ask(&mut self.theirs, &self.replica.db, PLAYED);
        let played = played.inspect_err(|_| *self.replica.as_of() = None)?;
        let Some(position) = played.position else {
            *self.replica.as_of() = None;
            return Err("is not in recovery: it is no replica".into());
        };
        if let Some(written) = written {
            if written.system != played.system {
                *self.replica.as_of() = None;
                return Err("is a replica of another database".into());
            }
            self.marks.push_back((asked, written.position));
        }
        while let Some((at, written)) = self.marks.front().copied() {
            if written <= position {
                *self.replica.as_of() = Some(at);
            } else if at.elapsed() <= self.replica.most {
                break;
            }
            self.marks.pop_front();
        }
        match self.replica.usable() {
            Some(_) => Ok(()),
            None => Err(format!(
                "is more than {} ms behind",
                self.replica.most.as_millis()
            )),
        }
    }
}

/// Asks on a connection that is made when there is none.
fn ask<T>(conn: &mut Option<PgConnection>, db: &Db, query: &str) -> Result<T, String>
where
    T: QueryableByName<diesel::pg::Pg> + 'static,
{
    let open = match conn {
        Some(open) => open,
        None => conn.insert(db.connect().map_err(|error| error.to_string())?),
    };
    let answer = sql_query(query).get_result(open);
    if answer.is_err() {
        *conn = None;
    }
    answer.map_err(|error| error.to_string())
}
