//! Sessions of browsers: a cookie that names a row in Redis, and a token against forged requests.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Origin, Path, Query};
use chassis::revocation::Revoked;
use chrono::{DateTime, Utc};
use common::auth::{Scope, Subject};
use common::dto::access::IssuedToken;
use common::{UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::accounts::{Login, at_home, authenticate, owes_factor};
use super::second_factor::{Proof, prove_again};
use super::tokens::has_body;
use super::views::{UserView, WorkspaceView};
use crate::domain::{Member, Workspace};
use crate::error::Error;
use crate::revoking;
use crate::sessions::{self, COOKIE, Session};
use crate::state::State;
use crate::store::{members, refresh_tokens, revocations, workspaces};
use crate::tokens::{self, ACCESS_S};

/// A signed-in browser.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Session)]
pub(crate) struct SessionView {
    user: UserView,
    workspace: WorkspaceView,
    /// What they may do in it.
    scopes: Vec<Scope>,
    /// Whether they may do nothing in it until they set up a second factor.
    second_factor_needed: bool,
    /// Goes into `X-CSRF-Token` of every request that changes something.
    csrf_token: String,
    /// The session ends then at the latest, and earlier when it is not used.
    expires_at: DateTime<Utc>,
}

/// `POST /api/v1/session`: signs a browser in.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "identity", operation_id = "identity_session_start",
    request_body = Login, security(()),
    responses(
        (status = 201, description = "Signed in; the cookie is set", body = SessionView),
        (status = 401, description = "`wrong_credentials`: the email or the password is not right; `code_needed` or `code_wrong`: of the second factor", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
        (status = 503, description = "Sessions cannot be kept at the moment", body = common::Problem),
    )
)]
pub(crate) async fn start(
    state: Data<State>,
    request: HttpRequest,
    origin: Origin,
    body: Json<Login>,
) -> Result<HttpResponse, Error> {
    let (member, workspace) = authenticate(&state, body.into_inner(), &origin).await?;
    let (cookie, session) = begin(&state, &request, &member, &workspace, &origin).await?;
    let view = view(&state, session, member, workspace).await?;
    Ok(HttpResponse::Created().cookie(cookie).json(view))
}

/// Begins a session of somebody who has shown who they are, and ends the one that this browser had.
pub(crate) async fn begin(
    state: &State,
    request: &HttpRequest,
    member: &Member,
    workspace: &Workspace,
    origin: &Origin,
) -> Result<(Cookie<'static>, Session), Error> {
    if let Some(old) = request.cookie(COOKIE) {
        end_session(state, old.value()).await?;
    }
    let started = sessions::start(state, member, workspace.id, origin).await?;
    let surplus = sessions::surplus(state, member.user.id).await?;
    for id in surplus {
        sessions::end_by_id(state, member.user.id, id).await?;
        revoke(state, id).await?;
    }
    let (cookie, session) = started;
    Ok((cookie_of(cookie), session))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asking {
    /// Whether 204 says that nobody is signed in, instead of 401: browsers log each 401 as an error.
    #[serde(default)]
    quiet: bool,
}

/// `GET /api/v1/session`
#[utoipa::path(
    get, path = "/api/v1/session", tag = "identity", operation_id = "identity_session_get",
    security(()), params(Asking),
    responses(
        (status = 200, description = "Who is signed in", body = SessionView),
        (status = 204, description = "Nobody is, and `quiet` was asked for"),
        (status = 401, description = "Nobody is", body = common::Problem),
        (status = 422, description = "The query was refused", body = common::Problem),
        (status = 503, description = "Sessions cannot be read at the moment", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    request: HttpRequest,
    asking: Query<Asking>,
) -> Result<HttpResponse, Error> {
    let found = match request.cookie(COOKIE) {
        Some(cookie) => current(&state, cookie.value()).await?,
        None => None,
    };
    match found {
        Some((session, member, workspace)) => {
            let view = view(&state, session, member, workspace).await?;
            Ok(HttpResponse::Ok().json(view))
        }
        None if asking.quiet => Ok(HttpResponse::NoContent().finish()),
        None => Err(Error::NoSession),
    }
}

/// Fails unless the request repeats the session's CSRF token, which other sites cannot know.
fn own_page(request: &HttpRequest, session: &Session) -> Result<(), Error> {
    let given = request.headers().get("x-csrf-token");
    let given = given.map(|value| value.as_bytes()).unwrap_or_default();
    verify_slices_are_equal(given, session.csrf.as_bytes()).map_err(|_| Error::CsrfMismatch)
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::SwitchSession)]
pub(crate) struct SwitchSession {
    workspace_id: WorkspaceId,
}

/// `PUT /api/v1/session`: goes on in another workspace of the person, as a new session with a new
/// cookie. Needs the session's `X-CSRF-Token`.
#[utoipa::path(
    put, path = "/api/v1/session", tag = "identity", operation_id = "identity_session_switch",
    security(()), params(("X-CSRF-Token" = String, Header, description = "The session's")),
    request_body = SwitchSession,
    responses(
        (status = 200, description = "In the other workspace; the cookie is another one", body = SessionView),
        (status = 401, description = "Nobody is signed in", body = common::Problem),
        (status = 403, description = "The token is not this session's", body = common::Problem),
        (status = 404, description = "They do not belong to this workspace", body = common::Problem),
        (status = 503, description = "Sessions cannot be kept at the moment", body = common::Problem),
    )
)]
pub(crate) async fn switch(
    state: Data<State>,
    request: HttpRequest,
    origin: Origin,
    body: Json<SwitchSession>,
) -> Result<HttpResponse, Error> {
    let old = request.cookie(COOKIE).ok_or(Error::NoSession)?;
    let (session, member, _) = current(&state, old.value())
        .await?
        .ok_or(Error::NoSession)?;
    own_page(&request, &session)?;
    let (member, workspace) = at_home(&state, member.user, Some(body.workspace_id)).await?;
    end_session(&state, old.value()).await?;
    let (cookie, session) = sessions::start(&state, &member, workspace.id, &origin).await?;
    let view = view(&state, session, member, workspace).await?;
    Ok(HttpResponse::Ok().cookie(cookie_of(cookie)).json(view))
}

