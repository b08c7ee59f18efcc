use chrono::{DateTime, Duration, Utc};
use common::{ApiKeyId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::ApiKey;
use crate::schema::api_keys;

pub(crate) fn insert(conn: &mut PgConnection, key: &ApiKey) -> QueryResult<()> {
    diesel::insert_into(api_keys::table)
        .values(key)
        .execute(conn)?;
    Ok(())
}

/// The keys after `after`, oldest first.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<ApiKeyId>,
    limit: i64,
) -> QueryResult<Vec<ApiKey>> {
    let mut query = api_keys::table
        .filter(api_keys::workspace_id.eq(workspace))
        .select(ApiKey::as_select())
        .order(api_keys::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(api_keys::id.gt(after));
    }
    query.load(conn)
}

/// The key with this hash, in whichever workspace it is.
pub(crate) fn by_hash(conn: &mut PgConnection, hash: &[u8]) -> QueryResult<Option<ApiKey>> {
    api_keys::table
        .filter(api_keys::hash.eq(hash))
        .select(ApiKey::as_select())
        .first(conn)
        .optional()
}

/// Notes that a key is in use, to the minute: a busy key is not written at every request.
pub(crate) fn touch(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let stale = now - Duration::seconds(60);
    diesel::update(api_keys::table.find((workspace, id)))
        .filter(
            api_keys::last_used_at
                .is_null()
                .or(api_keys::last_used_at.lt(stale)),
        )
        .set(api_keys::last_used_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Deletes a key; answers whether there was one.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ApiKeyId,
) -> QueryResult<bool> {
    let deleted = diesel::delete(api_keys::table.find((workspace, id))).execute(conn)?;
    Ok(deleted == 1)
}
