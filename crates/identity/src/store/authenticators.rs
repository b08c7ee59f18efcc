//! Second factors and the codes for when a phone is lost.

use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::UserId;
use diesel::prelude::*;

use crate::domain::{Workspace, accepted_step};
use crate::error::Error;
use crate::schema::{authenticators, recovery_codes};
use crate::sealed;
use crate::tokens;

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = authenticators)]
pub(crate) struct Authenticator {
    pub(crate) user_id: UserId,
    /// Sealed.
    pub(crate) secret: Vec<u8>,
    pub(crate) confirmed_at: Option<DateTime<Utc>>,
    pub(crate) last_step: i64,
    pub(crate) created_at: DateTime<Utc>,
}

pub(crate) fn find(conn: &mut PgConnection, user: UserId) -> QueryResult<Option<Authenticator>> {
    authenticators::table
        .find(user)
        .select(Authenticator::as_select())
        .first(conn)
        .optional()
}

/// Whether somebody has a second factor that counts.
pub(crate) fn counts(conn: &mut PgConnection, user: UserId) -> QueryResult<bool> {
    let known = find(conn, user)?;
    Ok(known.is_some_and(|known| known.confirmed_at.is_some()))
}

/// Whether somebody has to set up a second factor before they may do anything in a workspace.
pub(crate) fn is_owed(
    conn: &mut PgConnection,
    workspace: &Workspace,
    user: UserId,
) -> QueryResult<bool> {
    Ok(workspace.second_factor_required && !counts(conn, user)?)
}

/// Takes a code of the app, or a recovery code; fails when it is neither.
pub(crate) fn take_either(
    conn: &mut PgConnection,
    vault: &Vault,
    user: UserId,
    code: &str,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let taken = take_code(conn, vault, user, code, now)? || take_recovery(conn, user, code)?;
    taken.then_some(()).ok_or(Error::CodeWrong)
}

/// Begins anew; what was there before counts no more.
pub(crate) fn put(conn: &mut PgConnection, authenticator: &Authenticator) -> QueryResult<()> {
    delete(conn, authenticator.user_id)?;
    diesel::insert_into(authenticators::table)
        .values(authenticator)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn delete(conn: &mut PgConnection, user: UserId) -> QueryResult<bool> {
    let deleted = diesel::delete(authenticators::table.find(user)).execute(conn)?;
    Ok(deleted == 1)
}

/// Takes a code of the app, once: two uses of it at the same time wait for each other.
pub(crate) fn take_code(
    conn: &mut PgConnection,
    vault: &Vault,
    user: UserId,
    code: &str,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let known: Option<Authenticator> = authenticators::table
        .find(user)
        .select(Authenticator::as_select())
        .for_update()
        .first(conn)
        .optional()?;
    let Some(known) = known else { return Ok(false) };
    let secret = sealed::open(vault, &known.secret)?;
    let Some(step) = accepted_step(&secret, code, known.last_step, now) else {
        return Ok(false);
    };
    diesel::update(authenticators::table.find(user))
        .set(authenticators::last_step.eq(step))
        .execute(conn)?;
    Ok(true)
}

/// Those that an older release kept as they are.
pub(crate) fn plain(conn: &mut PgConnection) -> QueryResult<Vec<Authenticator>> {
    authenticators::table
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "octet_length(secret) <= 20",
        ))
        .select(Authenticator::as_select())
        .load(conn)
}

/// Keeps a secret sealed from now on, unless it has become another one.
pub(crate) fn seal(
    conn: &mut PgConnection,
    known: &Authenticator,
    sealed: &[u8],
) -> QueryResult<usize> {
    diesel::update(authenticators::table.find(known.user_id))
        .filter(authenticators::secret.eq(&known.secret))
        .set(authenticators::secret.eq(sealed))
        .execute(conn)
}

pub(crate) fn confirm(
    conn: &mut PgConnection,
    user: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(authenticators::table.find(user))
        .set(authenticators::confirmed_at.eq(now))
        .execute(conn)?;
    Ok(())
}

/// Keeps these recovery codes and no others.
pub(crate) fn put_recovery(
    conn: &mut PgConnection,
    user: UserId,
    codes: &[String],
) -> QueryResult<()> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(conn)?;
    let rows: Vec<_> = codes
        .iter()
        .map(|code| {
            (
                recovery_codes::user_id.eq(user),
                recovery_codes::hash.eq(recovery_hash(code)),
            )
        })
        .collect();
    diesel::insert_into(recovery_codes::table)
        .values(rows)
        .execute(conn)?;
    Ok(())
}

/// Uses a recovery code up; answers whether it was one.
pub(crate) fn take_recovery(
    conn: &mut PgConnection,
    user: UserId,
    code: &str,
) -> QueryResult<bool> {
    let row = recovery_codes::table.find((user, recovery_hash(code)));
    Ok(diesel::delete(row).execute(conn)? == 1)
}

pub(crate) fn recovery_left(conn: &mut PgConnection, user: UserId) -> QueryResult<i64> {
    recovery_codes::table
        .filter(recovery_codes::user_id.eq(user))
        .count()
        .get_result(conn)
}

/// However a person types it: with or without dashes, in any case.
fn recovery_hash(code: &str) -> Vec<u8> {
    let plain = code.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = plain.map(|c| c.to_ascii_lowercase()).collect();
    tokens::hash(&plain)
}
