//! What a warm-up plan leaves of today, taken from the database in small helpings, so that all
//! replicas together keep to it whatever is killed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chassis::{Db, Unavailable};
use chrono::{DateTime, NaiveDate, Utc};
use common::ids::{SenderId, WorkspaceId};

use crate::domain::warm_up::WarmUp;
use crate::store::senders;

/// Most messages taken of a day at once.
const HELPING: u32 = 100;

/// One sender's part of the day in this process.
#[derive(Debug)]
pub(super) struct Allowance {
    of: (WorkspaceId, SenderId),
    plan: WarmUp,
    today: Mutex<Today>,
    /// One helping is fetched at a time.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Today {
    day: NaiveDate,
    left: u32,
    /// There is no more to be had.
    spent: bool,
}

/// Whether one more may be sent today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Given,
    Spent,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Allowance {
    pub(super) fn new(of: (WorkspaceId, SenderId), plan: WarmUp) -> Self {
        Self {
            of,
            plan,
            today: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    fn today(&self, day: NaiveDate) -> MutexGuard<'_, Today> {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.day != day {
            *today = Today {
                day,
                ..Today::default()
            };
        }
        today
    }

    pub(super) fn cap(&self, now: DateTime<Utc>) -> Option<u32> {
        self.plan.cap(now.date_naive())
    }

    pub(super) fn is_spent(&self, now: DateTime<Utc>) -> bool {
        self.today(now.date_naive()).spent
    }

    /// Takes leave for one message.
    pub(super) async fn take(&self, db: &Db, now: DateTime<Utc>) -> Result<Leave, TakeError> {
        let day = now.date_naive();
        let Some(cap) = self.plan.cap(day) else {
            return Ok(Leave::Given);
        };
        let _one = self.fetching.lock().await;
        if let Some(leave) = self.in_hand(day) {
            return Ok(leave);
        }
        let (of, wanted) = (self.of, (cap / 50).clamp(1, HELPING));
        let given = db
            .transaction(move |conn| {
                Ok::<_, TakeError>(senders::take_of_day(conn, of, day, cap, wanted)?)
            })
            .await?;
        let mut today = self.today(day);
        today.left += given;
        today.spent = given == 0;
        drop(today);
        Ok(self.in_hand(day).unwrap_or(Leave::Spent))
    }

    fn in_hand(&self, day: NaiveDate) -> Option<Leave> {
        let mut today = self.today(day);
        if today.left > 0 {
            today.left -= 1;
            return Some(Leave::Given);
        }
        today.spent.then_some(Leave::Spent)
    }

    /// The message was not taken after all.
    pub(super) fn put_back(&self, now: DateTime<Utc>) {
        let day = now.date_naive();
        if self.plan.cap(day).is_some() {
            let mut today = self.today(day);
            today.left += 1;
            today.spent = false;
        }
    }

    /// Gives back what this process has not used.
    pub(super) async fn end(&self, db: &Db, now: DateTime<Utc>) {
        let day = now.date_naive();
        let unused = std::mem::take(&mut self.today(day).left);
        if unused == 0 {
            return;
        }
        let of = self.of;
        let given_back = db
            .run(move |conn| Ok::<_, TakeError>(senders::give_back(conn, of, day, unused)?))
            .await;
        if let Err(error) = given_back {
            tracing::warn!(unused, %error, "a part of the day's warm-up is lost");
        }
    }
}
