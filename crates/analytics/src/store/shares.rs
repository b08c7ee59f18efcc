//! Shared reports.

use chrono::{DateTime, Utc};
use common::{ShareId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::share::Share;
use crate::schema::shares;

pub fn insert(conn: &mut PgConnection, share: &Share) -> QueryResult<()> {
    diesel::insert_into(shares::table)
        .values(share)
        .execute(conn)?;
    Ok(())
}

/// The shares after `after`, oldest first, the expired ones included until they are deleted.
pub fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<ShareId>,
    limit: i64,
) -> QueryResult<Vec<Share>> {
    let mut query = shares::table
        .filter(shares::workspace_id.eq(workspace))
        .select(Share::as_select())
        .order(shares::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(shares::id.gt(after));
    }
    query.load(conn)
}

/// The share that a token opens now.
pub fn open(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    hash: &[u8],
    now: DateTime<Utc>,
) -> QueryResult<Option<Share>> {
    shares::table
        .filter(shares::workspace_id.eq(workspace))
        .filter(shares::hash.eq(hash))
        .filter(shares::expires_at.gt(now))
        .select(Share::as_select())
        .first(conn)
        .optional()
}

/// Ends a share; answers whether there was one.
pub fn delete(conn: &mut PgConnection, workspace: WorkspaceId, id: ShareId) -> QueryResult<bool> {
    let deleted = diesel::delete(shares::table.find((workspace, id))).execute(conn)?;
    Ok(deleted == 1)
}
