use chrono::{DateTime, Utc};
use common::{InvitationId, RoleId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::invitations;

/// An offer to belong to a workspace. It ends when it is taken, withdrawn or too old.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations)]
pub(crate) struct Invitation {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: InvitationId,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) role: String,
    pub(crate) role_id: Option<RoleId>,
    pub(crate) invited_by: String,
    pub(crate) hash: Option<Vec<u8>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Adds an invitation; one to the same address that was there before is replaced by it.
pub(crate) fn put(conn: &mut PgConnection, invitation: &Invitation) -> QueryResult<()> {
    diesel::delete(
        invitations::table.filter(invitations::workspace_id.eq(invitation.workspace_id)),
    )
    .filter(invitations::email_key.eq(&invitation.email_key))
    .execute(conn)?;
    diesel::insert_into(invitations::table)
        .values(invitation)
        .execute(conn)?;
    Ok(())
}

/// The invitations after `after`, oldest first.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<InvitationId>,
    limit: i64,
) -> QueryResult<Vec<Invitation>> {
    let mut query = invitations::table
        .filter(invitations::workspace_id.eq(workspace))
        .select(Invitation::as_select())
        .order(invitations::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(invitations::id.gt(after));
    }
    query.load(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: InvitationId,
) -> QueryResult<Option<Invitation>> {
    invitations::table
        .find((workspace, id))
        .select(Invitation::as_select())
        .first(conn)
        .optional()
}

/// The invitation with this secret, whichever workspace it is to.
pub(crate) fn by_hash(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> QueryResult<Option<Invitation>> {
    invitations::table
        .filter(invitations::hash.eq(hash))
        .filter(invitations::expires_at.gt(now))
        .select(Invitation::as_select())
        .first(conn)
        .optional()
}

/// The secret of the mail that is about to be sent.
pub(crate) fn set_hash(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: InvitationId,
    hash: &[u8],
) -> QueryResult<()> {
    diesel::update(invitations::table.find((workspace, id)))
        .set(invitations::hash.eq(hash))
        .execute(conn)?;
    Ok(())
}

/// Ends an invitation; answers whether there was one. Of two at once one ends it.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: InvitationId,
) -> QueryResult<bool> {
    let deleted = diesel::delete(invitations::table.find((workspace, id))).execute(conn)?;
    Ok(deleted == 1)
}
