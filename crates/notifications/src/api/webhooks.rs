//! `/api/v1/webhooks`: the URLs that a workspace has its events posted to.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Path, Query, etag};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::ids::WebhookId;
use common::page::{Page, PageQuery};
use common::values::Invalid;
use serde::Serialize;

use super::write_webhook::{NewWebhook, Said, WebhookChanges};
use crate::domain::webhook::{OVERLAP, SigningSecret};
use crate::store::webhook_deliveries;
use crate::store::webhooks::{self, Webhook};
use crate::{AppState, Error};

/// How many a workspace may have.
const MOST: i64 = 100;

/// A webhook, without its secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Webhook)]
pub(crate) struct WebhookView {
    id: WebhookId,
    url: String,
    /// Types of events; `*` is for all.
    events: Vec<String>,
    description: String,
    enabled: bool,
    disabled_reason: Option<String>,
    /// Since when no delivery succeeded.
    failing_since: Option<DateTime<Utc>>,
    /// Until when the secret before the current one signs too.
    old_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A webhook with its secret, which is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::WebhookWithSecret)]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookView,
    /// `whsec_` and base64, as the libraries of Standard Webhooks take it.
    secret: String,
}

impl WebhookView {
    fn new(webhook: Webhook, now: DateTime<Utc>) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url,
            events: webhook.events,
            description: webhook.description,
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason,
            failing_since: webhook.failing_since,
            old_secret_until: webhook.old_secret_until.filter(|until| now < *until),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// Says which part of a query cannot be used.
pub(super) fn refused(name: &'static str) -> impl Fn(Invalid) -> InvalidInput {
    move |why| InvalidInput::field(name, why.to_string())
}

/// `GET /api/v1/webhooks`
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "notifications", operation_id = "notifications_webhooks_list",
    params(PageQuery),
    responses((status = 200, description = "The workspace's webhooks, oldest first", body = Page<WebhookView>))
)]
#[tracing::instrument(name = "webhooks.list", skip_all)]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<WebhookView>>, Error> {
    caller.require(Scope::WebhooksRead)?;
    let limit = query.0.limit().map_err(refused("query/limit"))?;
    let after: Option<WebhookId> = query.0.after().map_err(refused("query/cursor"))?;
    let (workspace, now) = (caller.workspace, state.clock.now());
    let rows = state
        .db
        .run(move |conn| Ok::<_, Error>(webhooks::list(conn, workspace, after, limit + 1)?))
        .await?;
    let view = |webhook| WebhookView::new(webhook, now);
    Ok(web::Json(Page::from_rows(
        rows,
        limit,
        |webhook| webhook.id,
        view,
    )))
}

/// `POST /api/v1/webhooks`
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "notifications", operation_id = "notifications_webhooks_create",
    request_body = NewWebhook,
    responses(
        (status = 201, description = "The new webhook and its secret", body = WebhookWithSecret),
        (status = 409, description = "There are too many already", body = common::Problem),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.create", skip_all)]
pub(crate) async fn create(
    state: Data<AppState>,
    caller: Caller,
    body: Json<NewWebhook>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksWrite)?;
    let (workspace, now) = (caller.workspace, state.clock.now());
    let Said {
        url,
        events,
        description,
    } = body.into_inner().checked(&state.webhooks.guard).await?;
    let secret = SigningSecret::new();
    let webhook = Webhook {
        workspace_id: workspace,
        id: WebhookId::new(),
        url: url.unwrap_or_default(),
        description: description.unwrap_or_default(),
        events: events.unwrap_or_default(),
        secret: state.vault.seal(secret.as_bytes()),
        old_secret: None,
        old_secret_until: None,
        enabled: true,
        disabled_reason: None,
        failing_since: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let webhook = state
        .db
        .transaction(move |conn| {
            if webhooks::count(conn, workspace)? >= MOST {
                return Err(Error::TooManyWebhooks(MOST));
            }
            webhooks::insert(conn, &webhook)?;
            Ok(webhook)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/webhooks/{}", webhook.id)))
        .insert_header(etag(webhook.version))
        .json(with_secret(webhook, &secret, now)))
}

fn with_secret(webhook: Webhook, secret: &SigningSecret, now: DateTime<Utc>) -> WebhookWithSecret {
    WebhookWithSecret {
        webhook: WebhookView::new(webhook, now),
        secret: secret.shown(),
    }
}

/// `GET /api/v1/webhooks/{id}`
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}", tag = "notifications", operation_id = "notifications_webhooks_show",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses(
        (status = 200, description = "The webhook", body = WebhookView),
        (status = 404, description = "There is no such webhook", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.show", skip_all, fields(webhook.id = %id.0))]
pub(crate) async fn show(
    state: Data<AppState>,
    caller: Caller,
    id: Path<WebhookId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let webhook = state
        .db
        .run(move |conn| webhooks::find(conn, workspace, id)?.ok_or(Error::NoWebhook(id)))
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(webhook.version))
        .json(WebhookView::new(webhook, state.clock.now())))
}

