//! Every path of this service, and its OpenAPI document.

use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;

use crate::api::{campaigns, lifecycle, preview, reports, templates};

pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/templates")
                .route(web::get().to(templates::list))
                .route(web::post().to(templates::create)),
        )
        .service(
            web::resource("/api/v1/templates/{id}")
                .route(web::get().to(templates::get))
                .route(web::put().to(templates::replace))
                .route(web::delete().to(templates::delete)),
        )
        .route("/internal/templates/{id}", web::get().to(templates::copy))
        .service(
            web::resource("/api/v1/campaigns")
                .route(web::get().to(campaigns::list))
                .route(web::post().to(campaigns::create)),
        )
        // Before `/campaigns/{id}`, which would take it for an id.
        .route(
            "/api/v1/campaigns/preview",
            web::post().to(preview::preview),
        )
        .route(
            "/api/v1/campaigns/audience",
            web::post().to(preview::audience),
        )
        .service(
            web::resource("/api/v1/campaigns/{id}")
                .route(web::get().to(campaigns::get))
                .route(web::patch().to(campaigns::update))
                .route(web::delete().to(campaigns::delete)),
        )
        .route(
            "/api/v1/campaigns/{id}/duplicate",
            web::post().to(campaigns::duplicate),
        )
        .route(
            "/api/v1/campaigns/{id}/settlement",
            web::get().to(reports::get_settlement),
        )
        .route(
            "/api/v1/campaigns/{id}/speed",
            web::get().to(reports::speed),
        )
        .route(
            "/api/v1/campaigns/{id}/report",
            web::get().to(reports::report),
        )
        .configure(lifecycle::routes);
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Clarion campaigns"),
    tags((name = "campaigns", description = "Templates, campaigns and their reports")),
    paths(
        templates::create, templates::list, templates::get, templates::replace, templates::delete,
        campaigns::create, campaigns::list, campaigns::get, campaigns::update, campaigns::delete,
        campaigns::duplicate, lifecycle::preflight, lifecycle::test, lifecycle::start,
        lifecycle::pause, lifecycle::resume, lifecycle::cancel, reports::get_settlement,
        reports::report, reports::speed, preview::preview, preview::audience,
    )
)]
struct Document;

pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
