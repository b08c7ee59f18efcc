//! Every path of identity.

use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::api::{accounts, api_keys, services, sessions, tokens, users, workspaces};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/api/v1/register").post(accounts::register))
        .service(web::resource("/api/v1/login").post(accounts::login))
        .service(web::resource("/api/v1/logout").post(tokens::logout))
        .service(web::resource("/api/v1/token/refresh").post(tokens::refresh))
        .service(web::resource("/api/v1/.well-known/jwks.json").get(tokens::jwks))
        .service(
            web::resource("/api/v1/session")
                .post(sessions::start)
                .get(sessions::get)
                .delete(sessions::end),
        )
        .service(
            web::resource("/api/v1/sessions")
                .get(sessions::list)
                .delete(sessions::end_others),
        )
        .service(web::resource("/api/v1/sessions/{id}").delete(sessions::end_one))
        .service(
            web::resource("/api/v1/users")
                .get(users::list)
                .post(users::add),
        )
        .service(
            web::resource("/api/v1/users/{id}")
                .get(users::get)
                .put(users::update)
                .delete(users::remove),
        )
        .service(
            web::resource("/api/v1/workspaces/current")
                .get(workspaces::get)
                .put(workspaces::update),
        )
        .service(
            web::resource("/api/v1/api-keys")
                .get(api_keys::list)
                .post(api_keys::create),
        )
        .service(web::resource("/api/v1/api-keys/{id}").delete(api_keys::delete))
        .service(web::resource("/internal/service-token").post(services::service_token))
        .service(web::resource("/internal/exchange").post(services::exchange));
}

/// The public part, for the merged document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "identity", description = "Workspaces, people, sign-in, keys."),
    paths(
        accounts::register,
        accounts::login,
        tokens::refresh,
        tokens::logout,
        tokens::jwks,
        sessions::start,
        sessions::get,
        sessions::end,
        sessions::list,
        sessions::end_one,
        sessions::end_others,
        users::list,
        users::add,
        users::get,
        users::update,
        users::remove,
        workspaces::get,
        workspaces::update,
        api_keys::create,
        api_keys::list,
        api_keys::delete,
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
pub(crate) struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", bearer);
    }
}
