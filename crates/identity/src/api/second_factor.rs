//! A second factor: an authenticator app, and codes for when the phone is lost.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{Json, Language, Origin};
use chassis::jobs;
use chrono::{DateTime, Duration, Utc};
use common::UserId;
use common::values::Secret;
use data_encoding::{BASE32_NOPAD, Encoding};
use serde::{Deserialize, Serialize};

use super::sessions::person;
use crate::domain::{User, otpauth_uri};
use crate::error::Error;
use crate::mails::{News, Notice};
use crate::passwords::{NO_PASSWORD, Verdict};
use crate::state::State;
use crate::store::authenticators::{self, Authenticator};
use crate::store::members;
use crate::throttle::{self, Target};
use crate::tokens;

/// As many bytes as SHA-1 has (RFC 4226 §4).
const SECRET_BYTES: usize = 20;
const RECOVERY_CODES: usize = 10;
/// Whoever signed in so recently is not asked who they are.
const RECENT_S: i64 = 600;

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::SecondFactor)]
pub(crate) struct SecondFactor {
    enabled: bool,
    confirmed_at: Option<DateTime<Utc>>,
    recovery_codes_left: i64,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::CurrentPassword)]
pub(crate) struct CurrentPassword {
    #[schema(value_type = String, format = "password")]
    current_password: Secret,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::BeginSecondFactor)]
pub(crate) struct Begin {
    /// Left out by people who have none: they must have signed in a moment ago.
    #[schema(value_type = Option<String>, format = "password")]
    current_password: Option<Secret>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Enrolment)]
pub(crate) struct Enrolment {
    /// For typing into an app (base32). It is shown this once.
    secret: String,
    /// The same for a QR code.
    otpauth_uri: String,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Code)]
pub(crate) struct Code {
    /// What the app shows now.
    code: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::RecoveryCodes)]
pub(crate) struct RecoveryCodes {
    /// Each works once instead of the app's code. They are shown this once.
    recovery_codes: Vec<String>,
}

/// `GET /api/v1/second-factor`
#[utoipa::path(
    get, path = "/api/v1/second-factor", tag = "identity", operation_id = "identity_second_factor_get",
    responses(
        (status = 200, description = "Whether the caller has one", body = SecondFactor),
        (status = 403, description = "Keys have none", body = common::Problem),
    )
)]
pub(crate) async fn get(state: Data<State>, caller: Caller) -> Result<Json<SecondFactor>, Error> {
    let user = person(&caller)?;
    let (known, left) = state
        .host
        .db
        .run(move |conn| {
            let known = authenticators::find(conn, user)?;
            Ok::<_, Error>((known, authenticators::recovery_left(conn, user)?))
        })
        .await?;
    let confirmed_at = known.and_then(|known| known.confirmed_at);
    Ok(Json(SecondFactor {
        enabled: confirmed_at.is_some(),
        confirmed_at,
        recovery_codes_left: left,
    }))
}

/// `POST /api/v1/second-factor`: begins; it counts once a code of it was confirmed.
#[utoipa::path(
    post, path = "/api/v1/second-factor", tag = "identity",
    operation_id = "identity_second_factor_begin", request_body = Begin,
    responses(
        (status = 201, description = "For the app", body = Enrolment),
        (status = 403, description = "Keys have none; or `proof_needed`: who has no password signed in too long ago", body = common::Problem),
        (status = 409, description = "There is one already", body = common::Problem),
        (status = 422, description = "The password is not right", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
    )
)]
pub(crate) async fn begin(
    state: Data<State>,
    caller: Caller,
    origin: Origin,
    body: Json<Begin>,
) -> Result<HttpResponse, Error> {
    let (user, now) = (person(&caller)?, state.now());
    let user = match body.into_inner().current_password {
        Some(password) => prove(&state, user, password, &origin).await?,
        None => without_password(&state, &caller, user).await?,
    };
    let mut secret = vec![0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut secret).map_err(Error::internal)?;
    let vault = state.vault.clone();
    let enrolment = Enrolment {
        secret: BASE32_NOPAD.encode(&secret),
        otpauth_uri: otpauth_uri(&secret, &user.email),
    };
    state
        .host
        .db
        .transaction(move |conn| {
            let known = authenticators::find(conn, user.id)?;
            if known.is_some_and(|known| known.confirmed_at.is_some()) {
                return Err(Error::SecondFactorThere);
            }
            let fresh = Authenticator {
                user_id: user.id,
                secret: vault.seal(&secret),
                confirmed_at: None,
                last_step: 0,
                created_at: now,
            };
            Ok(authenticators::put(conn, &fresh)?)
        })
        .await?;
    Ok(HttpResponse::Created().json(enrolment))
}

