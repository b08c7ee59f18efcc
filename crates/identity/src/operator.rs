//! What an operator does to identity's schema by hand.

use chrono::{DateTime, Duration, Utc};
use diesel::PgConnection;
use diesel::result::Error as QueryError;

use crate::keys::{SETTLE_S, new_key};
use crate::store::signing_keys;

/// How much longer the old keys sign than the new one needs to be known everywhere.
const OVERLAP_S: i64 = 10;

/// A new signing key, and when it takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub kid: String,
    pub signs_from: DateTime<Utc>,
    /// How many keys sign no more from a moment later; what they signed is taken until it expires.
    pub retired: usize,
}

/// Makes a new signing key. Every replica publishes it at once and signs with it once all of them
/// do; the keys before it retire after that, so at every moment there is one that signs and all
/// that signed are published.
pub fn rotate(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Rotated, RotateError> {
    use diesel::Connection;
    let key = new_key(now).map_err(|error| RotateError::Key(error.to_string()))?;
    let kid = key.kid.clone();
    let retired = conn.transaction(|conn| {
        signing_keys::take_turns(conn)?;
        let until = now + Duration::seconds(SETTLE_S + OVERLAP_S);
        let retired = signing_keys::retire(conn, until)?;
        signing_keys::insert(conn, &key)?;
        Ok::<_, QueryError>(retired)
    })?;
    Ok(Rotated {
        kid,
        signs_from: now + Duration::seconds(SETTLE_S),
        retired,
    })
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error("a key cannot be made: {0}")]
    Key(String),
    #[error(transparent)]
    Query(#[from] QueryError),
}
