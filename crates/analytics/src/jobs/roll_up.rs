//! Keeps the counts up to date, hour by hour of what was received.
//!
//! An hour that events still come into is left alone: the next would make its counts useless, and
//! reports count it by itself either way. It is counted as soon as it is calm.

use std::time::{Duration, Instant};

use chassis::Host;
use chrono::{DateTime, Utc};
use diesel::PgConnection;

use crate::error::Error;
use crate::store::rollups::Dirty;
use crate::store::{days, rollups};

/// Between two rounds: reports do not wait for them.
const EVERY: Duration = Duration::from_secs(5);
/// Of the time, at most one part in so many is spent counting.
const SHARE: u32 = 10;
/// Most hours of one round.
const HOURS: usize = 500;
/// Most visitors of one round who became somebody else.
const CHANGES: i64 = 10_000;
/// Between two searches for what such visitors did, which reads a month of events.
const CHANGES_EVERY: Duration = Duration::from_secs(60);

/// Most days that are closed in one round.
const DAYS: i64 = 100;

/// Between two attempts while another replica counts.
const AGAIN: Duration = Duration::from_millis(10);

/// One round over hours that were calm since the last; answers how many of them were counted, or
/// days closed when there were none.
pub fn round(conn: &mut PgConnection, now: DateTime<Utc>) -> diesel::QueryResult<usize> {
    let hours = rollups::calm(conn, HOURS)?;
    count(conn, hours, now)
}

fn count(
    conn: &mut PgConnection,
    hours: Vec<Dirty>,
    now: DateTime<Utc>,
) -> diesel::QueryResult<usize> {
    let mut counted = 0;
    for dirty in hours {
        if !rollups::count(conn, dirty)? {
            break;
        }
        counted += 1;
    }
    match counted {
        0 => close(conn, now),
        some => Ok(some),
    }
}

/// Sums up days that are over, so that reports of months read days.
fn close(conn: &mut PgConnection, now: DateTime<Utc>) -> diesel::QueryResult<usize> {
    let mut closed = 0;
    for day in days::to_close(conn, days::day(now), DAYS)? {
        if !days::close(conn, day)? {
            break;
        }
        closed += 1;
    }
    Ok(closed)
}

/// Counts until nothing is left to count, changes of who is who included.
pub fn all(conn: &mut PgConnection, now: DateTime<Utc>) -> diesel::QueryResult<()> {
    while rollups::follow_changes(conn, now, CHANGES)? > 0 {}
    loop {
        let hours = rollups::dirty(conn, HOURS)?;
        if count(conn, hours, now)? > 0 {
            continue;
        }
        let left = rollups::dirty(conn, 1)?.len() + days::to_close(conn, days::day(now), 1)?.len();
        if left == 0 {
            return Ok(());
        }
        // Another replica is counting.
        std::thread::sleep(AGAIN);
    }
}

/// Counts until the service stops.
pub async fn run(host: Host) {
    let (mut pause, mut followed) = (EVERY, Instant::now());
    loop {
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let (started, now) = (Instant::now(), host.clock.now());
        let follow = followed.elapsed() >= CHANGES_EVERY;
        let done: Result<usize, Error> = host
            .db
            .run(move |conn| {
                if follow {
                    rollups::follow_changes(conn, now, CHANGES)?;
                }
                Ok(round(conn, now)?)
            })
            .await;
        if let Err(error) = done {
            tracing::warn!(%error, "counting is tried again later");
        }
        if follow {
            followed = Instant::now();
        }
        pause = EVERY.max(started.elapsed() * (SHARE - 1));
    }
}