/// `PATCH /api/v1/webhooks/{id}`
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{id}", tag = "notifications", operation_id = "notifications_webhooks_update",
    params(("id" = WebhookId, Path, description = "The webhook")),
    request_body = WebhookChanges,
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 404, description = "There is no such webhook", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "Fields that cannot be used", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.update", skip_all, fields(webhook.id = %id.0))]
pub(crate) async fn update(
    state: Data<AppState>,
    caller: Caller,
    id: Path<WebhookId>,
    seen: IfMatch,
    body: Json<WebhookChanges>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.clock.now());
    let changes = body.into_inner();
    let enabled = changes.enabled;
    let said = changes.checked(&state.webhooks.guard).await?;
    let webhook = state
        .db
        .transaction(move |conn| {
            let mut webhook = webhooks::lock(conn, workspace, id)?.ok_or(Error::NoWebhook(id))?;
            if seen.0.is_some_and(|version| version != webhook.version) {
                return Err(Error::WebhookChanged);
            }
            apply(&mut webhook, said, enabled, now);
            webhooks::update(conn, &webhook)?;
            if !webhook.enabled {
                webhook_deliveries::fail_waiting(conn, workspace, id)?;
            }
            Ok(webhook)
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(webhook.version))
        .json(WebhookView::new(webhook, now)))
}

/// One that is enabled again starts with a clean slate.
fn apply(webhook: &mut Webhook, said: Said, enabled: Option<bool>, now: DateTime<Utc>) {
    if let Some(url) = said.url {
        webhook.url = url;
    }
    if let Some(events) = said.events {
        webhook.events = events;
    }
    if let Some(description) = said.description {
        webhook.description = description;
    }
    match enabled {
        Some(true) if !webhook.enabled => {
            webhook.enabled = true;
            webhook.disabled_reason = None;
            webhook.failing_since = None;
        }
        Some(false) if webhook.enabled => {
            webhook.enabled = false;
            webhook.disabled_reason = Some("it was disabled by hand".into());
        }
        _ => {}
    }
    webhook.version += 1;
    webhook.updated_at = now;
}

/// `DELETE /api/v1/webhooks/{id}`
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}", tag = "notifications", operation_id = "notifications_webhooks_delete",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses(
        (status = 204, description = "It is gone, and its deliveries with it"),
        (status = 404, description = "There is no such webhook", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.delete", skip_all, fields(webhook.id = %id.0))]
pub(crate) async fn delete(
    state: Data<AppState>,
    caller: Caller,
    id: Path<WebhookId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let deleted = state
        .db
        .run(move |conn| Ok::<_, Error>(webhooks::delete(conn, workspace, id)?))
        .await?;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::NoWebhook(id)),
    }
}

/// `POST /api/v1/webhooks/{id}/rotate-secret`
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/rotate-secret", tag = "notifications",
    operation_id = "notifications_webhooks_rotate_secret",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses(
        (status = 200, description = "The webhook and its new secret; for 24 hours both sign", body = WebhookWithSecret),
        (status = 404, description = "There is no such webhook", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.rotate_secret", skip_all, fields(webhook.id = %id.0))]
pub(crate) async fn rotate_secret(
    state: Data<AppState>,
    caller: Caller,
    id: Path<WebhookId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.clock.now());
    let secret = SigningSecret::new();
    let sealed = state.vault.seal(secret.as_bytes());
    let webhook = state
        .db
        .transaction(move |conn| {
            let mut webhook = webhooks::lock(conn, workspace, id)?.ok_or(Error::NoWebhook(id))?;
            webhook.old_secret = Some(std::mem::replace(&mut webhook.secret, sealed));
            webhook.old_secret_until = Some(now + OVERLAP);
            webhook.version += 1;
            webhook.updated_at = now;
            webhooks::update(conn, &webhook)?;
            Ok::<_, Error>(webhook)
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(webhook.version))
        .json(with_secret(webhook, &secret, now)))
}
