//! The `templates` table.

use chrono::{DateTime, Utc};
use common::dto::dispatch::Content;
use common::json::Stored;
use common::{TemplateId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::templates;

/// Reusable content.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = templates)]
pub(crate) struct Template {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: TemplateId,
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) preheader: String,
    pub(crate) content: Stored<Content>,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

pub(crate) fn insert(conn: &mut PgConnection, template: &Template) -> QueryResult<()> {
    diesel::insert_into(templates::table)
        .values(template.clone())
        .execute(conn)?;
    Ok(())
}

pub(crate) fn update(conn: &mut PgConnection, template: &Template) -> QueryResult<()> {
    let row = templates::table.find((template.workspace_id, template.id));
    diesel::update(row).set(template.clone()).execute(conn)?;
    Ok(())
}

pub(crate) fn get(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TemplateId,
) -> QueryResult<Option<Template>> {
    templates::table
        .find((workspace, id))
        .select(Template::as_select())
        .first(conn)
        .optional()
}

/// The template, held against every other change until the transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TemplateId,
) -> QueryResult<Option<Template>> {
    let query = templates::table
        .find((workspace, id))
        .select(Template::as_select())
        .for_update();
    query.first(conn).optional()
}

/// Up to `limit` templates made before `before`, newest first.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    before: Option<TemplateId>,
    limit: i64,
) -> QueryResult<Vec<Template>> {
    let mut query = templates::table
        .filter(templates::workspace_id.eq(workspace))
        .order(templates::id.desc())
        .limit(limit)
        .select(Template::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(templates::id.lt(before));
    }
    query.load(conn)
}

/// Deletes it; false when there is none with this id.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TemplateId,
) -> QueryResult<bool> {
    Ok(diesel::delete(templates::table.find((workspace, id))).execute(conn)? == 1)
}
