//! Every path of this service.

use actix_web::web::{
    Data, JsonConfig, PayloadConfig, ServiceConfig, delete, get, patch, post, put, resource,
};
use chassis::InvalidInput;
use utoipa::OpenApi;

use crate::api::{
    domains, hooks, internal, messages, receive, senders, transactional, view, webhook_deliveries,
    webhooks,
};
use crate::{AppState, Error};

/// A page of recipients with their variables may be large; only services can send it.
const MAX_PAGE: usize = 32 << 20;

/// Providers tell a few hundred events at a time; the gateway lets no more through.
const MAX_TOLD: usize = 2 << 20;

pub(crate) fn register(app: &mut ServiceConfig, state: &Data<AppState>) {
    let pages = JsonConfig::default()
        .limit(MAX_PAGE)
        .error_handler(|error, _| Error::from(InvalidInput::field("", error.to_string())).into());
    app.app_data(state.clone())
        .route("/api/v1/messages", get().to(messages::list))
        .route("/api/v1/messages", post().to(transactional::create))
        .route("/api/v1/messages/retry", post().to(messages::retry))
        .route("/api/v1/messages/{id}", get().to(messages::show))
        .route("/api/v1/senders", get().to(senders::list))
        .route("/api/v1/senders", post().to(senders::create))
        .route("/api/v1/senders/{id}", get().to(senders::show))
        .route("/api/v1/senders/{id}", patch().to(senders::update))
        .route("/api/v1/senders/{id}", delete().to(senders::delete))
        .route("/api/v1/senders/{id}/test", post().to(senders::test))
        .route("/api/v1/domains", get().to(domains::list))
        .route("/api/v1/domains", post().to(domains::create))
        .route("/api/v1/domains/{id}", get().to(domains::show))
        .route("/api/v1/domains/{id}", delete().to(domains::delete))
        .route("/api/v1/domains/{id}/rotate", post().to(domains::rotate))
        .route("/api/v1/domains/{id}/check", post().to(domains::check))
        .route("/internal/domains/{name}", get().to(domains::standing))
        .route("/api/v1/hooks", get().to(hooks::list))
        .route("/api/v1/hooks", post().to(hooks::create))
        .route("/api/v1/hooks/{id}", delete().to(hooks::delete))
        .service(
            resource("/hooks/{provider}/{token}")
                .app_data(PayloadConfig::new(MAX_TOLD))
                .route(post().to(receive::receive)),
        )
        .route("/api/v1/webhooks", get().to(webhooks::list))
        .route("/api/v1/webhooks", post().to(webhooks::create))
        .route("/api/v1/webhooks/{id}", get().to(webhooks::show))
        .route("/api/v1/webhooks/{id}", patch().to(webhooks::update))
        .route("/api/v1/webhooks/{id}", delete().to(webhooks::delete))
        .route(
            "/api/v1/webhooks/{id}/rotate-secret",
            post().to(webhooks::rotate_secret),
        )
        .route(
            "/api/v1/webhooks/{id}/test",
            post().to(webhook_deliveries::test),
        )
        .route(
            "/api/v1/webhooks/{id}/deliveries",
            get().to(webhook_deliveries::list),
        )
        .route(
            "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver",
            post().to(webhook_deliveries::redeliver),
        )
        .route("/v/{token}", get().to(view::show))
        .route("/internal/messages", post().to(transactional::of_the_house))
        .route("/internal/campaigns/{id}", put().to(internal::put_campaign))
        .service(
            resource("/internal/campaigns/{id}/recipients")
                .app_data(pages)
                .route(post().to(internal::hand_over)),
        )
        .route(
            "/internal/campaigns/{id}/complete",
            post().to(internal::complete),
        )
        .route("/internal/campaigns/{id}/pause", post().to(internal::pause))
        .route(
            "/internal/campaigns/{id}/resume",
            post().to(internal::resume),
        )
        .route(
            "/internal/campaigns/{id}/cancel",
            post().to(internal::cancel),
        )
        .route(
            "/internal/campaigns/{id}/settlement",
            get().to(internal::settlement),
        )
        .route("/internal/campaigns/{id}/speed", get().to(internal::speed))
        .route("/internal/test-sends", post().to(internal::test_sends));
}

#[derive(OpenApi)]
#[openapi(
    paths(messages::list, transactional::create, messages::show, messages::retry, senders::list,
        senders::create, senders::show, senders::update, senders::delete, senders::test, domains::list, domains::create,
        domains::show, domains::delete, domains::rotate, domains::check, hooks::list, hooks::create,
        hooks::delete, receive::receive, webhooks::list, webhooks::create, webhooks::show, webhooks::update,
        webhooks::delete, webhooks::rotate_secret, webhook_deliveries::test, webhook_deliveries::list,
        webhook_deliveries::redeliver),
    tags((name = "notifications", description = "Messages and how they went"))
)]
struct Document;

pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
