//! The hooks that providers tell us through.

use chrono::{DateTime, TimeDelta, Utc};
use common::ids::{HookId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::inbound_hooks;

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = inbound_hooks)]
pub(crate) struct Hook {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: HookId,
    pub(crate) provider: String,
    pub(crate) token_hash: Vec<u8>,
    /// Sealed by the vault.
    pub(crate) secret: Option<Vec<u8>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

pub(crate) fn insert(conn: &mut PgConnection, hook: &Hook) -> QueryResult<()> {
    diesel::insert_into(inbound_hooks::table)
        .values(hook)
        .execute(conn)?;
    Ok(())
}

/// A workspace's hooks in the order of their ids, after `after`.
pub(crate) fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<HookId>,
    limit: i64,
) -> QueryResult<Vec<Hook>> {
    let mut query = inbound_hooks::table
        .filter(inbound_hooks::workspace_id.eq(workspace.0))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(inbound_hooks::id.gt(after.0));
    }
    query
        .order(inbound_hooks::id)
        .limit(limit)
        .select(Hook::as_select())
        .load(conn)
}

/// The hook whose token has this hash, of whatever workspace: the token is what says so.
pub(crate) fn by_token(conn: &mut PgConnection, hash: &[u8]) -> QueryResult<Option<Hook>> {
    inbound_hooks::table
        .filter(inbound_hooks::token_hash.eq(hash))
        .select(Hook::as_select())
        .first(conn)
        .optional()
}

/// Remembers that a hook is used, to the minute.
pub(crate) fn used(conn: &mut PgConnection, hook: &Hook, now: DateTime<Utc>) -> QueryResult<()> {
    let lately = now - TimeDelta::minutes(1);
    if hook.last_used_at.is_none_or(|at| at < lately) {
        diesel::update(inbound_hooks::table.find((hook.workspace_id.0, hook.id.0)))
            .set(inbound_hooks::last_used_at.eq(now))
            .execute(conn)?;
    }
    Ok(())
}

/// True when there was one.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: HookId,
) -> QueryResult<bool> {
    let deleted = diesel::delete(inbound_hooks::table.find((workspace.0, id.0))).execute(conn)?;
    Ok(deleted == 1)
}
