//! Keeps the tables in shape: partitions ahead, retention behind, old ids forgotten.

use std::str::FromStr;
use std::time::Duration;

use chassis::{Host, Unavailable};
use chrono::{DateTime, Days, Utc};
use diesel::PgConnection;

use crate::error::Error;
use crate::store::{batches, ids, packed, partitions, visits};

/// How many days ahead there are partitions.
const AHEAD_DAYS: u64 = 7;
const EVERY: Duration = Duration::from_secs(600);
/// Ids forgotten in one statement.
const IDS_AT_ONCE: i64 = 20_000;

/// Makes partitions from yesterday to a week ahead.
pub fn make_ahead(conn: &mut PgConnection, now: DateTime<Utc>) -> diesel::QueryResult<()> {
    let yesterday = now.date_naive() - Days::new(1);
    let existing = partitions::days(conn)?;
    for day in yesterday.iter_days().take(AHEAD_DAYS as usize + 2) {
        if !existing.contains(&day) {
            partitions::make(conn, day)?;
        }
    }
    Ok(())
}

/// What becomes of days past their retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Past {
    #[default]
    Drop,
    /// They stay as tables of their own that nobody reads.
    Detach,
}

impl FromStr for Past {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "drop" => Ok(Self::Drop),
            "detach" => Ok(Self::Detach),
            _ => Err("must be drop or detach"),
        }
    }
}

/// Drops or detaches days older than `days`; 0 keeps all. Answers how many there were.
pub fn drop_old(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    days: u32,
    past: Past,
) -> diesel::QueryResult<usize> {
    let Some(oldest) = now.date_naive().checked_sub_days(Days::new(days.into())) else {
        return Ok(0);
    };
    let expired = partitions::days(conn)?
        .into_iter()
        .filter(|day| days > 0 && *day < oldest);
    let mut dropped = 0;
    for day in expired {
        match past {
            Past::Drop => partitions::drop(conn, day)?,
            Past::Detach => partitions::detach(conn, day)?,
        }
        packed::forget(conn, day.and_time(chrono::NaiveTime::MIN).and_utc())?;
        dropped += 1;
    }
    Ok(dropped)
}

/// Everything at once.
pub fn maintain(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    retention_days: u32,
    past: Past,
) -> Result<(), Error> {
    make_ahead(conn, now)?;
    let dropped = drop_old(conn, now, retention_days, past)?;
    if dropped > 0 {
        tracing::info!(
            days = dropped,
            ?past,
            "events past their retention are gone"
        );
    }
    while ids::prune(conn, now, IDS_AT_ONCE)? > 0 {}
    batches::prune(conn, now - chrono::Duration::hours(1))?;
    visits::prune(conn, now - chrono::Duration::days(30))?;
    Ok(())
}

/// Maintains until the service stops.
pub async fn run(host: Host, retention_days: u32, past: Past) {
    loop {
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = host.clock.now();
        let done: Result<(), Error> = host
            .db
            .run(move |conn| maintain(conn, now, retention_days, past))
            .await;
        if let Err(error) = done {
            tracing::warn!(%error, "maintenance is tried again later");
        }
    }
}

/// Has today's partition ready before the first event comes.
pub async fn at_start(host: &Host) -> Result<(), Error> {
    let now = host.clock.now();
    let made: Result<Result<(), diesel::result::Error>, Unavailable> =
        host.db.run(move |conn| Ok(make_ahead(conn, now))).await;
    Ok(made??)
}