/// `POST /api/v1/second-factor/confirm`: from now on, signing in needs a code.
#[utoipa::path(
    post, path = "/api/v1/second-factor/confirm", tag = "identity",
    operation_id = "identity_second_factor_confirm", request_body = Code,
    responses(
        (status = 200, description = "It counts", body = RecoveryCodes),
        (status = 401, description = "The code is not right", body = common::Problem),
        (status = 403, description = "Keys have none", body = common::Problem),
        (status = 409, description = "Nothing was begun, or it counts already", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
    )
)]
pub(crate) async fn confirm(
    state: Data<State>,
    caller: Caller,
    origin: Origin,
    language: Language,
    body: Json<Code>,
) -> Result<Json<RecoveryCodes>, Error> {
    let (user, code, now) = (person(&caller)?, body.into_inner().code, state.now());
    let who = known(&state, user).await?;
    let recovery_codes = (0..RECOVERY_CODES)
        .map(|_| recovery_code())
        .collect::<Result<Vec<_>, _>>()?;
    let (kept, vault) = (recovery_codes.clone(), state.vault.clone());
    throttle::code(&state, &who, &origin, move |conn| {
        let known = authenticators::find(conn, user)?.ok_or(Error::NoSecondFactor)?;
        if known.confirmed_at.is_some() {
            return Err(Error::SecondFactorThere);
        }
        if !authenticators::take_code(conn, &vault, user, &code, now)? {
            return Err(Error::CodeWrong);
        }
        authenticators::confirm(conn, user, now)?;
        authenticators::put_recovery(conn, user, &kept)?;
        tell(conn, user, News::SecondFactorOn, language, now)
    })
    .await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// `DELETE /api/v1/second-factor`: signing in needs the password alone again.
#[utoipa::path(
    delete, path = "/api/v1/second-factor", tag = "identity",
    operation_id = "identity_second_factor_remove", request_body = CurrentPassword,
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "Keys have none", body = common::Problem),
        (status = 409, description = "There is none", body = common::Problem),
        (status = 422, description = "The password is not right", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
    )
)]
pub(crate) async fn remove(
    state: Data<State>,
    caller: Caller,
    origin: Origin,
    language: Language,
    body: Json<CurrentPassword>,
) -> Result<HttpResponse, Error> {
    let (user, now) = (person(&caller)?, state.now());
    prove(&state, user, body.into_inner().current_password, &origin).await?;
    state
        .host
        .db
        .transaction(move |conn| match authenticators::delete(conn, user)? {
            true => tell(conn, user, News::SecondFactorOff, language, now),
            false => Err(Error::NoSecondFactor),
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn tell(
    conn: &mut diesel::PgConnection,
    user: UserId,
    news: News,
    language: Language,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let user = members::by_id(conn, user)?.ok_or(Error::UserNotFound(user))?;
    let notice = Notice::to(&user, news, language, now);
    Ok(jobs::enqueue(conn, &notice, now)?)
}

async fn known(state: &State, user: UserId) -> Result<User, Error> {
    state
        .host
        .db
        .run(move |conn| members::by_id(conn, user)?.ok_or(Error::UserNotFound(user)))
        .await
}

/// The person, if they have no password to show and signed in a moment ago.
async fn without_password(state: &State, caller: &Caller, user: UserId) -> Result<User, Error> {
    let user = known(state, user).await?;
    if user.password_hash != NO_PASSWORD {
        return Err(chassis::InvalidInput::field("/current_password", "is needed").into());
    }
    signed_in_lately(state, caller)?;
    Ok(user)
}

fn signed_in_lately(state: &State, caller: &Caller) -> Result<(), Error> {
    let began = caller.session.and_then(tokens::began);
    let lately = began.is_some_and(|began| state.now() - began < Duration::seconds(RECENT_S));
    lately.then_some(()).ok_or(Error::ProofNeeded)
}

/// The person, if this is their password.
async fn prove(
    state: &State,
    user: UserId,
    password: Secret,
    origin: &Origin,
) -> Result<User, Error> {
    let user = known(state, user).await?;
    let target = Target::of(Some(&user), "");
    throttle::check(state, &target, origin).await?;
    let stored = Some(user.password_hash.clone());
    if state.passwords.verify(password, stored).await? == Verdict::Wrong {
        throttle::note(state, &target, origin).await?;
        let wrong = chassis::InvalidInput::field("/current_password", "is not right");
        return Err(wrong.into());
    }
    Ok(user)
}

/// Shows once more that it is the person themselves who asks.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Proof)]
pub(crate) struct Proof {
    #[schema(value_type = Option<String>, format = "password")]
    current_password: Option<Secret>,
    /// Of the authenticator app, or a recovery code; for people without a password.
    code: Option<String>,
}

/// Fails unless the caller shows who they are, or did so by signing in a moment ago.
pub(crate) async fn prove_again(
    state: &State,
    caller: &Caller,
    proof: Proof,
    origin: &Origin,
) -> Result<(), Error> {
    let id = person(caller)?;
    if let Some(password) = proof.current_password {
        prove(state, id, password, origin).await?;
        return Ok(());
    }
    if let Some(code) = proof.code {
        return prove_by_code(state, id, code, origin).await;
    }
    signed_in_lately(state, caller)
}

async fn prove_by_code(
    state: &State,
    id: UserId,
    code: String,
    origin: &Origin,
) -> Result<(), Error> {
    let (user, vault, now) = (known(state, id).await?, state.vault.clone(), state.now());
    throttle::code(state, &user, origin, move |conn| {
        authenticators::take_either(conn, &vault, id, &code, now)
    })
    .await
}

/// 120 random bits in six groups, without letters that look alike: so many that a fast hash of them
/// is enough.
fn recovery_code() -> Result<String, Error> {
    let mut bytes = [0; 15];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
    let text = crockford().encode(&bytes).to_lowercase();
    let groups: Vec<_> = (0..text.len())
        .step_by(4)
        .map(|at| &text[at..at + 4])
        .collect();
    Ok(groups.join("-"))
}

fn crockford() -> Encoding {
    let mut letters = data_encoding::Specification::new();
    letters.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    letters.encoding().expect("32 different symbols")
}
