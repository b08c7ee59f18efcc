//! `/api/v1/write-keys`: the keys that sites and programs send events with.

use actix_web::web::{self, Data};
use actix_web::{HttpResponse, delete, get, patch, post};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::page::{Page, PageQuery};
use common::{FieldError, WriteKeyId, values};
use serde::{Deserialize, Serialize};

use super::State;
use crate::domain::write_key::{self, WriteKey};
use crate::error::Error;
use crate::store::write_keys;

/// Most origins of a key.
const MAX_ORIGINS: usize = 50;
const MAX_NAME: usize = 200;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = analytics::CreateWriteKey)]
pub struct CreateWriteKey {
    /// The source that sends with it: a site, an app, a server.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Pages of these origins may send from a browser, such as `https://shop.example`. Without
    /// any, all may.
    #[serde(default)]
    origins: Vec<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = analytics::ChangeWriteKey)]
pub struct ChangeWriteKey {
    name: Option<String>,
    origins: Option<Vec<String>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = analytics::WriteKey)]
pub struct WriteKeyView {
    id: WriteKeyId,
    name: String,
    /// The key itself. It may be published: it allows sending events and nothing else.
    key: String,
    origins: Vec<String>,
    created_at: DateTime<Utc>,
    /// Since when it sends nothing any more.
    revoked_at: Option<DateTime<Utc>>,
}

impl From<WriteKey> for WriteKeyView {
    fn from(key: WriteKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            key: key.key,
            origins: key.origins,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A name as it is kept.
fn name(text: &str, bad: &mut Vec<FieldError>) -> String {
    let text = text.trim();
    if !(1..=MAX_NAME).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        let detail = format!("must have 1 to {MAX_NAME} characters");
        bad.push(FieldError::new("/name", detail));
    }
    text.to_owned()
}

/// Origins as browsers write them.
fn origins(given: &[String], bad: &mut Vec<FieldError>) -> Vec<String> {
    if given.len() > MAX_ORIGINS {
        let detail = format!("must hold at most {MAX_ORIGINS} origins");
        bad.push(FieldError::new("/origins", detail));
    }
    let mut found = Vec::new();
    for (index, text) in given.iter().enumerate() {
        match values::web_origin(text) {
            Some(origin) if found.contains(&origin) => {}
            Some(origin) => found.push(origin),
            None => bad.push(FieldError::new(
                format!("/origins/{index}"),
                "must be an origin such as https://shop.example",
            )),
        }
    }
    found
}

fn passed(bad: Vec<FieldError>) -> Result<(), InvalidInput> {
    match bad.is_empty() {
        true => Ok(()),
        false => Err(InvalidInput::fields(bad)),
    }
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_write_keys_create",
    request_body = CreateWriteKey,
    responses(
        (status = 201, description = "The key", body = WriteKeyView),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
#[post("/api/v1/write-keys")]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<CreateWriteKey>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let mut bad = Vec::new();
    let (name, origins) = (name(&body.name, &mut bad), origins(&body.origins, &mut bad));
    passed(bad)?;
    let key = WriteKey {
        workspace_id: caller.workspace,
        id: WriteKeyId::new(),
        name,
        key: write_key::generate(caller.workspace),
        origins,
        created_by: caller.subject.to_string(),
        created_at: state.host.clock.now(),
        revoked_at: None,
    };
    let key = state
        .host
        .db
        .run(move |conn| {
            write_keys::insert(conn, &key)?;
            Ok::<_, Error>(key)
        })
        .await?;
    Ok(HttpResponse::Created().json(WriteKeyView::from(key)))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_write_keys_list",
    params(PageQuery),
    responses((status = 200, description = "The keys, oldest first, the revoked ones included", body = Page<WriteKeyView>))
)]
#[get("/api/v1/write-keys")]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<WriteKeyView>>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let (limit, after) = super::paging(&query)?;
    let rows = state
        .host
        .db
        .run(move |conn| {
            let rows = write_keys::page(conn, caller.workspace, after, limit + 1)?;
            Ok::<_, Error>(rows)
        })
        .await?;
    let page = Page::from_rows(rows, limit, |key| key.id, WriteKeyView::from);
    Ok(web::Json(page))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_write_keys_get",
    params(("id" = WriteKeyId, Path, description = "The key's id")),
    responses(
        (status = 200, description = "The key", body = WriteKeyView),
        (status = 404, description = "No key of this workspace", body = common::Problem),
    )
)]
#[get("/api/v1/write-keys/{id}")]
pub(crate) async fn read(
    state: Data<State>,
    caller: Caller,
    id: Path<WriteKeyId>,
) -> Result<web::Json<WriteKeyView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let id = id.into_inner();
    let key = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(write_keys::find(conn, caller.workspace, id)?))
        .await?;
    let key = key.ok_or(Error::WriteKeyNotFound(id))?;
    Ok(web::Json(key.into()))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_write_keys_change",
    params(("id" = WriteKeyId, Path, description = "The key's id")),
    request_body = ChangeWriteKey,
    responses(
        (status = 200, description = "The key as it is now", body = WriteKeyView),
        (status = 404, description = "No key of this workspace", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
#[patch("/api/v1/write-keys/{id}")]
pub(crate) async fn change(
    state: Data<State>,
    caller: Caller,
    id: Path<WriteKeyId>,
    body: Json<ChangeWriteKey>,
) -> Result<web::Json<WriteKeyView>, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let (id, mut bad) = (id.into_inner(), Vec::new());
    let name = body.name.as_deref().map(|text| name(text, &mut bad));
    let origins = body
        .origins
        .as_deref()
        .map(|given| origins(given, &mut bad));
    passed(bad)?;
    let key = state
        .host
        .db
        .run(move |conn| {
            let (name, origins) = (name.as_deref(), origins.as_deref());
            let key = write_keys::change(conn, caller.workspace, id, name, origins)?;
            Ok::<_, Error>(key)
        })
        .await?;
    state.keys.forget();
    let key = key.ok_or(Error::WriteKeyNotFound(id))?;
    Ok(web::Json(key.into()))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_write_keys_revoke",
    params(("id" = WriteKeyId, Path, description = "The key's id")),
    responses(
        (status = 204, description = "Nothing is taken with it any more, after ten seconds at the latest"),
        (status = 404, description = "No key of this workspace", body = common::Problem),
    )
)]
#[delete("/api/v1/write-keys/{id}")]
pub(crate) async fn revoke(
    state: Data<State>,
    caller: Caller,
    id: Path<WriteKeyId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let (id, now) = (id.into_inner(), state.host.clock.now());
    let known = state
        .host
        .db
        .transaction(move |conn| {
            let known = write_keys::revoke(conn, caller.workspace, id, now)?;
            Ok::<_, Error>(known)
        })
        .await?;
    state.keys.forget();
    match known {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::WriteKeyNotFound(id)),
    }
}
