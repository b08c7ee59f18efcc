//! What was received, as JSON for scripts and as pages for people.

mod html;
mod json;
mod list_page;
mod mail_page;
mod problem;

use actix_web::{
    HttpResponse,
    web::{self, Data, JsonConfig, PathConfig, QueryConfig, ServiceConfig},
};

use crate::Handle;

/// Everything below `/mailbox`, for a server of its own or to be mounted on another.
pub fn routes(handle: Handle) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let scope = web::scope("/mailbox")
            .app_data(Data::new(handle))
            .app_data(QueryConfig::default().error_handler(|error, _| problem::bad(&error)))
            .app_data(JsonConfig::default().error_handler(|error, _| problem::bad(&error)))
            .app_data(PathConfig::default().error_handler(|_, _| problem::unknown_mail()))
            .route("", web::get().to(list_page::show))
            .route("/", web::get().to(list_page::show))
            .route("/style.css", web::get().to(html::style))
            .route("/messages", web::get().to(json::list))
            .route("/messages", web::delete().to(json::clear))
            .route("/messages.json", web::get().to(json::list))
            .route("/messages/{id}.json", web::get().to(json::show))
            .route("/stats.json", web::get().to(json::stats))
            .route("/faults", web::get().to(json::faults))
            .route("/faults", web::put().to(json::set_faults))
            .route("/{id}", web::get().to(mail_page::show))
            .route("/{id}/html", web::get().to(mail_page::html_part))
            .route("/{id}/raw", web::get().to(mail_page::raw));
        config.service(scope);
    }
}

/// For health checks of a mailbox that runs alone.
pub(crate) fn health(config: &mut ServiceConfig) {
    config.route("/health/live", web::get().to(live));
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("live\n")
}
