//! The operator's word about a ledger that is held because it looks restored: `clarion ledger`.

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection};

use crate::store::{instance, restored};
pub use instance::LedgerHold;

/// What becomes of the messages that were pending in the restored ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// They are ambiguous: listed, and sent only when somebody asks for it by
    /// `POST /messages/retry`.
    AsAmbiguous,
    /// They are sent.
    Resend,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::AsAmbiguous => "as_ambiguous",
            Self::Resend => "resend",
        }
    }
}

/// Why the ledger was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    #[error("the ledger is not held")]
    NotHeld,
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

/// The last holds, the latest first; one that is not released holds the ledger.
pub fn holds(conn: &mut PgConnection) -> diesel::QueryResult<Vec<LedgerHold>> {
    instance::holds(conn, 10)
}

/// Messages that wait to be sent.
pub fn waiting(conn: &mut PgConnection) -> diesel::QueryResult<i64> {
    crate::store::messages::waiting(conn)
}

/// Releases a ledger that is held; whoever sends notices within a second. Answers how many messages
/// are in doubt now. Cut off in the middle, it is still held and may be released again.
///
/// `conn` works in the schema of this service, as its role.
pub fn release(
    conn: &mut PgConnection,
    word: Word,
    by: &str,
    now: DateTime<Utc>,
) -> Result<i64, ReleaseError> {
    let hold = instance::open_hold(conn)?.ok_or(ReleaseError::NotHeld)?;
    let in_doubt = match word {
        Word::AsAmbiguous => doubt_all(conn, &hold, now)?,
        Word::Resend => 0,
    };
    conn.transaction(|conn| {
        let found = instance::found(conn)?;
        instance::lock(conn, &found, now)?;
        if !instance::release(conn, (by, word.as_str()), in_doubt, now)? {
            return Err(ReleaseError::NotHeld);
        }
        Ok(instance::settle(conn, &found, now)?)
    })?;
    Ok(in_doubt)
}

/// In transactions of a few thousand, so that nobody else waits for long.
fn doubt_all(
    conn: &mut PgConnection,
    hold: &LedgerHold,
    now: DateTime<Utc>,
) -> diesel::QueryResult<i64> {
    let campaigns = conn.transaction(|conn| restored::doubt_campaigns(conn, now))?;
    let mut count = 0;
    for campaign in campaigns {
        while let Some(some) = conn.transaction(|conn| restored::doubt_some(conn, campaign, now))? {
            count += some;
        }
    }
    while let Some(some) =
        conn.transaction(|conn| restored::doubt_singles(conn, hold.held_at, now))?
    {
        count += some;
    }
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}