/// `DELETE /api/v1/session`: signs the browser out. Needs the session's `X-CSRF-Token`.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "identity", operation_id = "identity_session_end",
    security(()), params(("X-CSRF-Token" = String, Header, description = "The session's")),
    responses(
        (status = 204, description = "Signed out; the cookie is gone, and what the browser stored with it"),
        (status = 403, description = "The token is not this session's", body = common::Problem),
        (status = 503, description = "Sessions cannot be ended at the moment", body = common::Problem),
    )
)]
pub(crate) async fn end(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Error> {
    if let Some(cookie) = request.cookie(COOKIE)
        && let Some(session) = sessions::find(&state, cookie.value()).await?
    {
        own_page(&request, &session)?;
        end_session(&state, cookie.value()).await?;
        tracing::info!(
            user.id = %session.user_id, workspace.id = %session.workspace_id,
            "somebody signed out"
        );
    }
    let mut gone = cookie_of(String::new());
    gone.make_removal();
    // Nothing that was shown was kept (`no-store`); other cookies of the domain are not ours to take.
    Ok(HttpResponse::NoContent()
        .cookie(gone)
        .insert_header(("clear-site-data", "\"storage\""))
        .finish())
}

/// An access token for a session, with the CSRF token that its writes must repeat.
pub(crate) async fn issue(state: &State, cookie: &str) -> Result<IssuedToken, Error> {
    let (session, member, workspace) = current(state, cookie)
        .await?
        .ok_or(Error::CredentialInvalid)?;
    let (user, now) = (member.user.id, state.now());
    let owes = owes_factor(state, &workspace, user).await?;
    let claims = tokens::person(user, workspace.id, &member.standing, owes, session.id, now);
    Ok(IssuedToken {
        access_token: state.keys.sign(&claims)?,
        expires_in: ACCESS_S,
        csrf_token: Some(session.csrf),
    })
}

/// The session with the person and the workspace as they are now. A session ends with the
/// membership, and with the password and the role it was begun with.
pub(crate) async fn current(
    state: &State,
    cookie: &str,
) -> Result<Option<(Session, Member, Workspace)>, Error> {
    let Some(session) = sessions::find(state, cookie).await? else {
        return Ok(None);
    };
    let (workspace_id, user_id) = (session.workspace_id, session.user_id);
    let found = state
        .host
        .db
        .run(move |conn| {
            let member = members::find(conn, workspace_id, user_id)?;
            Ok::<_, Error>(member.zip(workspaces::find(conn, workspace_id)?))
        })
        .await?;
    match found {
        Some((member, workspace)) if session.fits(&member) => {
            Ok(Some((session, member, workspace)))
        }
        _ => {
            end_session(state, cookie).await?;
            Ok(None)
        }
    }
}

/// Ends a session and every token that was made from it.
pub(crate) async fn end_session(state: &State, cookie: &str) -> Result<(), Error> {
    if let Some(session) = sessions::end(state, cookie).await? {
        revoke(state, session.id).await?;
    }
    Ok(())
}

async fn revoke(state: &State, sign_in: Uuid) -> Result<(), Error> {
    state
        .host
        .db
        .transaction(move |conn| Ok::<_, Error>(revocations::add(conn, Revoked::SignIn(sign_in))?))
        .await?;
    revoking::tell(state).await;
    Ok(())
}

/// One of the caller's sign-ins.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::SignIn)]
pub(crate) struct SignInView {
    id: Uuid,
    kind: Kind,
    workspace_id: WorkspaceId,
    started_at: DateTime<Utc>,
    /// To the minute for a browser; the last renewal for tokens.
    seen_at: DateTime<Utc>,
    /// Where it began or was last renewed from.
    address: Option<String>,
    /// What the browser or program called itself.
    agent: Option<String>,
    /// Whether this request belongs to it.
    current: bool,
}

#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = identity::SignInKind)]
enum Kind {
    /// A cookie.
    Browser,
    /// An access token with its refresh tokens.
    Tokens,
}

/// The caller's sign-ins.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::SignIns)]
pub(crate) struct SignIns {
    items: Vec<SignInView>,
}

/// The person that a request comes from; a key is nobody.
pub(crate) fn person(caller: &Caller) -> Result<UserId, Error> {
    match caller.subject {
        Subject::User(user) => Ok(user),
        _ => Err(Error::PeopleOnly),
    }
}

/// `GET /api/v1/sessions`: where the caller is signed in, in every workspace.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "identity", operation_id = "identity_sessions_list",
    responses(
        (status = 200, description = "The sign-ins, browsers first, the latest first", body = SignIns),
        (status = 403, description = "A key is not signed in anywhere", body = common::Problem),
        (status = 503, description = "Sessions cannot be read at the moment", body = common::Problem),
    )
)]
pub(crate) async fn list(state: Data<State>, caller: Caller) -> Result<Json<SignIns>, Error> {
    let user = person(&caller)?;
    let browsers = sessions::of_person(&state, user).await?;
    let now = state.now();
    let programs = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(refresh_tokens::living(conn, user, now)?))
        .await?;
    let browsers = browsers.into_iter().map(|session| SignInView {
        current: caller.session == Some(session.id),
        id: session.id,
        kind: Kind::Browser,
        workspace_id: session.workspace_id,
        started_at: session.started_at,
        seen_at: session.seen_at,
        address: session.address,
        agent: session.agent,
    });
    let programs = programs.into_iter().map(|token| SignInView {
        current: caller.session == Some(token.family),
        id: token.family,
        kind: Kind::Tokens,
        workspace_id: token.workspace_id,
        started_at: tokens::began(token.family).unwrap_or(token.created_at),
        seen_at: token.created_at,
        address: token.address,
        agent: token.agent,
    });
    let items = browsers.chain(programs).collect();
    Ok(Json(SignIns { items }))
}

