//! The audit trail of the caller's workspace.

use actix_web::HttpResponse;
use actix_web::web::Data;
use bytes::Bytes;
use chassis::auth::Caller;
use chassis::http::download::{CSV, encode, guarded};
use chassis::http::{Json, Query};
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use common::auth::Scope;
use common::page::{Page, PageQuery};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::Check;
use crate::error::Error;
use crate::state::State;
use crate::store::audit_log::{self, Change, Filter};

/// Rows that are read at once while exporting.
const BATCH: i64 = 1_000;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `user:<id>`, `key:<id>` or `nobody`.
    actor: Option<String>,
    service: Option<String>,
    /// `insert`, `update` or `delete`.
    action: Option<String>,
    /// What was changed, as `campaigns`.
    resource: Option<String>,
    resource_id: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `csv` (the default) or `ndjson`.
    format: Option<Format>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = identity::AuditFormat)]
pub(crate) enum Format {
    #[default]
    Csv,
    Ndjson,
}

/// Who changed what, when, from where, and how it was before.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::AuditEntry)]
pub(crate) struct AuditEntry {
    id: Uuid,
    at: DateTime<Utc>,
    service: String,
    actor: String,
    method: String,
    route: String,
    request_id: String,
    address: Option<String>,
    action: String,
    resource: String,
    resource_id: String,
    /// Without secrets and without what a person may have erased.
    #[schema(value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<serde_json::Value>,
}

impl From<Change> for AuditEntry {
    fn from(change: Change) -> Self {
        Self {
            id: change.id,
            at: change.at,
            service: change.service,
            actor: change.actor,
            method: change.method,
            route: change.route,
            request_id: change.request_id,
            address: change.address,
            action: change.action,
            resource: change.resource,
            resource_id: change.resource_id,
            before: change.before,
            after: change.after,
        }
    }
}

/// `GET /api/v1/audit`: the latest changes first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "identity", operation_id = "identity_audit_list",
    params(AuditQuery),
    responses(
        (status = 200, description = "The changes", body = Page<AuditEntry>),
        (status = 422, description = "The query was refused", body = common::Problem),
    )
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, Error> {
    caller.require(Scope::AuditRead)?;
    let query = query.into_inner();
    let (paging, mut check) = (
        PageQuery {
            limit: query.limit,
            cursor: query.cursor,
        },
        Check::default(),
    );
    let limit = check.take("query/limit", paging.limit());
    let before = check.take("query/cursor", paging.after::<(DateTime<Utc>, Uuid)>());
    check.passed()?;
    let (limit, before) = (limit.unwrap_or_default(), before.flatten());
    let filter = Filter {
        actor: query.actor,
        service: query.service,
        action: query.action,
        resource: query.resource,
        resource_id: query.resource_id,
        from: query.from,
        to: query.to,
    };
    let rows = state
        .host
        .db
        .run(move |conn| {
            let page = audit_log::page(conn, caller.workspace, &filter, before, limit + 1);
            Ok::<_, Error>(page?)
        })
        .await?;
    let key = |change: &Change| (change.at, change.id);
    Ok(Json(Page::from_rows(rows, limit, key, AuditEntry::from)))
}

/// `GET /api/v1/audit/export`: all of it, the latest first, as CSV or a JSON object a line.
#[utoipa::path(
    get, path = "/api/v1/audit/export", tag = "identity", operation_id = "identity_audit_export",
    params(ExportQuery),
    responses(
        (status = 200, description = "The changes", body = String, content_type = "text/csv"),
        (status = 422, description = "The query was refused", body = common::Problem),
    )
)]
pub(crate) async fn export(
    state: Data<State>,
    caller: Caller,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AuditRead)?;
    let query = query.into_inner();
    let format = query.format.unwrap_or_default();
    let filter = Filter {
        from: query.from,
        to: query.to,
        ..Filter::default()
    };
    // The first batch comes before the answer begins, so that a failure is still told as one.
    let first = batch(&state, caller.workspace, &filter, None).await?;
    let (state, workspace) = (state.into_inner(), caller.workspace);
    let head = (format == Format::Csv).then(head);
    let rows = futures::stream::try_unfold(Some(first), move |rows| {
        let (state, filter) = (state.clone(), filter.clone());
        async move {
            let Some(rows) = rows.filter(|rows: &Vec<Change>| !rows.is_empty()) else {
                return Ok(None);
            };
            let last = rows.last().map(|row| (row.at, row.id));
            let next = match rows.len() as i64 == BATCH {
                true => Some(batch(&state, workspace, &filter, last).await?),
                false => None,
            };
            Ok::<_, Error>(Some((written(format, rows), next)))
        }
    });
    let head = futures::stream::iter(head.map(Ok));
    let (kind, name) = match format {
        Format::Csv => (CSV, "audit.csv"),
        Format::Ndjson => ("application/x-ndjson", "audit.ndjson"),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header(("content-disposition", disposition))
        .streaming(futures::StreamExt::chain(head, rows)))
}

async fn batch(
    state: &State,
    workspace: WorkspaceId,
    filter: &Filter,
    before: Option<(DateTime<Utc>, Uuid)>,
) -> Result<Vec<Change>, Error> {
    let filter = filter.clone();
    state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(audit_log::page(conn, workspace, &filter, before, BATCH)?))
        .await
}

fn head() -> Bytes {
    let names = [
        "at",
        "service",
        "actor",
        "method",
        "route",
        "request_id",
        "address",
        "action",
        "resource",
        "resource_id",
        "before",
        "after",
    ];
    encode([names.map(str::to_owned).to_vec()])
}

fn written(format: Format, rows: Vec<Change>) -> Bytes {
    let json = |value: Option<serde_json::Value>| value.map(|it| it.to_string());
    match format {
        Format::Ndjson => {
            let lines = rows.into_iter().map(AuditEntry::from).map(|entry| {
                let mut line = serde_json::to_string(&entry).unwrap_or_default();
                line.push('\n');
                line
            });
            lines.collect::<String>().into()
        }
        Format::Csv => encode(rows.into_iter().map(|row| {
            let cells = [
                row.at.to_rfc3339(),
                row.service,
                row.actor,
                row.method,
                row.route,
                row.request_id,
                row.address.unwrap_or_default(),
                row.action,
                row.resource,
                row.resource_id,
                json(row.before).unwrap_or_default(),
                json(row.after).unwrap_or_default(),
            ];
            cells.map(|cell| guarded(&cell)).to_vec()
        })),
    }
}
