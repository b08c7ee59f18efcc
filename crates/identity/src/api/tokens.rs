//! Refreshing, signing out, and the keys that verify.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Origin};
use chassis::revocation::Revoked;
use common::auth::Subject;
use common::values::Secret;
use serde::Deserialize;

use super::views::Tokens;
use crate::error::Error;
use crate::keys::Jwks;
use crate::revoking;
use crate::state::State;
use crate::store::{authenticators, members, refresh_tokens, revocations, workspaces};
use crate::tokens;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Refresh)]
pub(crate) struct Refresh {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Logout)]
pub(crate) struct Logout {
    /// Ends this sign-in. Without it, every sign-in of the caller in this workspace ends.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
}

/// `POST /api/v1/token/refresh`: new tokens for a refresh token, which thereby is used up.
#[utoipa::path(
    post, path = "/api/v1/token/refresh", tag = "identity", operation_id = "identity_refresh",
    request_body = Refresh, security(()),
    responses(
        (status = 200, description = "New tokens", body = Tokens),
        (status = 401, description = "The refresh token is not valid", body = common::Problem),
    )
)]
pub(crate) async fn refresh(
    state: Data<State>,
    origin: Origin,
    body: Json<Refresh>,
) -> Result<Json<Tokens>, Error> {
    let (token, now) = (body.into_inner().refresh_token, state.now());
    let renewed = state
        .host
        .db
        .transaction(move |conn| {
            let Some(renewed) = tokens::renew(conn, token.expose(), &origin, now)? else {
                return Ok::<_, Error>(None);
            };
            // The role is read anew: a demotion reaches the person with their next token.
            let member = members::find(conn, renewed.workspace, renewed.user)?;
            let workspace = workspaces::find(conn, renewed.workspace)?;
            let Some((member, workspace)) = member.zip(workspace) else {
                return Ok(None);
            };
            let owes = authenticators::is_owed(conn, &workspace, renewed.user)?;
            Ok(Some((renewed, member.standing, owes)))
        })
        .await?;
    let Some((renewed, standing, owes)) = renewed else {
        // It may have been used before, and then its sign-in has just ended.
        revoking::tell(&state).await;
        return Err(Error::RefreshInvalid);
    };
    let sign_in = renewed.sign_in;
    let (user, workspace) = (renewed.user, renewed.workspace);
    let claims = tokens::person(user, workspace, &standing, owes, sign_in.id, now);
    let access_token = state.keys.sign(&claims)?;
    Ok(Json(Tokens::new(access_token, sign_in.refresh_token)))
}

/// `POST /api/v1/logout`: ends the sign-in of a refresh token, or all of the caller's with every
/// access token they have. Needs one of the two; a refresh token that is not valid has nothing to
/// end.
#[utoipa::path(
    post, path = "/api/v1/logout", tag = "identity", operation_id = "identity_logout",
    request_body(content = Logout, description = "May be left out"),
    responses(
        (status = 204, description = "Signed out"),
        (status = 401, description = "Neither a refresh token nor an access token", body = common::Problem),
    )
)]
pub(crate) async fn logout(
    state: Data<State>,
    request: HttpRequest,
    caller: Result<Caller, chassis::auth::Denied>,
    body: Result<Json<Logout>, InvalidInput>,
) -> Result<HttpResponse, Error> {
    let Logout { refresh_token } = match has_body(&request) {
        true => body?.into_inner(),
        false => Logout::default(),
    };
    let now = state.now();
    match refresh_token {
        Some(token) => end_one(&state, token, now).await?,
        None => end_all(&state, caller?, now).await?,
    }
    revoking::tell(&state).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Whether a request that may have a body has one.
pub(crate) fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key("transfer-encoding")
        || headers
            .get("content-length")
            .is_some_and(|length| length != "0")
}

async fn end_one(
    state: &State,
    token: Secret,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    state
        .host
        .db
        .transaction(move |conn| {
            if let Some(token) = refresh_tokens::lock(conn, &tokens::hash(token.expose()))? {
                refresh_tokens::revoke_family(conn, token.family, now)?;
                revocations::add(conn, Revoked::SignIn(token.family))?;
            }
            Ok(())
        })
        .await
}

async fn end_all(
    state: &State,
    caller: Caller,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    let Subject::User(user) = caller.subject else {
        return Err(Error::PeopleOnly);
    };
    state
        .host
        .db
        .transaction(move |conn| {
            refresh_tokens::revoke_member(conn, caller.workspace, user, now)?;
            Ok(revocations::add(conn, Revoked::Subject(caller.subject))?)
        })
        .await
}

/// `GET /api/v1/.well-known/jwks.json`: the public keys that verify access tokens.
#[utoipa::path(
    get, path = "/api/v1/.well-known/jwks.json", tag = "identity", operation_id = "identity_jwks",
    security(()),
    responses((status = 200, description = "The keys (RFC 7517)", body = Jwks))
)]
pub(crate) async fn jwks(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "public, max-age=60"))
        .json(state.keys.jwks())
}