/// `DELETE /api/v1/sessions/{id}`: ends one of the caller's sign-ins, everywhere within a second.
/// Another one than that of the request needs a proof, unless they signed in a moment ago.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "identity",
    operation_id = "identity_sessions_end",
    params(("id" = Uuid, Path, description = "The sign-in")),
    request_body(content = Proof, description = "May be left out"),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "The code is not right", body = common::Problem),
        (status = 403, description = "`proof_needed`: they signed in too long ago", body = common::Problem),
        (status = 404, description = "None of the caller's", body = common::Problem),
        (status = 422, description = "The password is not right", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
        (status = 503, description = "Sessions cannot be ended at the moment", body = common::Problem),
    )
)]
pub(crate) async fn end_one(
    state: Data<State>,
    request: HttpRequest,
    caller: Caller,
    origin: Origin,
    id: Path<Uuid>,
    body: Result<Json<Proof>, InvalidInput>,
) -> Result<HttpResponse, Error> {
    let (user, id, now) = (person(&caller)?, id.into_inner(), state.now());
    if caller.session != Some(id) {
        prove_again(&state, &caller, proof(&request, body)?, &origin).await?;
    }
    let browser = sessions::end_by_id(&state, user, id).await?;
    let ended = state
        .host
        .db
        .transaction(move |conn| {
            let ended = refresh_tokens::revoke_family_of(conn, user, id, now)? || browser;
            if ended {
                revocations::add(conn, Revoked::SignIn(id))?;
            }
            Ok::<_, Error>(ended)
        })
        .await?;
    revoking::tell(&state).await;
    match ended {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::SessionNotFound(id)),
    }
}

