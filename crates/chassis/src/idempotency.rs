//! `Idempotency-Key`: a repeated request gets the first one's answer and is not carried out again.
//!
//! The key's row and the effect commit together, so a crash between them is impossible; a second
//! request with the same key waits on the row until the first has committed.

use chrono::{DateTime, Utc};
use common::WorkspaceId;
use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::InvalidInput;
use crate::schema::idempotency_keys as keys;

/// A key as it arrived, with what the request asked for.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    key: String,
    fingerprint: Vec<u8>,
}

impl IdempotencyKey {
    /// Checks a key and binds it to the request: `route` and `body` must be the same when repeated.
    pub fn new(key: &str, route: &str, body: &impl Serialize) -> Result<Self, InvalidInput> {
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| (0x21..0x7f).contains(&b)) {
            return Err(InvalidInput::field(
                "header/Idempotency-Key",
                "must be 1 to 255 visible ASCII characters",
            ));
        }
        let mut hash = Sha256::new();
        hash.update(route.as_bytes());
        hash.update([0]);
        hash.update(serde_json::to_vec(body).unwrap_or_default());
        Ok(Self {
            key: key.to_owned(),
            fingerprint: hash.finalize().to_vec(),
        })
    }
}

/// Runs `effect` once per key, inside the caller's transaction; a repetition reads back its answer.
pub fn once<T, E>(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: Option<&IdempotencyKey>,
    now: DateTime<Utc>,
    effect: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: From<diesel::result::Error> + From<InvalidInput>,
{
    let Some(key) = key else { return effect(conn) };
    let row = keys::table.find((workspace.0, &key.key));
    let fresh = diesel::insert_into(keys::table)
        .values((
            keys::workspace_id.eq(workspace.0),
            keys::key.eq(&key.key),
            keys::fingerprint.eq(&key.fingerprint),
            keys::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?
        == 1;
    if fresh {
        let answer = effect(conn)?;
        let body = serde_json::to_value(&answer).map_err(serialization)?;
        diesel::update(row)
            .set(keys::body.eq(Some(body)))
            .execute(conn)?;
        return Ok(answer);
    }
    let answer = answered::<T, E>(conn, workspace, Some(key))?;
    answer.ok_or_else(|| diesel::result::Error::NotFound.into())
}

/// The answer that a request with this key got, if one was carried out: to be asked before checks
/// that may end differently by now. A key that was used for something else is refused.
pub fn answered<T, E>(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: Option<&IdempotencyKey>,
) -> Result<Option<T>, E>
where
    T: DeserializeOwned,
    E: From<diesel::result::Error> + From<InvalidInput>,
{
    let Some(key) = key else { return Ok(None) };
    let row: Option<(Vec<u8>, Option<serde_json::Value>)> = keys::table
        .find((workspace.0, &key.key))
        .select((keys::fingerprint, keys::body))
        .first(conn)
        .optional()?;
    let Some((fingerprint, body)) = row else {
        return Ok(None);
    };
    if fingerprint != key.fingerprint {
        return Err(InvalidInput {
            code: "idempotency_key_reused",
            ..InvalidInput::field("header/Idempotency-Key", "was used for a different request")
        }
        .into());
    }
    Ok(serde_json::from_value(body.unwrap_or_default())
        .map(Some)
        .map_err(serialization)?)
}

fn serialization(error: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(error))
}

/// Forgets keys made before `before`.
pub fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    diesel::delete(keys::table.filter(keys::created_at.lt(before))).execute(conn)
}
