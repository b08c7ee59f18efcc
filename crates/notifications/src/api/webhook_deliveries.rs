//! `/api/v1/webhooks/{id}/deliveries`: what was posted and how it went; once more; a trial.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use chassis::auth::Caller;
use chassis::http::{Path, Query};
use chrono::{DateTime, Utc};
use common::auth::{Scope, Service};
use common::events::Envelope;
use common::ids::{DeliveryId, WebhookId};
use common::page::{self, Page};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::webhooks::refused;
use crate::domain::webhook::TEST;
use crate::store::webhook_deliveries::{self, Delivery, Wanted};
use crate::store::webhooks::{self, Webhook};
use crate::{AppState, Error};

/// One event on its way to one webhook.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Delivery)]
pub(crate) struct DeliveryView {
    /// The `webhook-id` header: the same at every attempt.
    id: DeliveryId,
    event_id: Uuid,
    event_type: String,
    /// What is posted: the event in CloudEvents 1.0 JSON.
    #[schema(value_type = Object)]
    payload: Value,
    /// `pending`, `delivered` or `failed`.
    state: String,
    attempts: i32,
    /// When a pending one is due.
    next_attempt_at: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last answer.
    status: Option<i32>,
    /// The first 4 kB of the last answer.
    answer: Option<String>,
    /// Why the last attempt was no success.
    problem: Option<String>,
    took_ms: Option<i64>,
    created_at: DateTime<Utc>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            // Written from JSON.
            payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
            next_attempt_at: (delivery.state == "pending").then_some(delivery.next_at),
            state: delivery.state,
            attempts: delivery.attempts,
            last_attempt_at: delivery.attempted_at,
            status: delivery.status,
            answer: delivery.answer,
            problem: delivery.problem,
            took_ms: delivery.took_ms,
            created_at: delivery.created_at,
        }
    }
}

/// Which deliveries are listed.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = notifications::DeliveryState)]
pub(crate) enum State {
    Pending,
    Delivered,
    Failed,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    #[param(inline)]
    state: Option<State>,
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// `GET /api/v1/webhooks/{id}/deliveries`
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/deliveries", tag = "notifications",
    operation_id = "notifications_webhooks_deliveries",
    params(("id" = WebhookId, Path, description = "The webhook"), DeliveriesQuery),
    responses(
        (status = 200, description = "Its deliveries, newest first", body = Page<DeliveryView>),
        (status = 404, description = "There is no such webhook", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.deliveries", skip_all, fields(webhook.id = %id.0))]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
    id: Path<WebhookId>,
    query: Query<DeliveriesQuery>,
) -> Result<web::Json<Page<DeliveryView>>, Error> {
    caller.require(Scope::WebhooksRead)?;
    let (workspace, webhook, query) = (caller.workspace, id.into_inner(), query.into_inner());
    let limit = page::limit(query.limit).map_err(refused("query/limit"))?;
    let cursor = query.cursor.as_deref().map(page::decode_cursor).transpose();
    let wanted = Wanted {
        webhook,
        state: query.state.map(State::as_str),
        before: cursor.map_err(refused("query/cursor"))?,
    };
    let rows = state
        .db
        .run(move |conn| {
            webhooks::find(conn, workspace, webhook)?.ok_or(Error::NoWebhook(webhook))?;
            let rows = webhook_deliveries::list(conn, workspace, &wanted, limit + 1)?;
            Ok::<_, Error>(rows)
        })
        .await?;
    let page = Page::from_rows(rows, limit, |delivery| delivery.id, DeliveryView::from);
    Ok(web::Json(page))
}

/// `POST /api/v1/webhooks/{id}/deliveries/{delivery}/redeliver`
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", tag = "notifications",
    operation_id = "notifications_webhooks_redeliver",
    params(
        ("id" = WebhookId, Path, description = "The webhook"),
        ("delivery" = DeliveryId, Path, description = "The delivery"),
    ),
    responses(
        (status = 202, description = "It is posted again, with the same `webhook-id`", body = DeliveryView),
        (status = 404, description = "There is no such webhook or delivery", body = common::Problem),
        (status = 409, description = "The webhook is disabled", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.redeliver", skip_all, fields(delivery.id = %path.0.1))]
pub(crate) async fn redeliver(
    state: Data<AppState>,
    caller: Caller,
    path: Path<(WebhookId, DeliveryId)>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksWrite)?;
    let (workspace, now) = (caller.workspace, state.clock.now());
    let (webhook, id) = path.into_inner();
    let delivery = state
        .db
        .transaction(move |conn| {
            let locked = webhooks::lock(conn, workspace, webhook)?;
            enabled(locked, webhook)?;
            webhook_deliveries::redeliver(conn, workspace, webhook, id, now)?
                .ok_or(Error::NoDelivery(id))
        })
        .await?;
    state.webhooks.wake.notify_one();
    Ok(HttpResponse::Accepted().json(DeliveryView::from(delivery)))
}

fn enabled(found: Option<Webhook>, id: WebhookId) -> Result<Webhook, Error> {
    let webhook = found.ok_or(Error::NoWebhook(id))?;
    match webhook.enabled {
        true => Ok(webhook),
        false => Err(Error::WebhookDisabled),
    }
}

/// `POST /api/v1/webhooks/{id}/test`
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/test", tag = "notifications",
    operation_id = "notifications_webhooks_test",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses(
        (status = 202, description = "An event `webhook.test` is posted", body = DeliveryView),
        (status = 404, description = "There is no such webhook", body = common::Problem),
        (status = 409, description = "The webhook is disabled", body = common::Problem),
    )
)]
#[tracing::instrument(name = "webhooks.test", skip_all, fields(webhook.id = %id.0))]
pub(crate) async fn test(
    state: Data<AppState>,
    caller: Caller,
    id: Path<WebhookId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WebhooksWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.clock.now());
    let delivery = state
        .db
        .transaction(move |conn| {
            let webhook = enabled(webhooks::lock(conn, workspace, id)?, id)?;
            let added = webhook_deliveries::add(conn, &trial(&webhook, now), &[id], now)?;
            let added = added.into_iter().next();
            let found = added.map(|added| webhook_deliveries::find(conn, workspace, added));
            found.transpose()?.flatten().ok_or(Error::NoWebhook(id))
        })
        .await?;
    state.webhooks.wake.notify_one();
    Ok(HttpResponse::Accepted().json(DeliveryView::from(delivery)))
}

/// An event that tells nothing but that it arrives.
fn trial(webhook: &Webhook, now: DateTime<Utc>) -> Envelope {
    Envelope {
        specversion: "1.0".into(),
        id: Uuid::now_v7(),
        source: format!("/services/{}", Service::Notifications),
        kind: TEST.into(),
        subject: webhook.id.to_string(),
        time: now,
        workspaceid: webhook.workspace_id,
        traceparent: None,
        data: json!({ "webhook_id": webhook.id }),
    }
}
