//! Keys for programs.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chassis::revocation::Revoked;
use chrono::{DateTime, Utc};
use common::ApiKeyId;
use common::auth::{Scope, Subject};
use common::page::{Page, PageQuery};
use serde::{Deserialize, Serialize};

use crate::domain::{ApiKey, Check, Name};
use crate::error::Error;
use crate::revoking;
use crate::state::State;
use crate::store::{api_keys, revocations};
use crate::tokens;

/// How much of a key its list shows: enough to tell keys apart, nothing to guess the rest by.
const SHOWN: usize = 12;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::CreateApiKey)]
pub(crate) struct CreateApiKey {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// At least one, and none that the caller does not have.
    scopes: Vec<Scope>,
    /// The key works until then; without it, until it is deleted.
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::ApiKey)]
pub(crate) struct ApiKeyView {
    id: ApiKeyId,
    name: String,
    /// How the key begins.
    prefix: String,
    scopes: Vec<Scope>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            scopes: key.scope_set().iter().collect(),
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A key that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::NewApiKey)]
pub(crate) struct NewApiKey {
    #[serde(flatten)]
    view: ApiKeyView,
    /// The key itself. It is shown this once and kept nowhere.
    key: String,
}

/// `POST /api/v1/api-keys`
#[utoipa::path(
    post, path = "/api/v1/api-keys", tag = "identity", operation_id = "identity_api_keys_create",
    request_body = CreateApiKey,
    responses(
        (status = 201, description = "The key, shown this once", body = NewApiKey),
        (status = 403, description = "Not allowed, or a scope that the caller does not have", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<CreateApiKey>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::KeysWrite)?;
    let (body, now) = (body.into_inner(), state.now());
    for scope in &body.scopes {
        caller.require(*scope)?;
    }
    let name = body.checked(now)?;
    let (text, hash) = tokens::opaque("clk_")?;
    let key = ApiKey {
        workspace_id: caller.workspace,
        id: ApiKeyId::new(),
        name: name.into_inner(),
        prefix: text.chars().take(SHOWN).collect(),
        hash,
        scopes: body.scopes.iter().map(ToString::to_string).collect(),
        created_by: caller.subject.to_string(),
        created_at: now,
        expires_at: body.expires_at,
        last_used_at: None,
    };
    let key = state
        .host
        .db
        .transaction(move |conn| {
            api_keys::insert(conn, &key)?;
            Ok::<_, Error>(key)
        })
        .await?;
    Ok(HttpResponse::Created().json(NewApiKey {
        view: key.into(),
        key: text,
    }))
}

impl CreateApiKey {
    fn checked(&self, now: DateTime<Utc>) -> Result<Name, Error> {
        let mut check = Check::default();
        let name = check.take("/name", Name::parse(&self.name));
        if self.scopes.is_empty() {
            check.refuse("/scopes", "must name at least one scope");
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            check.refuse("/expires_at", "must be in the future");
        }
        check.passed()?;
        name.ok_or_else(|| check.refusal().into())
    }
}

/// `GET /api/v1/api-keys`
#[utoipa::path(
    get, path = "/api/v1/api-keys", tag = "identity", operation_id = "identity_api_keys_list",
    params(PageQuery),
    responses((status = 200, description = "The keys, without themselves", body = Page<ApiKeyView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<ApiKeyView>>, Error> {
    caller.require(Scope::KeysWrite)?;
    let mut check = Check::default();
    let limit = check.take("query/limit", query.limit());
    let after = check.take("query/cursor", query.after::<ApiKeyId>());
    check.passed()?;
    let (limit, after) = (limit.unwrap_or_default(), after.flatten());
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(api_keys::page(conn, caller.workspace, after, limit + 1)?))
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |key| key.id,
        ApiKeyView::from,
    )))
}

/// `DELETE /api/v1/api-keys/{id}`: the key stops working within a second, and so do the
/// tokens that were made from it.
#[utoipa::path(
    delete, path = "/api/v1/api-keys/{id}", tag = "identity",
    operation_id = "identity_api_keys_delete",
    params(("id" = ApiKeyId, Path, description = "The key")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "No key of this workspace", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<ApiKeyId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::KeysWrite)?;
    let id = id.into_inner();
    let deleted = state
        .host
        .db
        .transaction(move |conn| {
            let deleted = api_keys::delete(conn, caller.workspace, id)?;
            if deleted {
                revocations::add(conn, Revoked::Subject(Subject::ApiKey(id)))?;
            }
            Ok::<_, Error>(deleted)
        })
        .await?;
    revoking::tell(&state).await;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::KeyNotFound(id)),
    }
}
