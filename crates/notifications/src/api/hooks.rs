//! `/api/v1/hooks`: the URLs that mail providers tell bounces and complaints to.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::ids::HookId;
use common::page::{self, Page, PageQuery};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::inbound::Provider;
use crate::store::hooks::{self, Hook};
use crate::{AppState, Error};

/// Longest secret of a provider, in octets.
const LONGEST_SECRET: usize = 1024;

/// A hook, without what is secret of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Hook)]
pub(crate) struct HookView {
    id: HookId,
    /// `sendgrid`, `mailgun`, `postmark` or `ses`.
    provider: String,
    created_at: DateTime<Utc>,
    /// When the provider last told something through it, to the minute.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Hook> for HookView {
    fn from(hook: Hook) -> Self {
        Self {
            id: hook.id,
            provider: hook.provider,
            created_at: hook.created_at,
            last_used_at: hook.last_used_at,
        }
    }
}

/// A hook with its URL, which is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::CreatedHook)]
pub(crate) struct CreatedHook {
    #[serde(flatten)]
    hook: HookView,
    /// What to give the provider. Whoever knows it of a Postmark hook can tell bounces.
    url: String,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::NewHook)]
pub(crate) struct NewHook {
    provider: Provider,
    /// Mailgun: the HTTP webhook signing key. SendGrid: the verification key of the signed event
    /// webhook. SES: the ARN of the SNS topic that it publishes to, and no other topic is believed.
    /// Postmark: none.
    #[serde(default)]
    secret: Option<String>,
}

/// What a token is known by.
pub(super) fn hash(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

/// `POST /api/v1/hooks`
#[utoipa::path(
    post, path = "/api/v1/hooks", tag = "notifications", operation_id = "notifications_hooks_create",
    request_body = NewHook,
    responses(
        (status = 201, description = "The hook with its URL, which is not shown again", body = CreatedHook),
        (status = 422, description = "The secret is not one of the provider's", body = common::Problem),
    )
)]
#[tracing::instrument(name = "hooks.create", skip_all)]
pub(crate) async fn create(
    state: Data<AppState>,
    caller: Caller,
    body: Json<NewHook>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let NewHook { provider, secret } = body.into_inner();
    let secret = secret.map(|secret| secret.trim().to_owned());
    let secret = secret.filter(|secret| !secret.is_empty());
    let too_long = secret
        .as_ref()
        .is_some_and(|secret| secret.len() > LONGEST_SECRET);
    let too_long = too_long.then_some("must be at most 1024 octets long");
    if let Some(why) = too_long.or_else(|| provider.refuses(secret.as_deref())) {
        return Err(InvalidInput::field("/secret", why).into());
    }
    let mut token = [0; 32];
    rand::fill(&mut token).map_err(|_| Error::NoRandomness)?;
    let token = BASE64URL_NOPAD.encode(&token);
    let hook = Hook {
        workspace_id: caller.workspace,
        id: HookId::new(),
        provider: provider.as_str().to_owned(),
        token_hash: hash(&token),
        secret: secret.map(|secret| state.vault.seal(secret.as_bytes())),
        created_at: state.clock.now(),
        last_used_at: None,
    };
    let hook = state
        .db
        .run(move |conn| {
            hooks::insert(conn, &hook)?;
            Ok::<_, Error>(hook)
        })
        .await?;
    let url = state.links.hook(provider.as_str(), &token);
    let hook = HookView::from(hook);
    Ok(HttpResponse::Created().json(CreatedHook { hook, url }))
}

/// `GET /api/v1/hooks`
#[utoipa::path(
    get, path = "/api/v1/hooks", tag = "notifications", operation_id = "notifications_hooks_list",
    params(PageQuery),
    responses((status = 200, description = "Hooks, oldest first", body = Page<HookView>))
)]
#[tracing::instrument(name = "hooks.list", skip_all)]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<HookView>>, Error> {
    caller.require(Scope::MessagesRead)?;
    let refused = |name: &'static str| {
        move |why: common::values::Invalid| InvalidInput::field(name, why.to_string())
    };
    let limit = query.0.limit().map_err(refused("query/limit"))?;
    let after = query
        .0
        .cursor
        .as_deref()
        .map(page::decode_cursor)
        .transpose();
    let after: Option<HookId> = after.map_err(refused("query/cursor"))?;
    let rows = state
        .db
        .run(move |conn| Ok::<_, Error>(hooks::list(conn, caller.workspace, after, limit + 1)?))
        .await?;
    let page = Page::from_rows(rows, limit, |hook| hook.id, HookView::from);
    Ok(web::Json(page))
}

/// `DELETE /api/v1/hooks/{id}`
#[utoipa::path(
    delete, path = "/api/v1/hooks/{id}", tag = "notifications", operation_id = "notifications_hooks_delete",
    params(("id" = uuid::Uuid, Path, description = "The hook")),
    responses(
        (status = 204, description = "Its URL does not exist any more"),
        (status = 404, description = "There is no such hook", body = common::Problem),
    )
)]
#[tracing::instrument(name = "hooks.delete", skip_all, fields(hook.id = %id.0))]
pub(crate) async fn delete(
    state: Data<AppState>,
    caller: Caller,
    id: Path<HookId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::SendersWrite)?;
    let id = id.into_inner();
    let deleted = state
        .db
        .run(move |conn| Ok::<_, Error>(hooks::delete(conn, caller.workspace, id)?))
        .await?;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::NoHook),
    }
}
