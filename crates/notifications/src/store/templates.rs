//! Copies of templates.

use common::dto::template::TemplateCopy;
use common::ids::{TemplateId, WorkspaceId};
use diesel::prelude::*;
use diesel::upsert::excluded;

use crate::schema::templates;

/// What is known of a template that was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Copy(TemplateCopy),
    Deleted,
}

/// Keeps a copy, unless a newer one is there or the template was deleted.
pub(crate) fn save(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TemplateId,
    copy: &TemplateCopy,
) -> QueryResult<()> {
    let body = serde_json::to_value(copy)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    let insert = diesel::insert_into(templates::table)
        .values((
            templates::workspace_id.eq(workspace.0),
            templates::id.eq(id.0),
            templates::version.eq(copy.version),
            templates::body.eq(body),
        ))
        .on_conflict((templates::workspace_id, templates::id))
        .do_update()
        .set((
            templates::version.eq(excluded(templates::version)),
            templates::body.eq(excluded(templates::body)),
        ));
    diesel::query_dsl::methods::FilterDsl::filter(
        insert,
        templates::body
            .is_not_null()
            .and(templates::version.lt(excluded(templates::version))),
    )
    .execute(conn)?;
    Ok(())
}

/// Forgets what a template said, and keeps that it was deleted.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TemplateId,
) -> QueryResult<()> {
    diesel::insert_into(templates::table)
        .values((
            templates::workspace_id.eq(workspace.0),
            templates::id.eq(id.0),
            templates::version.eq(0),
            templates::body.eq(None::<serde_json::Value>),
        ))
        .on_conflict((templates::workspace_id, templates::id))
        .do_update()
        .set(templates::body.eq(None::<serde_json::Value>))
        .execute(conn)?;
    Ok(())
}

/// None when nothing was told of it.
pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: TemplateId,
) -> QueryResult<Option<Known>> {
    let body: Option<Option<serde_json::Value>> = templates::table
        .find((workspace.0, id.0))
        .select(templates::body)
        .first(conn)
        .optional()?;
    let known = body.map(|body| match body {
        Some(body) => serde_json::from_value(body).map(Known::Copy),
        None => Ok(Known::Deleted),
    });
    known
        .transpose()
        .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))
}
