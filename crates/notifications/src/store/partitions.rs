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

    /// Makes sure that messages of `month` can be written. A partition that is made here counts as
    /// known only when a later transaction has found it: this one may yet be rolled back.
    pub(crate) fn ensure(&self, conn: &mut PgConnection, month: NaiveDate) -> QueryResult<()> {
        if !self.known(month) && make(conn, month)? == Partition::Found {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(month);
        }
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

#[derive(PartialEq, Eq)]
enum Partition {
    Found,
    Made,
}

fn make(conn: &mut PgConnection, month: NaiveDate) -> QueryResult<Partition> {
    let next = month + Months::new(1);
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
            return Ok(Partition::Found);
        }
        // `PARTITION OF` would lock the whole ledger; attaching lets others read and write. Each
        // row is rewritten once, smaller than before: the page keeps room for it. With as many
        // rows as there are, a fifth of them would be too many dead ones.
        conn.batch_execute(&format!(
            "CREATE TABLE {name} (LIKE messages INCLUDING ALL)
                 WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
                       autovacuum_analyze_scale_factor = 0.05);
             ALTER TABLE messages ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        ))?;
        Ok(Partition::Made)
    })
}

#[cfg(test)]
mod tests {
    use testkit::{Database, Servers};

    use super::*;
    use crate::Notifications;

    #[test]
    fn a_partition_whose_transaction_is_rolled_back_is_made_again() {
        let database = Database::new::<Notifications>(Servers::shared());
        let mut conn = database.connect();
        let partitions = Partitions::default();
        let month = "2031-05-01".parse().expect("a date");
        let undone = conn.transaction(|conn| {
            partitions.ensure(conn, month)?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        });
        assert!(undone.is_err());

        conn.transaction(|conn| partitions.ensure(conn, month))
            .expect("it is made again");

        assert!(!partitions.known(month), "it was made and not found");
        partitions.ensure(&mut conn, month).expect("it is found");
        assert!(partitions.known(month));
        let made = make(&mut conn, month).expect("it can be looked for");
        assert!(made == Partition::Found);
    }

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
