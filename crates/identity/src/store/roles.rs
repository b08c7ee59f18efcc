use chrono::{DateTime, Utc};
use common::{RoleId, UserId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::CustomRole;
use crate::schema::{memberships, roles};

pub(crate) fn insert(conn: &mut PgConnection, role: &CustomRole) -> QueryResult<()> {
    diesel::insert_into(roles::table)
        .values(role)
        .execute(conn)?;
    Ok(())
}

/// The roles after `after`, oldest first.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<RoleId>,
    limit: i64,
) -> QueryResult<Vec<CustomRole>> {
    let mut query = roles::table
        .filter(roles::workspace_id.eq(workspace))
        .select(CustomRole::as_select())
        .order(roles::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(roles::id.gt(after));
    }
    query.load(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: RoleId,
) -> QueryResult<Option<CustomRole>> {
    roles::table
        .find((workspace, id))
        .select(CustomRole::as_select())
        .first(conn)
        .optional()
}

/// The role, held until the transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: RoleId,
) -> QueryResult<Option<CustomRole>> {
    roles::table
        .find((workspace, id))
        .select(CustomRole::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Writes name and scopes, and counts the change.
pub(crate) fn update(
    conn: &mut PgConnection,
    role: &CustomRole,
    now: DateTime<Utc>,
) -> QueryResult<CustomRole> {
    diesel::update(roles::table.find((role.workspace_id, role.id)))
        .set((
            roles::name.eq(&role.name),
            roles::scopes.eq(&role.scopes),
            roles::version.eq(roles::version + 1),
            roles::updated_at.eq(now),
        ))
        .returning(CustomRole::as_returning())
        .get_result(conn)
}

/// Who has this role.
pub(crate) fn holders(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: RoleId,
) -> QueryResult<Vec<UserId>> {
    memberships::table
        .filter(memberships::workspace_id.eq(workspace))
        .filter(memberships::role_id.eq(id))
        .select(memberships::user_id)
        .load(conn)
}

pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: RoleId,
) -> QueryResult<bool> {
    let deleted = diesel::delete(roles::table.find((workspace, id))).execute(conn)?;
    Ok(deleted == 1)
}
