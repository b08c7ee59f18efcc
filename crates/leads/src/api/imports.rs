//! `/leads/imports`

use std::sync::Arc;

use actix_multipart::{Multipart, MultipartError};
use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::download::{CSV, download, encode, guarded};
use chassis::http::{Json, Path, Query};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::page::{Page, PageQuery};
use common::{FieldError, ImportId, ListId};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::members::MemberStatus;
use super::paging;
use super::upload::Upload;
use crate::domain::columns::{Mapping, Plan};
use crate::error::Error;
use crate::state::State;
use crate::store::imports::{self, Import};
use crate::store::lists;

/// Refused rows read at once.
const PART: i64 = 2_000;
/// Largest `mapping` in a multipart body, in bytes.
const MAX_MAPPING: usize = 256 * 1024;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportQuery {
    /// Everybody in the file becomes a member of this list.
    list_id: Option<ListId>,
    /// `confirmed` when absent: whoever imports says that these people agreed.
    #[serde(default)]
    list_status: MemberStatus,
    /// Count what would happen, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A file and what its columns mean.
#[derive(Debug, ToSchema)]
#[schema(as = leads::ImportForm)]
#[expect(dead_code, reason = "describes a multipart body in the API's document")]
pub(crate) struct ImportForm {
    #[schema(format = "binary")]
    file: String,
    /// Column to field (`email`, `attributes.plan`, …), or to null to leave it out.
    #[schema(value_type = Option<Object>)]
    mapping: Option<Value>,
}

/// One run of an import. Every row is counted once: created, updated, unchanged or rejected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::ImportView)]
pub(crate) struct ImportView {
    id: ImportId,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    status: String,
    rows: i64,
    created: i64,
    updated: i64,
    unchanged: i64,
    rejected: i64,
    /// From its start to its end, or to now.
    took_ms: Option<i64>,
    /// Why it failed.
    failure: Option<String>,
    list_id: Option<ListId>,
    dry_run: bool,
    /// How much of the file has been read, and its size.
    bytes_read: i64,
    bytes: i64,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl ImportView {
    fn new(import: Import, now: DateTime<Utc>) -> Self {
        let end = import.finished_at.unwrap_or(now);
        Self {
            took_ms: import
                .started_at
                .map(|start| (end - start).num_milliseconds()),
            id: import.id,
            status: import.status,
            rows: import.rows,
            created: import.created,
            updated: import.updated,
            unchanged: import.unchanged,
            rejected: import.rejected,
            failure: import.failure,
            list_id: import.list_id,
            dry_run: import.dry_run,
            bytes_read: import.next_byte,
            bytes: import.bytes,
            created_at: import.created_at,
            started_at: import.started_at,
            finished_at: import.finished_at,
        }
    }
}

/// `POST /leads/imports`
#[utoipa::path(
    post, path = "/api/v1/leads/imports", tag = "leads", operation_id = "leads_imports_create",
    params(ImportQuery),
    request_body(description = "A CSV with a header row, as it is or in a form", content(
        (String = "text/csv"), (ImportForm = "multipart/form-data"))),
    responses(
        (status = 202, description = "The file is taken in and will be imported", body = ImportView),
        (status = 400, description = "The body broke off; nothing of it is kept", body = common::Problem),
        (status = 404, description = "No such list", body = common::Problem),
        (status = 413, description = "The file is too large", body = common::Problem),
        (status = 415, description = "Neither CSV nor a form", body = common::Problem),
        (status = 422, description = "The file is no CSV of leads", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    query: Query<ImportQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (query, workspace, now) = (query.into_inner(), caller.workspace, state.host.clock.now());
    let kind = BodyKind::of(&request)?;
    if let Some(list) = query.list_id {
        let found = state
            .host
            .db
            .run(move |conn| Ok::<_, Error>(lists::find(conn, workspace, list)?))
            .await?;
        found.ok_or(Error::ListNotFound(list))?;
    }
    let upload = Upload::new(state, fresh(&caller, &query, now));
    let import = match kind {
        BodyKind::Csv => csv_body(upload, body).await?,
        BodyKind::Form => form_body(upload, Multipart::new(request.headers(), body)).await?,
    };
    Ok(HttpResponse::Accepted()
        .insert_header(("location", format!("/api/v1/leads/imports/{}", import.id)))
        .json(ImportView::new(import, now)))
}

enum BodyKind {
    Csv,
    Form,
}

impl BodyKind {
    fn of(request: &HttpRequest) -> Result<Self, Error> {
        let header = request.headers().get("content-type");
        let header = header.and_then(|value| value.to_str().ok()).unwrap_or("");
        let header = header.to_lowercase();
        let (kind, parameters) = header.split_once(';').unwrap_or((&header, ""));
        let charset = parameters
            .trim()
            .strip_prefix("charset=")
            .unwrap_or("utf-8");
        match kind.trim() {
            "multipart/form-data" => Ok(Self::Form),
            "text/csv" | "text/plain" if charset.trim_matches('"') == "utf-8" => Ok(Self::Csv),
            "text/csv" | "text/plain" => Err(unsupported("must say charset=utf-8, and be UTF-8")),
            _ => Err(unsupported("must be text/csv or multipart/form-data")),
        }
    }
}

fn unsupported(detail: &str) -> Error {
    Error::Input(InvalidInput {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        code: "unsupported_media_type",
        fields: vec![FieldError::new("header/Content-Type", detail)],
    })
}

fn fresh(caller: &Caller, query: &ImportQuery, now: DateTime<Utc>) -> Import {
    Import {
        workspace_id: caller.workspace,
        id: ImportId::new(),
        status: "uploading".into(),
        actor: caller.subject.to_string(),
        list_id: query.list_id,
        list_status: query.list_status.as_str().into(),
        dry_run: query.dry_run,
        plan: Value::Null,
        bytes: 0,
        next_byte: 0,
        next_line: 1,
        rows: 0,
        created: 0,
        updated: 0,
        unchanged: 0,
        rejected: 0,
        failure: None,
        created_at: now,
        started_at: None,
        finished_at: None,
    }
}

async fn csv_body(mut upload: Upload, mut body: web::Payload) -> Result<Import, Error> {
    let mapping = Mapping::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(broken_off)?;
        upload.write(&bytes, Some(&mapping)).await?;
    }
    upload.finish(&mapping).await
}

fn broken_off(error: impl std::fmt::Display) -> Error {
    Error::Input(InvalidInput {
        status: StatusCode::BAD_REQUEST,
        code: "malformed_body",
        fields: vec![FieldError::new("", format!("the body broke off: {error}"))],
    })
}

async fn form_body(mut upload: Upload, mut form: Multipart) -> Result<Import, Error> {
    let (mut mapping, mut with_file) = (None, false);
    while let Some(field) = form.next().await {
        let mut field = field.map_err(malformed)?;
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" if !with_file => {
                with_file = true;
                while let Some(bytes) = field.next().await {
                    let bytes = bytes.map_err(malformed)?;
                    upload.write(&bytes, mapping.as_ref()).await?;
                }
            }
            "mapping" if mapping.is_none() => {
                let text = field.bytes(MAX_MAPPING).await;
                let text = text.map_err(|_| InvalidInput::field("mapping", "is too large"))?;
                mapping = Some(mapping_of(&text.map_err(malformed)?)?);
            }
            "file" | "mapping" => return Err(InvalidInput::field(name, "appears twice").into()),
            _ => return Err(InvalidInput::field(name, "is not expected here").into()),
        }
    }
    if !with_file {
        return Err(InvalidInput::field("file", "is missing").into());
    }
    upload.finish(&mapping.unwrap_or_default()).await
}

