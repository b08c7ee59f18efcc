//! Every path of identity.

use actix_web::web::{self, ServiceConfig};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::api::{
    accounts, api_keys, audit, emails, invitations, oidc, pages, passwords, roles, second_factor,
    services, sessions, tokens, users, workspaces,
};

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
                .put(sessions::switch)
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
        .service(web::resource("/api/v1/users/{id}/sessions").delete(users::sign_out))
        .service(
            web::resource("/api/v1/workspaces")
                .get(workspaces::list)
                .post(workspaces::open),
        )
        .service(web::resource("/api/v1/workspaces/{id}/switch").post(workspaces::switch))
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
        .configure(people_themselves)
        .configure(by_a_provider)
        .service(web::resource("/api/v1/audit").get(audit::list))
        .service(web::resource("/api/v1/audit/export").get(audit::export))
        .service(web::resource("/internal/service-token").post(services::service_token))
        .service(web::resource("/internal/exchange").post(services::exchange));
}

fn people_themselves(config: &mut ServiceConfig) {
    config
        .service(web::resource("/api/v1/password/forgot").post(passwords::forgot))
        .service(web::resource("/api/v1/password/reset").post(passwords::reset))
        .service(web::resource("/api/v1/email/verify").post(emails::verify))
        .service(web::resource("/api/v1/email/verification").post(emails::again))
        .service(
            web::resource("/api/v1/invitations")
                .get(invitations::list)
                .post(invitations::create),
        )
        .service(web::resource("/api/v1/invitations/accept").post(invitations::accept))
        .service(web::resource("/api/v1/invitations/{id}").delete(invitations::delete))
        .service(
            web::resource("/api/v1/roles")
                .get(roles::list)
                .post(roles::create),
        )
        .service(
            web::resource("/api/v1/roles/{id}")
                .get(roles::get)
                .put(roles::update)
                .delete(roles::delete),
        )
        .service(
            web::resource("/api/v1/second-factor")
                .get(second_factor::get)
                .post(second_factor::begin)
                .delete(second_factor::remove),
        )
        .service(web::resource("/api/v1/second-factor/confirm").post(second_factor::confirm))
        .service(
            web::resource("/a/{token}")
                .get(pages::show)
                .post(pages::act),
        );
}

fn by_a_provider(config: &mut ServiceConfig) {
    config
        .service(web::resource("/api/v1/oidc").get(oidc::get))
        .service(web::resource("/api/v1/oidc/start").get(oidc::start))
        .service(web::resource("/api/v1/oidc/callback").get(oidc::callback))
        .service(web::resource("/api/v1/oidc/second-factor").post(oidc::second_factor))
        .service(
            web::resource("/api/v1/oidc/links")
                .get(oidc::list)
                .post(oidc::link),
        )
        .service(web::resource("/api/v1/oidc/links/{id}").delete(oidc::unlink));
}

/// The public part, for the merged document.
#[derive(Debug, OpenApi)]
#[openapi(
    components(schemas(audit::Format)),
    info(title = "identity", description = "Workspaces, people, sign-in, keys."),
    paths(
        accounts::register,
        accounts::login,
        tokens::refresh,
        tokens::logout,
        tokens::jwks,
        sessions::start,
        sessions::get,
        sessions::switch,
        sessions::end,
        sessions::list,
        sessions::end_one,
        sessions::end_others,
        users::list,
        users::add,
        users::get,
        users::update,
        users::remove,
        users::sign_out,
        workspaces::list,
        workspaces::open,
        workspaces::switch,
        passwords::forgot,
        passwords::reset,
        emails::verify,
        emails::again,
        invitations::create,
        invitations::list,
        invitations::delete,
        invitations::accept,
        roles::list,
        roles::get,
        roles::create,
        roles::update,
        roles::delete,
        second_factor::get,
        second_factor::begin,
        second_factor::confirm,
        second_factor::remove,
        oidc::get,
        oidc::start,
        oidc::callback,
        oidc::second_factor,
        oidc::list,
        oidc::link,
        oidc::unlink,
        workspaces::get,
        workspaces::update,
        api_keys::create,
        api_keys::list,
        api_keys::delete,
        audit::list,
        audit::export,
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
