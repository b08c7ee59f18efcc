//! The `forms` table.

use chrono::{DateTime, Utc};
use common::json::Stored;
use common::{FormId, ListId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::form::Field;
use crate::schema::forms;

/// A public form by which people subscribe.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = forms, check_for_backend(diesel::pg::Pg))]
#[diesel(primary_key(workspace_id, id), treat_none_as_null = true)]
pub(crate) struct Form {
    pub workspace_id: WorkspaceId,
    pub id: FormId,
    pub name: String,
    pub list_ids: Vec<ListId>,
    pub fields: Stored<Vec<Field>>,
    pub language: String,
    pub title: String,
    pub text: Option<String>,
    pub button: Option<String>,
    pub wording: String,
    pub success_message: Option<String>,
    pub redirect_url: Option<String>,
    pub double_opt_in: bool,
    pub origins: Vec<String>,
    pub active: bool,
    /// How often it was sent, never confirmed, and forgotten.
    #[diesel(skip_update)]
    pub lapsed: i64,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub(crate) fn insert(conn: &mut PgConnection, form: &Form) -> QueryResult<usize> {
    diesel::insert_into(forms::table).values(form).execute(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: FormId,
) -> QueryResult<Option<Form>> {
    forms::table
        .find((workspace, id))
        .select(Form::as_select())
        .first(conn)
        .optional()
}

/// The form of whatever workspace that a link names.
pub(crate) fn linked(conn: &mut PgConnection, id: FormId) -> QueryResult<Option<Form>> {
    forms::table
        .filter(forms::id.eq(id))
        .select(Form::as_select())
        .first(conn)
        .optional()
}

/// Holds the form against changes until the transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: FormId,
) -> QueryResult<Option<Form>> {
    forms::table
        .find((workspace, id))
        .select(Form::as_select())
        .for_update()
        .first(conn)
        .optional()
}

/// Up to `limit` forms, newest first, older than `before`.
pub(crate) fn newest(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    before: Option<FormId>,
    limit: i64,
) -> QueryResult<Vec<Form>> {
    let mut query = forms::table
        .filter(forms::workspace_id.eq(workspace))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(forms::id.lt(before));
    }
    query
        .order(forms::id.desc())
        .limit(limit)
        .select(Form::as_select())
        .load(conn)
}

/// The name of a form that leads to the list `id`, if one does.
pub(crate) fn naming_list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: ListId,
) -> QueryResult<Option<String>> {
    forms::table
        .filter(forms::workspace_id.eq(workspace))
        .filter(forms::list_ids.contains(vec![id]))
        .select(forms::name)
        .first(conn)
        .optional()
}

pub(crate) fn update(conn: &mut PgConnection, form: &Form) -> QueryResult<usize> {
    diesel::update(forms::table.find((form.workspace_id, form.id)))
        .set(form)
        .execute(conn)
}

/// Counts what was sent in a form and is forgotten unconfirmed. The form may be gone.
pub(crate) fn lapse(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: FormId,
) -> QueryResult<usize> {
    diesel::update(forms::table.find((workspace, id)))
        .set(forms::lapsed.eq(forms::lapsed + 1))
        .execute(conn)
}

/// Deletes a form. What was sent in it stays with the people who sent it.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: FormId,
) -> QueryResult<usize> {
    diesel::delete(forms::table.find((workspace, id))).execute(conn)
}
