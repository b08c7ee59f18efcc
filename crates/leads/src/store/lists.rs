//! The `lists` table.

use chrono::{DateTime, Utc};
use common::{ListId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::{list_members, lists};

/// What people consent to.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = lists, check_for_backend(diesel::pg::Pg))]
#[diesel(primary_key(workspace_id, id), treat_none_as_null = true)]
pub(crate) struct List {
    pub workspace_id: WorkspaceId,
    pub id: ListId,
    pub name: String,
    pub description: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub(crate) fn insert(conn: &mut PgConnection, list: &List) -> QueryResult<usize> {
    diesel::insert_into(lists::table).values(list).execute(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ListId,
) -> QueryResult<Option<List>> {
    lists::table
        .find((workspace, id))
        .select(List::as_select())
        .first(conn)
        .optional()
}

/// Holds the list against changes until the transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ListId,
) -> QueryResult<Option<List>> {
    lists::table
        .find((workspace, id))
        .select(List::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Holds the list against deletion until the transaction ends; several may hold it.
pub(crate) fn keep(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ListId,
) -> QueryResult<Option<ListId>> {
    lists::table
        .find((workspace, id))
        .select(lists::id)
        .for_key_share()
        .first(conn)
        .optional()
}

/// Those of `ids` that exist.
pub(crate) fn existing(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    ids: &[ListId],
) -> QueryResult<Vec<ListId>> {
    lists::table
        .filter(lists::workspace_id.eq(workspace))
        .filter(lists::id.eq_any(ids))
        .select(lists::id)
        .load(conn)
}

/// Up to `limit` lists, newest first, older than `before`.
pub(crate) fn newest(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    before: Option<ListId>,
    limit: i64,
) -> QueryResult<Vec<List>> {
    let mut query = lists::table
        .filter(lists::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(lists::id.lt(before));
    }
    query
        .order(lists::id.desc())
        .limit(limit)
        .select(List::as_select())
        .load(conn)
}

pub(crate) fn update(conn: &mut PgConnection, list: &List) -> QueryResult<usize> {
    diesel::update(lists::table.find((list.workspace_id, list.id)))
        .set(list)
        .execute(conn)
}

/// Deletes a list and its memberships; what people consented to stays in the ledger.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ListId,
) -> QueryResult<usize> {
    let members = list_members::table
        .filter(list_members::workspace_id.eq(workspace))
        .filter(list_members::list_id.eq(id));
    diesel::delete(members).execute(conn)?;
    diesel::delete(lists::table.find((workspace, id))).execute(conn)
}
