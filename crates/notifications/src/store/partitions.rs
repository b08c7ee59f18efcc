//! A partition of the ledger per month, by the time that message ids begin with. Months long past
//! can be detached (README.md says how), so what the ledger costs depends on the months in use and
//! not on its age.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};
use uuid::Uuid;

/// Months whose partition this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Partitions(Mutex<HashSet<NaiveDate>>);

/// The first day of the month that an id belongs to.
pub(crate) fn month_of(id: Uuid) -> NaiveDate {
    let millis = id.as_u64_pair().0 >> 16;
    let time = i64::try_from(millis).unwrap_or_default();
    month(DateTime::from_timestamp_millis(time).unwrap_or_default())
}

fn month(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    day.with_day(1).unwrap_or(day)
}

/// The smallest id of a month.
fn bound(month: NaiveDate) -> Uuid {
    let start = month.and_time(chrono::NaiveTime::MIN).and_utc();
    let millis = u64::try_from(start.timestamp_millis()).unwrap_or_default();
    Uuid::from_u64_pair(millis << 16, 0)
}

impl Partitions {
    fn known(&self, month: NaiveDate) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&month)
    }

    /// Makes sure that messages of `month` can be written.
    pub(crate) fn ensure(&self, conn: &mut PgConnection, month: NaiveDate) -> QueryResult<()> {
        if self.known(month) {
            return Ok(());
        }
        make(conn, month)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(month);
        Ok(())
    }

    /// This month's and the next one's, so that the first message of a month waits for nothing.
    pub(crate) fn ensure_ahead(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> QueryResult<()> {
        let this = month(now);
        self.ensure(conn, this)?;
        match this.checked_add_months(Months::new(1)) {
            Some(next) => self.ensure(conn, next),
            None => Ok(()),
        }
    }
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    exists: bool,
}

fn make(conn: &mut PgConnection, month: NaiveDate) -> QueryResult<()> {
    let Some(next) = month.checked_add_months(Months::new(1)) else {
        return Ok(());
    };
    let name = format!("messages_{}", month.format("%Y_%m"));
    let (from, to) = (bound(month), bound(next));
    conn.transaction(|conn| {
        // Its own statement: what follows must see what the last holder committed.
        sql_query(
            "SELECT pg_advisory_xact_lock(hashtextextended('ledger ' || current_schema(), 0))",
        )
        .execute(conn)?;
        let found = sql_query("SELECT to_regclass($1) IS NOT NULL AS exists")
            .bind::<Text, _>(&name)
            .get_result::<Exists>(conn)?;
        if found.exists {
            return Ok(());
        }
        // `PARTITION OF` would lock the whole ledger; attaching lets others read and write. Each
        // row is rewritten once, smaller than before: the page keeps room for it. With as many
        // rows as there are, a fifth of them would be too many dead ones.
        conn.batch_execute(&format!(
            "CREATE TABLE {name} (LIKE messages INCLUDING ALL)
                 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
                       autovacuum_analyze_scale_factor = 0.05);
             ALTER TABLE messages ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_month() {
        let date = |text: &str| text.parse::<NaiveDate>().expect("a date");
        for (at, month) in [
            ("2026-11-30T23:59:59.999Z", "2026-11-01"),
            ("2026-12-01T00:00:00Z", "2026-12-01"),
            ("2027-01-15T12:00:00Z", "2027-01-01"),
        ] {
            let at: DateTime<Utc> = at.parse().expect("a time");
            let millis = u64::try_from(at.timestamp_millis()).expect("after 1970");
            let id = Uuid::from_u64_pair(millis << 16 | 0x7fff, u64::MAX);
            assert_eq!(month_of(id), date(month), "{at}");
            assert!(bound(date(month)) <= id);
        }
        assert_eq!(month_of(bound(date("2026-12-01"))), date("2026-12-01"));
    }
}