fn malformed(error: MultipartError) -> Error {
    match error {
        MultipartError::Incomplete | MultipartError::Payload(_) => broken_off(error),
        error => Error::Input(InvalidInput {
            status: StatusCode::BAD_REQUEST,
            code: "malformed_body",
            fields: vec![FieldError::new(
                "",
                format!("the form cannot be read: {error}"),
            )],
        }),
    }
}

fn mapping_of(text: &[u8]) -> Result<Mapping, InvalidInput> {
    serde_json::from_slice(text).map_err(|_| {
        let detail = "must be a JSON object from columns to fields, or to null";
        InvalidInput::field("mapping", detail)
    })
}

/// `GET /leads/imports`: newest first.
#[utoipa::path(
    get, path = "/api/v1/leads/imports", tag = "leads", operation_id = "leads_imports_list",
    params(PageQuery),
    responses((status = 200, description = "Imports, newest first", body = Page<ImportView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<ImportView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, now) = (caller.workspace, state.host.clock.now());
    let (limit, before) = paging(query.limit, query.cursor.as_deref())?;
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(imports::newest(conn, workspace, before, limit + 1)?))
        .await?;
    let view = |import| ImportView::new(import, now);
    Ok(Json(Page::from_rows(rows, limit, |row| row.id, view)))
}

