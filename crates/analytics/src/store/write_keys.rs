//! Write keys.

use chrono::{DateTime, Utc};
use common::{WorkspaceId, WriteKeyId};
use diesel::prelude::*;

use crate::domain::write_key::WriteKey;
use crate::schema::write_keys;

pub fn insert(conn: &mut PgConnection, key: &WriteKey) -> QueryResult<()> {
    diesel::insert_into(write_keys::table)
        .values(key)
        .execute(conn)?;
    Ok(())
}

/// The keys after `after`, oldest first, the revoked ones included.
pub fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<WriteKeyId>,
    limit: i64,
) -> QueryResult<Vec<WriteKey>> {
    let mut query = write_keys::table
        .filter(write_keys::workspace_id.eq(workspace))
        .select(WriteKey::as_select())
        .order(write_keys::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(write_keys::id.gt(after));
    }
    query.load(conn)
}

pub fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WriteKeyId,
) -> QueryResult<Option<WriteKey>> {
    write_keys::table
        .find((workspace, id))
        .select(WriteKey::as_select())
        .first(conn)
        .optional()
}

/// The key that may send, as its text says.
pub fn by_text(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: &str,
) -> QueryResult<Option<WriteKey>> {
    write_keys::table
        .filter(write_keys::workspace_id.eq(workspace))
        .filter(write_keys::key.eq(key))
        .filter(write_keys::revoked_at.is_null())
        .select(WriteKey::as_select())
        .first(conn)
        .optional()
}

/// Changes the name or the origins; answers the key as it is now, unless there is none.
pub fn change(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WriteKeyId,
    name: Option<&str>,
    origins: Option<&[String]>,
) -> QueryResult<Option<WriteKey>> {
    if name.is_none() && origins.is_none() {
        return find(conn, workspace, id);
    }
    diesel::update(write_keys::table.find((workspace, id)))
        .set((
            name.map(|name| write_keys::name.eq(name)),
            origins.map(|origins| write_keys::origins.eq(origins)),
        ))
        .returning(WriteKey::as_returning())
        .get_result(conn)
        .optional()
}

/// Ends a key for good; what came with it keeps its source. Answers whether there is such a key.
pub fn revoke(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WriteKeyId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let key = write_keys::table.find((workspace, id));
    diesel::update(key)
        .filter(write_keys::revoked_at.is_null())
        .set(write_keys::revoked_at.eq(now))
        .execute(conn)?;
    Ok(find(conn, workspace, id)?.is_some())
}
