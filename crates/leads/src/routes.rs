//! Every path of leads.

use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;

use crate::api::{
    audience, by_email, confirm, export, forms, imports, leads, lists, members, preferences,
    segments, subscribe, suppressions, timeline, unsubscribe,
};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/leads")
                .get(leads::list)
                .post(leads::create),
        )
        // Before `/leads/{id}`, which would take them for ids.
        .route("/api/v1/leads/export", web::get().to(export::export))
        .service(
            web::resource("/api/v1/leads/imports")
                .get(imports::list)
                .post(imports::create),
        )
        .service(
            web::resource("/api/v1/leads/imports/{id}")
                .get(imports::get)
                .delete(imports::cancel),
        )
        .route(
            "/api/v1/leads/imports/{id}/errors",
            web::get().to(imports::errors),
        )
        .service(
            web::resource("/api/v1/leads/{id}")
                .get(leads::get)
                .patch(leads::update)
                .delete(leads::delete),
        )
        .route("/api/v1/leads/{id}/timeline", web::get().to(timeline::get))
        .route("/api/v1/leads/{id}/lists", web::get().to(members::of_lead))
        .configure(lists_and_segments)
        .configure(consent)
        .configure(subscription)
        .configure(internal);
}

fn lists_and_segments(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/lists")
                .get(lists::list)
                .post(lists::create),
        )
        .service(
            web::resource("/api/v1/lists/{id}")
                .get(lists::get)
                .patch(lists::update)
                .delete(lists::delete),
        )
        .service(
            web::resource("/api/v1/lists/{id}/members")
                .get(members::list)
                .post(members::add),
        )
        .service(
            web::resource("/api/v1/lists/{id}/members/{lead_id}")
                .patch(members::update)
                .delete(members::remove),
        )
        .service(
            web::resource("/api/v1/segments")
                .get(segments::list)
                .post(segments::create),
        )
        .route(
            "/api/v1/segments/preview",
            web::post().to(segments::preview),
        )
        .service(
            web::resource("/api/v1/segments/{id}")
                .get(segments::get)
                .patch(segments::update)
                .delete(segments::delete),
        );
}

fn consent(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/suppressions")
                .get(suppressions::list)
                .post(suppressions::add),
        )
        .service(
            web::resource("/api/v1/suppressions/{id}")
                .get(suppressions::get)
                .delete(suppressions::lift),
        )
        .service(
            web::resource("/u/{token}")
                .get(unsubscribe::show)
                .route(web::head().to(unsubscribe::show))
                .post(unsubscribe::act),
        )
        .service(
            web::resource("/p/{token}")
                .get(preferences::show)
                .route(web::head().to(preferences::show))
                .post(preferences::save),
        );
}

fn subscription(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/forms")
                .get(forms::list)
                .post(forms::create),
        )
        .service(
            web::resource("/api/v1/forms/{id}")
                .get(forms::get)
                .patch(forms::update)
                .delete(forms::delete),
        )
        .service(
            web::resource("/f/{form}")
                .get(subscribe::show)
                .route(web::head().to(subscribe::show))
                .post(subscribe::act),
        )
        .service(
            web::resource("/f/confirm/{token}")
                .get(confirm::show)
                .route(web::head().to(confirm::show))
                .post(confirm::act),
        );
}

fn internal(config: &mut ServiceConfig) {
    config
        .route(
            "/internal/leads/by-email",
            web::post().to(by_email::by_email),
        )
        .route("/internal/audience/count", web::post().to(audience::count))
        .route("/internal/audience/page", web::post().to(audience::page))
        .route("/internal/audience/gaps", web::post().to(audience::gaps));
}

/// The public part, for the merged document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "leads",
        description = "Leads, lists, segments, imports, forms, consent, suppression."
    ),
    paths(
        leads::list,
        leads::create,
        leads::get,
        leads::update,
        leads::delete,
        timeline::get,
        export::export,
        imports::create,
        imports::list,
        imports::get,
        imports::errors,
        imports::cancel,
        lists::list,
        lists::create,
        lists::get,
        lists::update,
        lists::delete,
        members::list,
        members::add,
        members::update,
        members::remove,
        members::of_lead,
        segments::list,
        segments::create,
        segments::get,
        segments::update,
        segments::delete,
        segments::preview,
        forms::list,
        forms::create,
        forms::get,
        forms::update,
        forms::delete,
        suppressions::list,
        suppressions::add,
        suppressions::get,
        suppressions::lift,
    )
)]
pub(crate) struct Document;
