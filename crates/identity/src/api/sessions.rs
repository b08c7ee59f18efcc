//! Sessions of browsers: a cookie that names a row in Redis, and a token against forged requests.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use chassis::http::Json;
use chrono::{DateTime, Utc};
use common::dto::access::IssuedToken;
use serde::Serialize;

use super::accounts::{Login, authenticate};
use super::views::{UserView, WorkspaceView};
use crate::domain::{Member, Workspace};
use crate::error::Error;
use crate::sessions::{self, COOKIE, Session};
use crate::state::State;
use crate::store::{members, workspaces};
use crate::tokens::{self, ACCESS_S};

/// A signed-in browser.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Session)]
pub(crate) struct SessionView {
    user: UserView,
    workspace: WorkspaceView,
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
        (status = 401, description = "The email or the password is not right", body = common::Problem),
        (status = 503, description = "Sessions cannot be kept at the moment", body = common::Problem),
    )
)]
pub(crate) async fn start(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Login>,
) -> Result<HttpResponse, Error> {
    let (user, role, workspace) = authenticate(&state, body.into_inner()).await?;
    if let Some(old) = request.cookie(COOKIE) {
        sessions::end(&state, old.value()).await?;
    }
    let (cookie, session) = sessions::start(&state, &user, workspace.id).await?;
    let view = view(session, Member { user, role }, workspace);
    Ok(HttpResponse::Created().cookie(cookie_of(cookie)).json(view))
}

/// `GET /api/v1/session`
#[utoipa::path(
    get, path = "/api/v1/session", tag = "identity", operation_id = "identity_session_get",
    security(()),
    responses(
        (status = 200, description = "Who is signed in", body = SessionView),
        (status = 401, description = "Nobody is", body = common::Problem),
        (status = 503, description = "Sessions cannot be read at the moment", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    request: HttpRequest,
) -> Result<Json<SessionView>, Error> {
    let cookie = request.cookie(COOKIE).ok_or(Error::NoSession)?;
    let (session, member, workspace) = current(&state, cookie.value())
        .await?
        .ok_or(Error::NoSession)?;
    Ok(Json(view(session, member, workspace)))
}

/// `DELETE /api/v1/session`: signs the browser out. Needs the session's `X-CSRF-Token`.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "identity", operation_id = "identity_session_end",
    security(()), params(("X-CSRF-Token" = String, Header, description = "The session's")),
    responses(
        (status = 204, description = "Signed out; the cookie is gone"),
        (status = 403, description = "The token is not this session's", body = common::Problem),
        (status = 503, description = "Sessions cannot be ended at the moment", body = common::Problem),
    )
)]
pub(crate) async fn end(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Error> {
    if let Some(cookie) = request.cookie(COOKIE)
        && let Some(session) = sessions::find(&state, cookie.value()).await?
    {
        let given = request.headers().get("x-csrf-token");
        let given = given.map(|value| value.as_bytes()).unwrap_or_default();
        verify_slices_are_equal(given, session.csrf.as_bytes()).map_err(|_| Error::CsrfMismatch)?;
        sessions::end(&state, cookie.value()).await?;
    }
    let mut gone = cookie_of(String::new());
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

/// An access token for a session, with the CSRF token that its writes must repeat.
pub(crate) async fn issue(state: &State, cookie: &str) -> Result<IssuedToken, Error> {
    let (session, member, workspace) = current(state, cookie)
        .await?
        .ok_or(Error::CredentialInvalid)?;
    let claims = tokens::person(member.user.id, workspace.id, member.role, state.now());
    Ok(IssuedToken {
        access_token: state.keys.sign(&claims)?,
        expires_in: ACCESS_S,
        csrf_token: Some(session.csrf),
    })
}

/// The session with the person and the workspace as they are now. A session ends with the
/// membership, and with the password it was begun with.
async fn current(
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
        Some((member, workspace)) if session.fits(&member.user) => {
            Ok(Some((session, member, workspace)))
        }
        _ => {
            sessions::end(state, cookie).await?;
            Ok(None)
        }
    }
}

fn view(session: Session, member: Member, workspace: Workspace) -> SessionView {
    SessionView {
        user: member.into(),
        workspace: workspace.into(),
        expires_at: session.ends_at(),
        csrf_token: session.csrf,
    }
}

/// `__Host-`: a browser takes it over TLS (or from this machine) only, and for no other host.
fn cookie_of(value: String) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(CookieDuration::seconds(sessions::ABSOLUTE_S))
        .finish()
}
