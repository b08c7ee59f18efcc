//! The audit trail: written once, read, never changed.

use chassis::audit::{Entry, Request};
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use common::auth::Service;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::audit_log as log;

/// One change of one thing.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = log)]
pub(crate) struct Change {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) at: DateTime<Utc>,
    pub(crate) id: Uuid,
    pub(crate) service: String,
    pub(crate) actor: String,
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) request_id: String,
    pub(crate) address: Option<String>,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) resource_id: String,
    pub(crate) before: Option<serde_json::Value>,
    pub(crate) after: Option<serde_json::Value>,
}

/// Adds what a service noted; what is there already stays as it is.
pub(crate) fn append(
    conn: &mut PgConnection,
    service: Service,
    entries: &[Entry],
) -> QueryResult<()> {
    let change = |entry: &Entry| {
        let request: Request = serde_json::from_value(entry.request.clone()).unwrap_or_default();
        Change {
            workspace_id: entry.workspace_id.into(),
            at: entry.at,
            id: entry.id,
            service: service.as_str().to_owned(),
            actor: request.actor,
            method: request.method,
            route: request.route,
            request_id: request.request_id,
            address: request.address.map(|address| address.to_string()),
            action: entry.action.clone(),
            resource: entry.resource.clone(),
            resource_id: entry.resource_id.clone(),
            before: entry.before.clone(),
            after: entry.after.clone(),
        }
    };
    let changes: Vec<_> = entries.iter().map(change).collect();
    diesel::insert_into(log::table)
        .values(changes)
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}

/// Which changes are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) actor: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) resource_id: Option<String>,
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

/// The changes before `before`, the latest first.
pub(crate) fn page(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    filter: &Filter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<Change>> {
    let mut query = log::table
        .filter(log::workspace_id.eq(workspace))
        .order((log::at.desc(), log::id.desc()))
        .limit(limit)
        .select(Change::as_select())
        .into_boxed();
    if let Some((at, id)) = before {
        query = query.filter(log::at.lt(at).or(log::at.eq(at).and(log::id.lt(id))));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(log::actor.eq(actor.clone()));
    }
    if let Some(service) = &filter.service {
        query = query.filter(log::service.eq(service.clone()));
    }
    if let Some(action) = &filter.action {
        query = query.filter(log::action.eq(action.clone()));
    }
    if let Some(resource) = &filter.resource {
        query = query.filter(log::resource.eq(resource.clone()));
    }
    if let Some(id) = &filter.resource_id {
        query = query.filter(log::resource_id.eq(id.clone()));
    }
    if let Some(from) = filter.from {
        query = query.filter(log::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(log::at.lt(to));
    }
    query.load(conn)
}
