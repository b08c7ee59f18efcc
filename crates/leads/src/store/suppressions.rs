//! The `suppressions` table: addresses that nothing may be sent to.

use chassis::outbox;
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use common::events::{SuppressionAdded, SuppressionRemoved};
use common::values::EmailAddress;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::suppressions;

/// Reasons, weakest first: a stronger one replaces a weaker one.
pub(crate) const REASONS: [&str; 4] = ["manual", "hard_bounce", "unsubscribe", "complaint"];

#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = suppressions, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Suppression {
    pub id: Uuid,
    pub address: String,
    pub reason: String,
    pub created_at: DateTime<Utc>,
}

fn strength(reason: &str) -> Option<usize> {
    REASONS.iter().position(|known| *known == reason)
}

/// Suppresses an address and tells the others; answers whether anything changed. What is
/// suppressed already stays so, under the stronger of the two reasons.
pub(crate) fn add(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &EmailAddress,
    reason: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let key = address.key();
    let row = suppressions::table.find((workspace, &key));
    let fresh = diesel::insert_into(suppressions::table)
        .values((
            suppressions::workspace_id.eq(workspace),
            suppressions::address_key.eq(&key),
            suppressions::id.eq(Uuid::now_v7()),
            suppressions::address.eq(address.as_str()),
            suppressions::reason.eq(reason),
            suppressions::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if fresh == 0 {
        let held: Option<String> = row
            .select(suppressions::reason)
            .for_update()
            .first(conn)
            .optional()?;
        if held.is_none_or(|held| strength(&held) >= strength(reason)) {
            return Ok(false);
        }
        diesel::update(row)
            .set(suppressions::reason.eq(reason))
            .execute(conn)?;
    }
    let event = SuppressionAdded {
        address: key,
        reason: reason.to_owned(),
    };
    outbox::push(conn, workspace, &event)?;
    Ok(true)
}

/// Lifts a suppression and tells the others; `reason` limits it to one reason.
pub(crate) fn lift(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: &str,
    reason: Option<&str>,
) -> QueryResult<bool> {
    let row = suppressions::table.find((workspace, key));
    let lifted = match reason {
        Some(reason) => {
            diesel::delete(row.filter(suppressions::reason.eq(reason))).execute(conn)?
        }
        None => diesel::delete(row).execute(conn)?,
    };
    if lifted > 0 {
        let address = key.to_owned();
        outbox::push(conn, workspace, &SuppressionRemoved { address })?;
    }
    Ok(lifted > 0)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: &str,
) -> QueryResult<Option<Suppression>> {
    suppressions::table
        .find((workspace, key))
        .select(Suppression::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find_by_id(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: Uuid,
) -> QueryResult<Option<Suppression>> {
    suppressions::table
        .filter(suppressions::workspace_id.eq(workspace))
        .filter(suppressions::id.eq(id))
        .select(Suppression::as_select())
        .first(conn)
        .optional()
}

/// Up to `limit` suppressions, newest first, older than `before`.
pub(crate) fn newest(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    reason: Option<String>,
    address_key: Option<String>,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Suppression>> {
    let mut query = suppressions::table
        .filter(suppressions::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(reason) = reason {
        query = query.filter(suppressions::reason.eq(reason));
    }
    if let Some(key) = address_key {
        query = query.filter(suppressions::address_key.eq(key));
    }
    if let Some(before) = before {
        query = query.filter(suppressions::id.lt(before));
    }
    query
        .order(suppressions::id.desc())
        .limit(limit)
        .select(Suppression::as_select())
        .load(conn)
}
