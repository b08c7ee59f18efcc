//! Secrets that were mailed to people; each works once.

use chrono::{DateTime, Utc};
use common::UserId;
use diesel::prelude::*;

use crate::schema::mail_tokens;

/// What a secret in a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Verify,
    Reset,
}

impl Purpose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = mail_tokens)]
pub(crate) struct MailToken {
    pub(crate) hash: Vec<u8>,
    pub(crate) kind: String,
    pub(crate) user_id: UserId,
    pub(crate) email_key: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Keeps the latest secret of its kind; those before it work no more.
pub(crate) fn replace(conn: &mut PgConnection, token: &MailToken) -> QueryResult<()> {
    forget(conn, token.user_id, &token.kind)?;
    diesel::insert_into(mail_tokens::table)
        .values(token)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn forget(conn: &mut PgConnection, user: UserId, kind: &str) -> QueryResult<usize> {
    diesel::delete(mail_tokens::table.filter(mail_tokens::user_id.eq(user)))
        .filter(mail_tokens::kind.eq(kind))
        .execute(conn)
}

/// When the latest of a kind was made for a person.
pub(crate) fn made_at(
    conn: &mut PgConnection,
    user: UserId,
    purpose: Purpose,
) -> QueryResult<Option<DateTime<Utc>>> {
    mail_tokens::table
        .filter(mail_tokens::user_id.eq(user))
        .filter(mail_tokens::kind.eq(purpose.as_str()))
        .select(mail_tokens::created_at)
        .first(conn)
        .optional()
}

/// The secret of this hash, if it has not expired; using it is up to the caller.
pub(crate) fn find(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> QueryResult<Option<MailToken>> {
    mail_tokens::table
        .find(hash)
        .filter(mail_tokens::expires_at.gt(now))
        .select(MailToken::as_select())
        .first(conn)
        .optional()
}

/// Uses a secret up. Of two uses at once one gets it.
pub(crate) fn take(
    conn: &mut PgConnection,
    hash: &[u8],
    purpose: Purpose,
    now: DateTime<Utc>,
) -> QueryResult<Option<MailToken>> {
    diesel::delete(mail_tokens::table.find(hash))
        .filter(mail_tokens::kind.eq(purpose.as_str()))
        .filter(mail_tokens::expires_at.gt(now))
        .returning(MailToken::as_returning())
        .get_result(conn)
        .optional()
}

pub(crate) fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> QueryResult<usize> {
    diesel::delete(mail_tokens::table.filter(mail_tokens::expires_at.lt(before))).execute(conn)
}
