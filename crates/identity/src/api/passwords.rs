//! A new password for whoever forgot theirs.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::http::{Json, Language};
use chassis::jobs;
use chassis::revocation::Revoked;
use common::auth::Subject;
use common::values::{EmailAddress, Secret};
use serde::Deserialize;

use crate::domain::{Check, Password};
use crate::error::Error;
use crate::mails::{News, Notice, Reset};
use crate::revoking;
use crate::state::State;
use crate::store::mail_tokens::{self, Purpose};
use crate::store::{members, refresh_tokens, revocations};
use crate::tokens;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::ForgotPassword)]
pub(crate) struct ForgotPassword {
    #[schema(format = "email")]
    email: String,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::ResetPassword)]
pub(crate) struct ResetPassword {
    /// From the mail.
    #[schema(value_type = String)]
    token: Secret,
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 128)]
    password: Secret,
}

/// `POST /api/v1/password/forgot`: mails a link, if somebody has this address. The answer is the
/// same if nobody has, and takes as long.
#[utoipa::path(
    post, path = "/api/v1/password/forgot", tag = "identity",
    operation_id = "identity_password_forgot", request_body = ForgotPassword, security(()),
    responses(
        (status = 202, description = "A mail is on its way, if there is somebody"),
        (status = 422, description = "That is no address", body = common::Problem),
    )
)]
pub(crate) async fn forgot(
    state: Data<State>,
    language: Language,
    body: Json<ForgotPassword>,
) -> Result<HttpResponse, Error> {
    let mut check = Check::default();
    let email = check.take("/email", EmailAddress::parse(&body.email));
    let (email, now) = (email.ok_or_else(|| check.refusal())?, state.now());
    // Whether there is somebody is looked up later, when nobody measures it.
    state
        .host
        .db
        .transaction(move |conn| {
            let mail = Reset::of(email.key(), language);
            Ok::<_, Error>(jobs::enqueue(conn, &mail, now)?)
        })
        .await?;
    Ok(HttpResponse::Accepted().finish())
}

/// `POST /api/v1/password/reset`: sets a new password with the secret of a mail. It ends every
/// sign-in; a second factor stays.
#[utoipa::path(
    post, path = "/api/v1/password/reset", tag = "identity",
    operation_id = "identity_password_reset", request_body = ResetPassword, security(()),
    responses(
        (status = 204, description = "The password is the new one"),
        (status = 422, description = "`link_invalid`: used, too old or unknown; `invalid_input`: the password is refused", body = common::Problem),
    )
)]
pub(crate) async fn reset(
    state: Data<State>,
    language: Language,
    body: Json<ResetPassword>,
) -> Result<HttpResponse, Error> {
    let body = body.into_inner();
    set(&state, body.token, &body.password, language).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets a new password with the secret of a mail.
pub(crate) async fn set(
    state: &State,
    token: Secret,
    password: &Secret,
    language: Language,
) -> Result<(), Error> {
    let mut check = Check::default();
    let password = check.take("/password", Password::parse(password.expose()));
    let password = password.ok_or_else(|| check.refusal())?.into_secret();
    let (token, now) = (tokens::hash(token.expose()), state.now());
    // A secret that does not work costs no hash.
    let known = token.clone();
    state
        .host
        .db
        .run(move |conn| {
            let found = mail_tokens::find(conn, &known, now)?;
            let found = found.filter(|token| token.kind == Purpose::Reset.as_str());
            found.map(|_| ()).ok_or(Error::LinkInvalid)
        })
        .await?;
    let hash = state.passwords.hash(password).await?;
    state
        .host
        .db
        .transaction(move |conn| {
            let token = mail_tokens::take(conn, &token, Purpose::Reset, now)?;
            let token = token.ok_or(Error::LinkInvalid)?;
            let user = members::by_id(conn, token.user_id)?;
            let user = user.filter(|user| user.email_key == token.email_key);
            let mut user = user.ok_or(Error::LinkInvalid)?;
            user.password_hash = hash;
            // They read the mail.
            user.email_verified_at = user.email_verified_at.or(Some(now));
            members::update_user(conn, &user, now)?;
            refresh_tokens::revoke_user(conn, user.id, now)?;
            revocations::add(conn, Revoked::Subject(Subject::User(user.id)))?;
            let news = Notice::to(&user, News::PasswordChanged, language, now);
            Ok::<_, Error>(jobs::enqueue(conn, &news, now)?)
        })
        .await?;
    revoking::tell(state).await;
    Ok(())
}
