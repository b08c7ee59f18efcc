//! People and what they are in a workspace.

use chrono::{DateTime, Utc};
use common::auth::Role;
use common::{UserId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::{Member, User, Workspace};
use crate::schema::{memberships, users, workspaces};

type Row = (User, String);

fn member((user, role): Row) -> Member {
    // A role that this release does not know grants nothing.
    let role = Role::parse(&role).unwrap_or(Role::Customer);
    Member { user, role }
}

/// Adds a person. Fails on an address that somebody has.
pub(crate) fn insert_user(conn: &mut PgConnection, user: &User) -> QueryResult<()> {
    diesel::insert_into(users::table)
        .values(user)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn join(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: Role,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(memberships::table)
        .values((
            memberships::workspace_id.eq(workspace),
            memberships::user_id.eq(user),
            memberships::role.eq(role.as_str()),
            memberships::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whether there is nobody yet.
pub(crate) fn nobody(conn: &mut PgConnection) -> QueryResult<bool> {
    let anybody: bool =
        diesel::select(diesel::dsl::exists(users::table.select(users::id))).get_result(conn)?;
    Ok(!anybody)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
) -> QueryResult<Option<Member>> {
    let row: Option<Row> = memberships::table
        .inner_join(users::table)
        .filter(memberships::workspace_id.eq(workspace))
        .filter(memberships::user_id.eq(user))
        .select((User::as_select(), memberships::role))
        .first(conn)
        .optional()?;
    Ok(row.map(member))
}

/// The members after `after`, in the order they came to the installation.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<UserId>,
    limit: i64,
) -> QueryResult<Vec<Member>> {
    let mut query = memberships::table
        .inner_join(users::table)
        .filter(memberships::workspace_id.eq(workspace))
        .select((User::as_select(), memberships::role))
        .order(memberships::user_id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(memberships::user_id.gt(after));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(member).collect())
}

/// The person with this address.
pub(crate) fn by_email(conn: &mut PgConnection, email_key: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::email_key.eq(email_key))
        .select(User::as_select())
        .first(conn)
        .optional()
}

/// Where a person signs in to: the workspace they have belonged to longest.
pub(crate) fn home(
    conn: &mut PgConnection,
    user: UserId,
) -> QueryResult<Option<(Workspace, Role)>> {
    let row: Option<(Workspace, String)> = memberships::table
        .inner_join(workspaces::table)
        .filter(memberships::user_id.eq(user))
        .order((
            memberships::created_at.asc(),
            memberships::workspace_id.asc(),
        ))
        .select((Workspace::as_select(), memberships::role))
        .first(conn)
        .optional()?;
    let role = |text: String| Role::parse(&text).unwrap_or(Role::Customer);
    Ok(row.map(|(workspace, text)| (workspace, role(text))))
}

/// Writes what may change of a person, and counts the change.
pub(crate) fn update_user(
    conn: &mut PgConnection,
    user: &User,
    now: DateTime<Utc>,
) -> QueryResult<User> {
    diesel::update(users::table.find(user.id))
        .set((
            users::name.eq(&user.name),
            users::email.eq(&user.email),
            users::email_key.eq(&user.email_key),
            users::password_hash.eq(&user.password_hash),
            users::version.eq(users::version + 1),
            users::updated_at.eq(now),
        ))
        .returning(User::as_returning())
        .get_result(conn)
}

/// Replaces a hash by a better one of the same password, unless the password changed meanwhile.
pub(crate) fn rehash(
    conn: &mut PgConnection,
    user: UserId,
    old: &str,
    new: &str,
) -> QueryResult<usize> {
    diesel::update(users::table.find(user))
        .filter(users::password_hash.eq(old))
        .set(users::password_hash.eq(new))
        .execute(conn)
}

pub(crate) fn set_role(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: Role,
) -> QueryResult<()> {
    diesel::update(memberships::table.find((workspace, user)))
        .set(memberships::role.eq(role.as_str()))
        .execute(conn)?;
    Ok(())
}

/// Takes a person out of the workspace; who belongs nowhere is forgotten.
pub(crate) fn leave(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
) -> QueryResult<()> {
    diesel::delete(memberships::table.find((workspace, user))).execute(conn)?;
    let elsewhere = memberships::table.filter(memberships::user_id.eq(users::id));
    diesel::delete(users::table.find(user))
        .filter(diesel::dsl::not(diesel::dsl::exists(elsewhere)))
        .execute(conn)?;
    Ok(())
}

/// How many owners the workspace has. Hold its row while acting on the answer.
pub(crate) fn owners(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<i64> {
    memberships::table
        .filter(memberships::workspace_id.eq(workspace))
        .filter(memberships::role.eq(Role::Owner.as_str()))
        .count()
        .get_result(conn)
}
