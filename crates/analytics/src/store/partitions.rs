//! A partition of `events` per day: made ahead, dropped by retention.

use chrono::{Days, NaiveDate};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};

const PREFIX: &str = "events_";
/// Before the name of a partition that was taken out.
const PAST: &str = "past_";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The days that have a partition, in order.
pub fn days(conn: &mut PgConnection) -> QueryResult<Vec<NaiveDate>> {
    let names: Vec<Name> = sql_query(
        "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'events'::regclass ORDER BY 1",
    )
    .load(conn)?;
    Ok(names.iter().filter_map(|row| day(&row.name)).collect())
}

/// The tables of days that were taken out of `events`.
pub fn set_aside(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let names: Vec<Name> = sql_query(
        "SELECT relname::text AS name FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY 1",
    )
    .load(conn)?;
    let names = names.into_iter().map(|row| row.name);
    let past = |name: &String| name.strip_prefix(PAST).and_then(day).is_some();
    Ok(names.filter(past).collect())
}

fn name(day: NaiveDate) -> String {
    format!("{PREFIX}{}", day.format("%Y%m%d"))
}

fn day(name: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(name.strip_prefix(PREFIX)?, "%Y%m%d").ok()
}

/// Makes the partition of `day`, unless there is one. Rows of that day that went to the default
/// partition move into it. Readers and writers of other partitions are not held up.
pub fn make(conn: &mut PgConnection, day: NaiveDate) -> QueryResult<()> {
    let Some(next) = day.checked_add_days(Days::new(1)) else {
        return Ok(());
    };
    conn.transaction(|conn| {
        if !lock(conn)? || days(conn)?.contains(&day) {
            return Ok(());
        }
        let name = name(day);
        // `PARTITION OF` would lock all of `events`; attaching locks the default partition only.
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = '2s';
             CREATE TABLE {name} (LIKE events INCLUDING ALL);
             LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE;
             WITH moved AS (
                 DELETE FROM events_default
                 WHERE received_at >= '{day}' AND received_at < '{next}' RETURNING *)
             INSERT INTO {name} SELECT * FROM moved;
             ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{day}') TO ('{next}')"
        ))
    })
}

/// Drops the partition of `day` with everything in it.
pub fn drop(conn: &mut PgConnection, day: NaiveDate) -> QueryResult<()> {
    conn.transaction(|conn| {
        if !lock(conn)? || !days(conn)?.contains(&day) {
            return Ok(());
        }
        let name = name(day);
        conn.batch_execute(&format!("SET LOCAL lock_timeout = '2s'; DROP TABLE {name}"))
    })
}

/// Takes the partition of `day` out of `events`; it stays as the table `past_events_<day>`.
pub fn detach(conn: &mut PgConnection, day: NaiveDate) -> QueryResult<()> {
    conn.transaction(|conn| {
        if !lock(conn)? || !days(conn)?.contains(&day) {
            return Ok(());
        }
        let name = name(day);
        // Not concurrently: that is not to be had beside a default partition.
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = '2s';
             ALTER TABLE events DETACH PARTITION {name};
             ALTER TABLE {name} RENAME TO {PAST}{name}"
        ))
    })
}

/// Whether this transaction alone may change partitions now; whoever may not leaves it to the
/// replica that does.
fn lock(conn: &mut PgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('partitions ' || current_schema(), 0)) AS locked";
    Ok(sql_query(lock).get_result::<Locked>(conn)?.locked)
}
