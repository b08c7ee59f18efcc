use chrono::{DateTime, Utc};
use common::WorkspaceId;
use diesel::prelude::*;

use crate::domain::Workspace;
use crate::schema::workspaces;

pub(crate) fn insert(conn: &mut PgConnection, workspace: &Workspace) -> QueryResult<()> {
    diesel::insert_into(workspaces::table)
        .values(workspace)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut PgConnection, id: WorkspaceId) -> QueryResult<Option<Workspace>> {
    workspaces::table
        .find(id)
        .select(Workspace::as_select())
        .first(conn)
        .optional()
}

/// The workspace, held until the transaction ends: changes to who its owners are wait for each
/// other.
pub(crate) fn lock(conn: &mut PgConnection, id: WorkspaceId) -> QueryResult<Option<Workspace>> {
    workspaces::table
        .find(id)
        .select(Workspace::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Writes what may change of a workspace, and counts the change.
pub(crate) fn update(
    conn: &mut PgConnection,
    changed: &Workspace,
    now: DateTime<Utc>,
) -> QueryResult<Workspace> {
    diesel::update(workspaces::table.find(changed.id))
        .set((
            workspaces::name.eq(&changed.name),
            workspaces::customer_registration.eq(changed.customer_registration),
            workspaces::second_factor_required.eq(changed.second_factor_required),
            workspaces::version.eq(workspaces::version + 1),
            workspaces::updated_at.eq(now),
        ))
        .returning(Workspace::as_returning())
        .get_result(conn)
}
