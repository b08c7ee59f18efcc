use chassis::revocation::{KEPT_S, Revocation, Revoked};
use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use uuid::{NoContext, Timestamp, Uuid};

use crate::schema::revocations;

/// Revokes with the caller's transaction. Tell everybody once it has committed.
pub(crate) fn add(conn: &mut PgConnection, what: Revoked) -> QueryResult<()> {
    let revocation = Revocation::now(what);
    diesel::insert_into(revocations::table)
        .values((
            revocations::id.eq(revocation.id),
            revocations::what.eq(what.to_string()),
        ))
        .execute(conn)?;
    Ok(())
}

fn read(rows: Vec<(Uuid, String)>) -> Vec<Revocation> {
    let revocation = |(id, what): (Uuid, String)| {
        let what = Revoked::parse(&what)?;
        Some(Revocation { id, what })
    };
    rows.into_iter().filter_map(revocation).collect()
}

/// Those that nobody was told of, oldest first.
pub(crate) fn untold(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<Revocation>> {
    let rows = revocations::table
        .filter(revocations::told.eq(false))
        .order(revocations::id.asc())
        .select((revocations::id, revocations::what))
        .limit(limit)
        .load(conn)?;
    Ok(read(rows))
}

pub(crate) fn mark_told(conn: &mut PgConnection, told: &[Revocation]) -> QueryResult<()> {
    let ids = told.iter().map(|revocation| revocation.id);
    diesel::update(revocations::table.filter(revocations::id.eq_any(ids)))
        .set(revocations::told.eq(true))
        .execute(conn)?;
    Ok(())
}

/// Forgets those that no living token can fall under.
pub(crate) fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    let before = (now - Duration::seconds(KEPT_S)).timestamp();
    let before = Timestamp::from_unix(NoContext, before.try_into().unwrap_or(0), 0);
    diesel::delete(revocations::table.filter(revocations::id.lt(Uuid::new_v7(before))))
        .execute(conn)
}

/// Has all of them told again: Redis lost its memory.
pub(crate) fn tell_again(conn: &mut PgConnection) -> QueryResult<usize> {
    diesel::update(revocations::table)
        .set(revocations::told.eq(false))
        .execute(conn)
}