fn proof(
    request: &HttpRequest,
    body: Result<Json<Proof>, InvalidInput>,
) -> Result<Proof, InvalidInput> {
    match has_body(request) {
        true => Ok(body?.into_inner()),
        false => Ok(Proof::default()),
    }
}

/// `DELETE /api/v1/sessions`: ends every sign-in of the caller but the one that asks. Needs a proof,
/// unless they signed in a moment ago.
#[utoipa::path(
    delete, path = "/api/v1/sessions", tag = "identity",
    operation_id = "identity_sessions_end_others",
    request_body(content = Proof, description = "May be left out"),
    responses(
        (status = 204, description = "Ended"),
        (status = 401, description = "The code is not right", body = common::Problem),
        (status = 403, description = "`proof_needed`: they signed in too long ago", body = common::Problem),
        (status = 422, description = "The password is not right", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
        (status = 503, description = "Sessions cannot be ended at the moment", body = common::Problem),
    )
)]
pub(crate) async fn end_others(
    state: Data<State>,
    request: HttpRequest,
    caller: Caller,
    origin: Origin,
    body: Result<Json<Proof>, InvalidInput>,
) -> Result<HttpResponse, Error> {
    let (user, now) = (person(&caller)?, state.now());
    prove_again(&state, &caller, proof(&request, body)?, &origin).await?;
    let others = move |id: &Uuid| caller.session != Some(*id);
    let browsers = sessions::of_person(&state, user).await?;
    let browsers: Vec<_> = browsers.into_iter().map(|session| session.id).collect();
    let browsers: Vec<_> = browsers.into_iter().filter(others).collect();
    for id in &browsers {
        sessions::end_by_id(&state, user, *id).await?;
    }
    state
        .host
        .db
        .transaction(move |conn| {
            let living = refresh_tokens::living(conn, user, now)?;
            let families = living.into_iter().map(|token| token.family).filter(others);
            for id in families.chain(browsers) {
                refresh_tokens::revoke_family_of(conn, user, id, now)?;
                revocations::add(conn, Revoked::SignIn(id))?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    revoking::tell(&state).await;
    Ok(HttpResponse::NoContent().finish())
}

async fn view(
    state: &State,
    session: Session,
    member: Member,
    workspace: Workspace,
) -> Result<SessionView, Error> {
    let owes = owes_factor(state, &workspace, member.user.id).await?;
    let scopes = match owes {
        true => Vec::new(),
        false => member.standing.scopes().iter().collect(),
    };
    Ok(SessionView {
        scopes,
        second_factor_needed: owes,
        user: member.into(),
        workspace: workspace.into(),
        expires_at: session.ends_at(),
        csrf_token: session.csrf,
    })
}

/// `__Host-`: a browser takes it over TLS (or from this machine) only, and for no other host.
fn cookie_of(value: String) -> Cookie<'static> {
    host_cookie(COOKIE, value, sessions::ABSOLUTE_S)
}

/// A cookie that only this host sees and no script reads. `Lax`: a browser also shows it when a
/// link or a provider leads here.
pub(crate) fn host_cookie(name: &'static str, value: String, seconds: i64) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(CookieDuration::seconds(seconds))
        .finish()
}
