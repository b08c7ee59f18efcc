//! Showing that mails to an address reach somebody.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::{Caller, Denied};
use chassis::http::{Json, Language};
use chassis::jobs;
use common::values::Secret;
use serde::Deserialize;

use super::sessions::person;
use crate::error::Error;
use crate::mails::Verify;
use crate::state::State;
use crate::store::mail_tokens::{self, Purpose};
use crate::store::members;
use crate::tokens;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::VerifyEmail)]
pub(crate) struct VerifyEmail {
    /// From the mail.
    #[schema(value_type = String)]
    token: Secret,
}

/// `POST /api/v1/email/verify`
#[utoipa::path(
    post, path = "/api/v1/email/verify", tag = "identity", operation_id = "identity_email_verify",
    request_body = VerifyEmail, security(()),
    responses(
        (status = 204, description = "The address is confirmed"),
        (status = 422, description = "`link_invalid`: used, too old, unknown, or of another address", body = common::Problem),
    )
)]
pub(crate) async fn verify(
    state: Data<State>,
    body: Json<VerifyEmail>,
) -> Result<HttpResponse, Error> {
    confirm(&state, &body.into_inner().token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Confirms an address with the secret of a mail to it.
pub(crate) async fn confirm(state: &State, token: &Secret) -> Result<(), Error> {
    let (token, now) = (tokens::hash(token.expose()), state.now());
    state
        .host
        .db
        .transaction(move |conn| {
            let token = mail_tokens::take(conn, &token, Purpose::Verify, now)?;
            let token = token.ok_or(Error::LinkInvalid)?;
            members::verify_email(conn, token.user_id, &token.email_key, now)?
                .map(|_| ())
                .ok_or(Error::LinkInvalid)
        })
        .await
}

/// `POST /api/v1/email/verification`: mails the link again.
#[utoipa::path(
    post, path = "/api/v1/email/verification", tag = "identity",
    operation_id = "identity_email_verification",
    responses((status = 202, description = "A mail is on its way, unless the address is confirmed"))
)]
pub(crate) async fn again(
    state: Data<State>,
    caller: Result<Caller, Denied>,
    language: Language,
) -> Result<HttpResponse, Error> {
    let (user, now) = (person(&caller?)?, state.now());
    state
        .host
        .db
        .transaction(move |conn| {
            let last = mail_tokens::made_at(conn, user, Purpose::Verify)?;
            if last.is_none_or(|at| now - at >= chrono::Duration::seconds(60)) {
                jobs::enqueue(conn, &Verify::of(user, language), now)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(HttpResponse::Accepted().finish())
}
