//! People and what they are in a workspace.

use chrono::{DateTime, Utc};
use common::auth::Role;
use common::{UserId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::{CustomRole, Member, Standing, User, Workspace};
use crate::schema::{authenticators, memberships, roles, users, workspaces};

type Row = (User, String, Option<CustomRole>);

fn member((user, role, custom): Row) -> Member {
    let standing = Standing::read(&role, custom);
    Member { user, standing }
}

/// The role of a workspace's own that a membership names, if it names one.
macro_rules! with_role {
    ($query:expr) => {
        $query.left_join(
            roles::table.on(roles::workspace_id
                .eq(memberships::workspace_id)
                .and(roles::id.nullable().eq(memberships::role_id))),
        )
    };
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
    standing: &Standing,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(memberships::table)
        .values((
            memberships::workspace_id.eq(workspace),
            memberships::user_id.eq(user),
            memberships::role.eq(standing.role.as_str()),
            memberships::role_id.eq(standing.role_id()),
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
    let row: Option<Row> = with_role!(memberships::table.inner_join(users::table))
        .filter(memberships::workspace_id.eq(workspace))
        .filter(memberships::user_id.eq(user))
        .select((
            User::as_select(),
            memberships::role,
            Option::<CustomRole>::as_select(),
        ))
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
    let mut query = with_role!(memberships::table.inner_join(users::table))
        .filter(memberships::workspace_id.eq(workspace))
        .select((
            User::as_select(),
            memberships::role,
            Option::<CustomRole>::as_select(),
        ))
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

/// The person with this id, whatever they belong to.
pub(crate) fn by_id(conn: &mut PgConnection, user: UserId) -> QueryResult<Option<User>> {
    users::table
        .find(user)
        .select(User::as_select())
        .first(conn)
        .optional()
}

/// The person, held until the transaction ends.
pub(crate) fn lock(conn: &mut PgConnection, user: UserId) -> QueryResult<Option<User>> {
    users::table
        .find(user)
        .select(User::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Everything a person belongs to, what they have belonged to longest first.
pub(crate) fn workspaces_of(
    conn: &mut PgConnection,
    user: UserId,
) -> QueryResult<Vec<(Workspace, Standing)>> {
    let rows: Vec<(Workspace, String, Option<CustomRole>)> =
        with_role!(memberships::table.inner_join(workspaces::table))
            .filter(memberships::user_id.eq(user))
            .order((
                memberships::created_at.asc(),
                memberships::workspace_id.asc(),
            ))
            .select((
                Workspace::as_select(),
                memberships::role,
                Option::<CustomRole>::as_select(),
            ))
            .load(conn)?;
    let standing = |(workspace, role, custom): (Workspace, String, Option<CustomRole>)| {
        (workspace, Standing::read(&role, custom))
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// Notes that mails to a person's address reach them, if it is still this one.
pub(crate) fn verify_email(
    conn: &mut PgConnection,
    user: UserId,
    email_key: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<User>> {
    diesel::update(users::table.find(user))
        .filter(users::email_key.eq(email_key))
        .set(
            users::email_verified_at.eq(diesel::dsl::sql::<
                diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>,
            >("COALESCE(email_verified_at, ")
            .bind::<diesel::sql_types::Timestamptz, _>(now)
            .sql(")")),
        )
        .returning(User::as_returning())
        .get_result(conn)
        .optional()
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
            users::email_verified_at.eq(user.email_verified_at),
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
    standing: &Standing,
) -> QueryResult<()> {
    diesel::update(memberships::table.find((workspace, user)))
        .set((
            memberships::role.eq(standing.role.as_str()),
            memberships::role_id.eq(standing.role_id()),
        ))
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

/// The members who have no second factor that counts.
pub(crate) fn without_factor(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
) -> QueryResult<Vec<UserId>> {
    let factor = authenticators::table
        .filter(authenticators::user_id.eq(memberships::user_id))
        .filter(authenticators::confirmed_at.is_not_null());
    memberships::table
        .filter(memberships::workspace_id.eq(workspace))
        .filter(diesel::dsl::not(diesel::dsl::exists(factor)))
        .select(memberships::user_id)
        .load(conn)
}

/// How many owners the workspace has. Hold its row while acting on the answer.
pub(crate) fn owners(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<i64> {
    memberships::table
        .filter(memberships::workspace_id.eq(workspace))
        .filter(memberships::role.eq(Role::Owner.as_str()))
        .count()
        .get_result(conn)
}
