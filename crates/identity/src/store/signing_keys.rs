use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;

use crate::schema::signing_keys;

/// A key as it is kept: sealed, but for a moment after `clarion keys rotate` has made it.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) retired_at: Option<DateTime<Utc>>,
}

/// The keys that still sign or were retired after `since`, oldest first.
pub(crate) fn usable(conn: &mut PgConnection, since: DateTime<Utc>) -> QueryResult<Vec<StoredKey>> {
    signing_keys::table
        .filter(
            signing_keys::retired_at
                .is_null()
                .or(signing_keys::retired_at.gt(since)),
        )
        .order((signing_keys::created_at.asc(), signing_keys::kid.asc()))
        .select(StoredKey::as_select())
        .load(conn)
}

pub(crate) fn insert(conn: &mut PgConnection, key: &StoredKey) -> QueryResult<()> {
    diesel::insert_into(signing_keys::table)
        .values(key)
        .execute(conn)?;
    Ok(())
}

/// Has the keys that sign sign until `until` and no longer; answers how many.
pub(crate) fn retire(conn: &mut PgConnection, until: DateTime<Utc>) -> QueryResult<usize> {
    diesel::update(signing_keys::table.filter(signing_keys::retired_at.is_null()))
        .set(signing_keys::retired_at.eq(until))
        .execute(conn)
}

/// One at a time, among all replicas, until the transaction ends.
pub(crate) fn take_turns(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended('identity first start', 0))")
        .execute(conn)?;
    Ok(())
}

pub(crate) fn all(conn: &mut PgConnection) -> QueryResult<Vec<StoredKey>> {
    signing_keys::table
        .select(StoredKey::as_select())
        .load(conn)
}

/// Keeps a key sealed from now on, unless another replica has done so.
pub(crate) fn seal(conn: &mut PgConnection, key: &StoredKey, sealed: &[u8]) -> QueryResult<usize> {
    diesel::update(signing_keys::table.find(&key.kid))
        .filter(signing_keys::pkcs8.eq(&key.pkcs8))
        .set(signing_keys::pkcs8.eq(sealed))
        .execute(conn)
}
