//! Who somebody is at an OpenID provider.

use chrono::{DateTime, Utc};
use common::UserId;
use diesel::prelude::*;
use uuid::Uuid;

use crate::domain::User;
use crate::schema::{external_identities, users};

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = external_identities)]
pub(crate) struct ExternalIdentity {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) id: Uuid,
    pub(crate) user_id: UserId,
    pub(crate) email: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
}

/// Whom a provider's name for somebody stands for.
pub(crate) fn person(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
) -> QueryResult<Option<User>> {
    external_identities::table
        .inner_join(users::table)
        .filter(external_identities::issuer.eq(issuer))
        .filter(external_identities::subject.eq(subject))
        .select(User::as_select())
        .first(conn)
        .optional()
}

/// Links, unless the name stands for somebody already; answers for whom it stands now.
pub(crate) fn link(conn: &mut PgConnection, link: &ExternalIdentity) -> QueryResult<UserId> {
    diesel::insert_into(external_identities::table)
        .values(link)
        .on_conflict_do_nothing()
        .execute(conn)?;
    external_identities::table
        .find((&link.issuer, &link.subject))
        .select(external_identities::user_id)
        .first(conn)
}

/// What a person is linked to, the oldest first.
pub(crate) fn of_person(
    conn: &mut PgConnection,
    user: UserId,
) -> QueryResult<Vec<ExternalIdentity>> {
    external_identities::table
        .filter(external_identities::user_id.eq(user))
        .order((
            external_identities::created_at.asc(),
            external_identities::id.asc(),
        ))
        .select(ExternalIdentity::as_select())
        .load(conn)
}

pub(crate) fn unlink(conn: &mut PgConnection, user: UserId, id: Uuid) -> QueryResult<bool> {
    let row = external_identities::table
        .filter(external_identities::user_id.eq(user))
        .filter(external_identities::id.eq(id));
    Ok(diesel::delete(row).execute(conn)? == 1)
}
