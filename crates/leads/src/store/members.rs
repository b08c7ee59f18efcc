//! The `list_members` table: how things stand between people and lists.

use chrono::{DateTime, Utc};
use common::{LeadId, ListId, WorkspaceId};
use diesel::prelude::*;

use super::consents::{self, Consent};
use super::leads as people;
use crate::schema::{leads, list_members, lists};

/// A person's standing on a list.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = list_members, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Member {
    pub list_id: ListId,
    pub lead_id: LeadId,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Up to `limit` members with their addresses, in lead order after `after`.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: ListId,
    status: Option<&str>,
    after: Option<LeadId>,
    limit: i64,
) -> QueryResult<Vec<(Member, String)>> {
    let join = leads::workspace_id
        .eq(list_members::workspace_id)
        .and(leads::id.eq(list_members::lead_id));
    let mut query = list_members::table
        .inner_join(leads::table.on(join))
        .filter(list_members::workspace_id.eq(workspace))
        .filter(list_members::list_id.eq(list))
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(list_members::status.eq(status.to_owned()));
    }
    if let Some(after) = after {
        query = query.filter(list_members::lead_id.gt(after));
    }
    query
        .order(list_members::lead_id.asc())
        .limit(limit)
        .select((Member::as_select(), leads::email))
        .load(conn)
}

/// How many members a list has of each status.
pub(crate) fn counts(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: ListId,
) -> QueryResult<Vec<(String, i64)>> {
    list_members::table
        .filter(list_members::workspace_id.eq(workspace))
        .filter(list_members::list_id.eq(list))
        .group_by(list_members::status)
        .select((list_members::status, diesel::dsl::count_star()))
        .load(conn)
}

/// The lists a person is on, by name.
pub(crate) fn of_lead(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
) -> QueryResult<Vec<(Member, String)>> {
    let join = lists::workspace_id
        .eq(list_members::workspace_id)
        .and(lists::id.eq(list_members::list_id));
    list_members::table
        .inner_join(lists::table.on(join))
        .filter(list_members::workspace_id.eq(workspace))
        .filter(list_members::lead_id.eq(lead))
        .order((lists::name.asc(), lists::id.asc()))
        .select((Member::as_select(), lists::name))
        .load(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: ListId,
    lead: LeadId,
) -> QueryResult<Option<Member>> {
    list_members::table
        .find((workspace, list, lead))
        .select(Member::as_select())
        .first(conn)
        .optional()
}

/// Sets a standing and writes it into the ledger; nothing happens when it is so already.
/// Answers whether it changed. The lead must be locked.
pub(crate) fn set(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: ListId,
    status: &str,
    consent: &Consent<'_>,
) -> QueryResult<bool> {
    let row = list_members::table.find((workspace, list, consent.lead));
    let held: Option<String> = row.select(list_members::status).first(conn).optional()?;
    if held.as_deref() == Some(status) {
        return Ok(false);
    }
    if held.is_some() {
        diesel::update(row)
            .set((
                list_members::status.eq(status),
                list_members::updated_at.eq(consent.at),
            ))
            .execute(conn)?;
    } else {
        diesel::insert_into(list_members::table)
            .values((
                list_members::workspace_id.eq(workspace),
                list_members::list_id.eq(list),
                list_members::lead_id.eq(consent.lead),
                list_members::status.eq(status),
                list_members::created_at.eq(consent.at),
                list_members::updated_at.eq(consent.at),
            ))
            .execute(conn)?;
    }
    if status == "confirmed" {
        people::agreed(conn, workspace, consent.lead)?;
    }
    consents::record(conn, workspace, Some(list), status, consent)?;
    Ok(true)
}

/// Takes a person off a list, which is written into the ledger too.
pub(crate) fn remove(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: ListId,
    consent: &Consent<'_>,
) -> QueryResult<bool> {
    let row = list_members::table.find((workspace, list, consent.lead));
    if diesel::delete(row).execute(conn)? == 0 {
        return Ok(false);
    }
    consents::record(conn, workspace, Some(list), "removed", consent)?;
    Ok(true)
}

/// Forgets the memberships of a person who is deleted.
pub(crate) fn forget(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
) -> QueryResult<usize> {
    let rows = list_members::table
        .filter(list_members::workspace_id.eq(workspace))
        .filter(list_members::lead_id.eq(lead));
    diesel::delete(rows).execute(conn)
}
