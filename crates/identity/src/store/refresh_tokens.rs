use chrono::{DateTime, Utc};
use common::{UserId, WorkspaceId};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::refresh_tokens as tokens;

/// One token of a family; only its hash is kept.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = tokens)]
pub(crate) struct RefreshToken {
    pub(crate) hash: Vec<u8>,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) user_id: UserId,
    pub(crate) family: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
}

pub(crate) fn insert(conn: &mut PgConnection, token: &RefreshToken) -> QueryResult<()> {
    diesel::insert_into(tokens::table)
        .values(token)
        .execute(conn)?;
    Ok(())
}

/// The token, held until the transaction ends: two uses of it wait for each other.
pub(crate) fn lock(conn: &mut PgConnection, hash: &[u8]) -> QueryResult<Option<RefreshToken>> {
    tokens::table
        .find(hash)
        .select(RefreshToken::as_select())
        .for_update()
        .first(conn)
        .optional()
}

pub(crate) fn mark_used(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(tokens::table.find(hash))
        .set(tokens::used_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Ends one sign-in: no token of the family works again.
pub(crate) fn revoke_family(
    conn: &mut PgConnection,
    family: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(tokens::table.filter(tokens::family.eq(family)))
        .filter(tokens::revoked_at.is_null())
        .set(tokens::revoked_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// The tokens that a person's living sign-ins go on with, in every workspace, the latest first.
pub(crate) fn living(
    conn: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> QueryResult<Vec<RefreshToken>> {
    tokens::table
        .filter(tokens::user_id.eq(user))
        .filter(tokens::used_at.is_null())
        .filter(tokens::revoked_at.is_null())
        .filter(tokens::expires_at.gt(now))
        .order(tokens::family.desc())
        .select(RefreshToken::as_select())
        .load(conn)
}

/// Ends one sign-in of this person; answers whether there was one.
pub(crate) fn revoke_family_of(
    conn: &mut PgConnection,
    user: UserId,
    family: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let ended = diesel::update(tokens::table.filter(tokens::family.eq(family)))
        .filter(tokens::user_id.eq(user))
        .filter(tokens::revoked_at.is_null())
        .set(tokens::revoked_at.eq(now))
        .execute(conn)?;
    Ok(ended > 0)
}

/// Ends every sign-in of a person in one workspace.
pub(crate) fn revoke_member(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(tokens::table.filter(tokens::workspace_id.eq(workspace)))
        .filter(tokens::user_id.eq(user))
        .filter(tokens::revoked_at.is_null())
        .set(tokens::revoked_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Ends every sign-in of a person, wherever they belong: their password changed.
pub(crate) fn revoke_user(
    conn: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(tokens::table.filter(tokens::user_id.eq(user)))
        .filter(tokens::revoked_at.is_null())
        .set(tokens::revoked_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Forgets tokens that expired before `before`; answers how many.
pub(crate) fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    diesel::delete(tokens::table.filter(tokens::expires_at.lt(before))).execute(conn)
}