async fn found(state: &State, caller: &Caller, id: ImportId) -> Result<Import, Error> {
    let workspace = caller.workspace;
    let import = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(imports::find(conn, workspace, id)?))
        .await?;
    import.ok_or(Error::ImportNotFound(id))
}

/// `GET /leads/imports/{id}`
#[utoipa::path(
    get, path = "/api/v1/leads/imports/{id}", tag = "leads", operation_id = "leads_imports_get",
    params(("id" = ImportId, Path, description = "The import")),
    responses(
        (status = 200, description = "How far it is", body = ImportView),
        (status = 404, description = "No such import", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<ImportId>,
) -> Result<Json<ImportView>, Error> {
    caller.require(Scope::LeadsRead)?;
    let import = found(&state, &caller, id.into_inner()).await?;
    Ok(Json(ImportView::new(import, state.host.clock.now())))
}

/// `GET /leads/imports/{id}/errors`: the refused rows as CSV, with the line each begins on and
/// the reason, then the cells as they were.
#[utoipa::path(
    get, path = "/api/v1/leads/imports/{id}/errors", tag = "leads", operation_id = "leads_imports_errors",
    params(("id" = ImportId, Path, description = "The import")),
    responses(
        (status = 200, description = "The refused rows", content_type = "text/csv", body = String),
        (status = 404, description = "No such import", body = common::Problem),
    )
)]
pub(crate) async fn errors(
    state: Data<State>,
    caller: Caller,
    id: Path<ImportId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let import = Arc::new(found(&state, &caller, id.into_inner()).await?);
    let names = serde_json::from_value::<Plan>(import.plan.clone()).map(|plan| plan.names);
    let names = names.unwrap_or_default();
    let columns = ["line", "reason"].map(str::to_owned).into_iter();
    let header = encode([columns
        .chain(names.iter().map(|name| guarded(name)))
        .collect()]);
    let name = format!("import-{}-errors.csv", import.id);
    Ok(download(&name, CSV, header, 0, move |line| {
        errors_part(state.clone(), Arc::clone(&import), line)
    }))
}

async fn errors_part(
    state: Data<State>,
    import: Arc<Import>,
    line: i64,
) -> Result<(Bytes, Option<i64>), Error> {
    let (workspace, id) = (import.workspace_id, import.id);
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(imports::errors(conn, workspace, id, line, PART)?))
        .await?;
    let next = rows.last().map(|row| row.line);
    let next = next.filter(|_| rows.len() as i64 == PART);
    let encoded = encode(rows.into_iter().map(|row| {
        let fixed = [row.line.to_string(), guarded(&row.reason)];
        let cells = row.cells.iter().map(|cell| guarded(cell));
        fixed.into_iter().chain(cells).collect()
    }));
    Ok((encoded, next))
}

/// `DELETE /leads/imports/{id}`: stops it where it is. What it has imported stays.
#[utoipa::path(
    delete, path = "/api/v1/leads/imports/{id}", tag = "leads", operation_id = "leads_imports_cancel",
    params(("id" = ImportId, Path, description = "The import")),
    responses(
        (status = 204, description = "It does not go on"),
        (status = 404, description = "No such import", body = common::Problem),
        (status = 409, description = "It has ended already", body = common::Problem),
    )
)]
pub(crate) async fn cancel(
    state: Data<State>,
    caller: Caller,
    id: Path<ImportId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    state
        .host
        .db
        .transaction(move |conn| {
            let held = imports::lock(conn, workspace, id)?;
            let mut import = held
                .filter(|import| import.status != "uploading")
                .ok_or(Error::ImportNotFound(id))?;
            if import.ended() {
                return Err(Error::ImportEnded(id));
            }
            import.status = "cancelled".into();
            import.finished_at = Some(now);
            imports::update(conn, &import)?;
            imports::drop_chunks(conn, workspace, id)?;
            Ok(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
