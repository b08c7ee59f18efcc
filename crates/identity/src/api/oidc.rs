//! Signing in with an OpenID provider: a browser is sent there, and comes back with a code. What
//! the provider calls somebody counts; an address alone lets nobody into an account.

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use chassis::auth::Caller;
use chassis::http::page::{escape, page};
use chassis::http::{Form, Json, Language, Origin, Path, Query};
use chassis::{Fault, audit, jobs};
use chrono::{DateTime, Utc};
use common::UserId;
use common::auth::Role;
use common::values::EmailAddress;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::accounts::{at_home, second_factor as take_second_factor, told_in, told_refused};
use super::pages::sentence;
use super::sessions::{self as browsers, host_cookie, person};
use crate::bootstrap;
use crate::domain::{Member, Name, Standing, User, Workspace};
use crate::error::Error;
use crate::mails::{News, Notice};
use crate::oidc::{Claims, Flow, Pending, Provider, Purpose};
use crate::passwords::NO_PASSWORD;
use crate::sessions;
use crate::settings::Registration;
use crate::state::State;
use crate::store::external_identities::{self, ExternalIdentity};
use crate::store::{authenticators, members};
use crate::throttle;
use crate::tokens;

/// Ties what a browser begins to what it comes back with.
const COOKIE: &str = "__Host-clarion_oidc";
const COOKIE_S: i64 = 900;

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::OidcProvider)]
pub(crate) struct ProviderView {
    /// Whether people may sign in with another provider here.
    enabled: bool,
    /// What people call it.
    name: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// The page of ours to go to afterwards.
    return_to: Option<String>,
}

/// What a provider adds to our address; it may add more.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = identity::OidcCode)]
pub(crate) struct CodeForm {
    /// Of the authenticator app, or a recovery code.
    code: String,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::NewLink)]
pub(crate) struct NewLink {
    /// The page of ours to go to afterwards.
    return_to: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::LinkBegun)]
pub(crate) struct LinkBegun {
    /// Where the browser goes now.
    authorization_url: String,
}

/// What a provider knows somebody by.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Link)]
pub(crate) struct LinkView {
    id: Uuid,
    issuer: String,
    /// As the provider called it when they were linked.
    email: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Links)]
pub(crate) struct Links {
    items: Vec<LinkView>,
}

fn provider(state: &State) -> Result<&Provider, Error> {
    state.oidc.as_ref().ok_or(Error::NoProvider)
}

/// `GET /api/v1/oidc`
#[utoipa::path(
    get, path = "/api/v1/oidc", tag = "identity", operation_id = "identity_oidc_get", security(()),
    responses((status = 200, description = "Who else vouches for people here", body = ProviderView))
)]
pub(crate) async fn get(state: Data<State>) -> Json<ProviderView> {
    let name = state
        .oidc
        .as_ref()
        .map(|provider| provider.name().to_owned());
    Json(ProviderView {
        enabled: name.is_some(),
        name,
    })
}

/// `GET /api/v1/oidc/start`: sends a browser to the provider.
#[utoipa::path(
    get, path = "/api/v1/oidc/start", tag = "identity", operation_id = "identity_oidc_start",
    security(()), params(Start),
    responses(
        (status = 303, description = "To the provider"),
        (status = 404, description = "There is no provider", body = common::Problem),
        (status = 422, description = "The page is none of ours", body = common::Problem),
        (status = 503, description = "The provider or the session store is away", body = common::Problem),
    )
)]
pub(crate) async fn start(
    state: Data<State>,
    request: HttpRequest,
    query: Query<Start>,
) -> Result<HttpResponse, Error> {
    let return_to = own_page(query.into_inner().return_to)?;
    let (url, cookie) = send_away(&state, &request, Purpose::SignIn, return_to).await?;
    Ok(go_to(url.as_str()).cookie(cookie).finish())
}

/// A path of ours; another site's address is no place to go after signing in.
fn own_page(given: Option<String>) -> Result<String, Error> {
    let Some(path) = given else {
        return Ok("/".into());
    };
    let rest = path.strip_prefix('/');
    let ours = rest.is_some_and(|rest| !rest.starts_with(['/', '\\']))
        && path.len() <= 2_000
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    match ours {
        true => Ok(path),
        false => {
            Err(chassis::InvalidInput::field("return_to", "must be a path of this site").into())
        }
    }
}

async fn send_away(
    state: &State,
    request: &HttpRequest,
    purpose: Purpose,
    return_to: String,
) -> Result<(Url, Cookie<'static>), Error> {
    let provider = provider(state)?;
    let (verifier, _) = tokens::opaque("")?;
    let (nonce, _) = tokens::opaque("")?;
    // The same for several tabs: each comes back to what it began.
    let cookie = match request.cookie(COOKIE) {
        Some(cookie) => cookie.value().to_owned(),
        None => tokens::opaque("")?.0,
    };
    let flow = Flow {
        nonce,
        verifier,
        purpose,
        return_to,
        browser: tokens::hash(&cookie),
        began_at: state.now(),
    };
    let name = flow.keep(state).await?;
    let url = provider
        .authorization_url(&name, &flow.nonce, &flow.verifier)
        .await?;
    Ok((url, cookie_of(cookie)))
}

/// `GET /api/v1/oidc/callback`: a browser comes back from the provider.
#[utoipa::path(
    get, path = "/api/v1/oidc/callback", tag = "identity", operation_id = "identity_oidc_callback",
    security(()), params(Returned),
    responses(
        (status = 200, description = "A page that asks for the second factor", body = String, content_type = "text/html"),
        (status = 303, description = "Signed in or linked; the cookie is set"),
        (status = 401, description = "The provider says no, or what it says cannot be believed; for a link, nobody is signed in any more", body = common::Problem),
        (status = 403, description = "Registration is closed, or the provider knows no verified address", body = common::Problem),
        (status = 404, description = "There is no provider", body = common::Problem),
        (status = 409, description = "There is an account with this address; or the link is another account's", body = common::Problem),
        (status = 422, description = "Nothing was begun in this browser", body = common::Problem),
        (status = 503, description = "The provider or the session store is away", body = common::Problem),
    )
)]
pub(crate) async fn callback(
    state: Data<State>,
    request: HttpRequest,
    origin: Origin,
    query: Query<Returned>,
) -> HttpResponse {
    let done = come_back(&state, &request, &origin, query.into_inner()).await;
    done.unwrap_or_else(|error| {
        told_refused("provider", &error, &origin);
        refusal(&request, &error)
    })
}

async fn come_back(
    state: &State,
    request: &HttpRequest,
    origin: &Origin,
    returned: Returned,
) -> Result<HttpResponse, Error> {
    let provider = provider(state)?;
    let name = returned.state.ok_or(Error::SignInLost)?;
    let flow = Flow::take(state, &name).await?.ok_or(Error::SignInLost)?;
    if browser(request)? != flow.browser {
        return Err(Error::SignInLost);
    }
    // RFC 9207: an answer of another provider is none to our question.
    if returned.iss.is_some_and(|iss| iss != provider.issuer()) {
        return Err(Error::IdTokenWrong);
    }
    let code = match (returned.error, returned.code) {
        (None, Some(code)) => code,
        (error, _) => {
            tracing::info!(error, "the identity provider sends somebody back");
            return Err(Error::ProviderSaysNo);
        }
    };
    let claims = provider.redeem(&code, &flow.verifier, &flow.nonce).await?;
    match flow.purpose {
        Purpose::SignIn => sign_in(state, request, origin, &claims, &flow).await,
        Purpose::Link { user, sign_in } => {
            finish_link(state, request, &claims, &flow, user, sign_in).await
        }
    }
}

fn browser(request: &HttpRequest) -> Result<Vec<u8>, Error> {
    let cookie = request.cookie(COOKIE).ok_or(Error::SignInLost)?;
    Ok(tokens::hash(cookie.value()))
}

async fn sign_in(
    state: &State,
    request: &HttpRequest,
    origin: &Origin,
    claims: &Claims,
    flow: &Flow,
) -> Result<HttpResponse, Error> {
    let issuer = provider(state)?.issuer().to_owned();
    let subject = claims.sub.clone();
    let known = state
        .host
        .db
        .run(move |conn| {
            let Some(user) = external_identities::person(conn, &issuer, &subject)? else {
                return Ok::<_, Error>(None);
            };
            let needs_code = authenticators::counts(conn, user.id)?;
            Ok(Some((user, needs_code)))
        })
        .await?;
    let (member, workspace) = match known {
        Some((user, true)) => {
            let pending = Pending {
                user: user.id,
                return_to: flow.return_to.clone(),
                began_at: state.now(),
            };
            pending.keep(state, &flow.browser).await?;
            return Ok(code_page(
                Language::of(request.headers()),
                StatusCode::OK,
                "",
            ));
        }
        Some((user, false)) => at_home(state, user, None).await?,
        None => sign_up(state, claims).await?,
    };
    enter(state, request, origin, &member, &workspace, &flow.return_to).await
}

async fn enter(
    state: &State,
    request: &HttpRequest,
    origin: &Origin,
    member: &Member,
    workspace: &Workspace,
    return_to: &str,
) -> Result<HttpResponse, Error> {
    let (cookie, _) = browsers::begin(state, request, member, workspace, origin).await?;
    told_in("provider", member, workspace, origin);
    let mut done = cookie_of(String::new());
    done.make_removal();
    Ok(go_to(return_to).cookie(cookie).cookie(done).finish())
}

fn go_to(path: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::SeeOther();
    answer
        .insert_header(("location", path))
        .insert_header(("cache-control", "no-store"));
    answer
}

/// Opens a workspace for somebody new. An address that an account has opens nothing: whoever the
/// provider gave it to is not therefore whoever has the account.
async fn sign_up(state: &State, claims: &Claims) -> Result<(Member, Workspace), Error> {
    let email = claims.email.as_deref().map(EmailAddress::parse);
    let email = email.and_then(Result::ok);
    let email = email.filter(|_| claims.email_is_verified());
    let email = email.ok_or(Error::EmailNotVouchedFor)?;
    let name = claims.name.as_deref().map(Name::parse);
    let name = name.and_then(Result::ok).map(Name::into_inner);
    let name = name.unwrap_or_else(|| email.as_str().chars().take(200).collect());
    let (now, open) = (state.now(), state.registration == Registration::Open);
    // The provider has shown that mails to the address reach them.
    let user = User {
        email_verified_at: Some(now),
        ..bootstrap::new_user(&email, &name, NO_PASSWORD.to_owned(), now)
    };
    let link = link_of(state, claims, user.id)?;
    let workspace = Workspace::new("My workspace".to_owned(), now);
    audit::acts(user.id, workspace.id);
    state
        .host
        .db
        .transaction(move |conn| {
            if members::by_email(conn, &user.email_key)?.is_some() {
                return Err(Error::LinkFirst);
            }
            if !open {
                return Err(Error::RegistrationClosed);
            }
            bootstrap::open_workspace(conn, &workspace, &user, now)?;
            if external_identities::link(conn, &link)? != user.id {
                return Err(Error::LinkedElsewhere);
            }
            let standing = Standing::from(Role::Owner);
            Ok((Member { user, standing }, workspace))
        })
        .await
}

fn link_of(state: &State, claims: &Claims, user: UserId) -> Result<ExternalIdentity, Error> {
    Ok(ExternalIdentity {
        issuer: provider(state)?.issuer().to_owned(),
        subject: claims.sub.clone(),
        id: Uuid::now_v7(),
        user_id: user,
        email: claims.email.clone(),
        created_at: state.now(),
    })
}

/// Links, if whoever asked for it is still signed in in this browser.
async fn finish_link(
    state: &State,
    request: &HttpRequest,
    claims: &Claims,
    flow: &Flow,
    user: UserId,
    sign_in: Option<Uuid>,
) -> Result<HttpResponse, Error> {
    let cookie = request.cookie(sessions::COOKIE).ok_or(Error::NoSession)?;
    let current = browsers::current(state, cookie.value()).await?;
    let same = current
        .filter(|(session, member, _)| member.user.id == user && Some(session.id) == sign_in);
    let (_, member, workspace) = same.ok_or(Error::NoSession)?;
    audit::acts(user, workspace.id);
    let (link, now) = (link_of(state, claims, user)?, state.now());
    let language = Language::of(request.headers());
    state
        .host
        .db
        .transaction(move |conn| {
            let before = external_identities::person(conn, &link.issuer, &link.subject)?;
            if external_identities::link(conn, &link)? != user {
                return Err(Error::LinkedElsewhere);
            }
            if before.is_none() {
                let notice = Notice::to(&member.user, News::Linked, language, now);
                jobs::enqueue(conn, &notice, now)?;
            }
            Ok(())
        })
        .await?;
    Ok(go_to(&flow.return_to).finish())
}

/// `POST /api/v1/oidc/second-factor`: the form of the page that asked for a code.
#[utoipa::path(
    post, path = "/api/v1/oidc/second-factor", tag = "identity",
    operation_id = "identity_oidc_second_factor", security(()),
    request_body(content = CodeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Signed in; the cookie is set"),
        (status = 401, description = "The code is not right", body = common::Problem),
        (status = 415, description = "It is no form", body = common::Problem),
        (status = 422, description = "Nobody was asked for one in this browser", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
        (status = 503, description = "The session store is away", body = common::Problem),
    )
)]
pub(crate) async fn second_factor(
    state: Data<State>,
    request: HttpRequest,
    origin: Origin,
    form: Form<CodeForm>,
) -> HttpResponse {
    let done = enter_with_code(&state, &request, &origin, form.into_inner().code).await;
    done.unwrap_or_else(|error| {
        told_refused("provider", &error, &origin);
        match error {
            Error::CodeWrong if wants_page(&request) => {
                let language = Language::of(request.headers());
                let problem = sentence(&error, language);
                code_page(language, StatusCode::UNAUTHORIZED, &problem)
            }
            error => refusal(&request, &error),
        }
    })
}

async fn enter_with_code(
    state: &State,
    request: &HttpRequest,
    origin: &Origin,
    code: String,
) -> Result<HttpResponse, Error> {
    let browser = browser(request)?;
    let pending = Pending::find(state, &browser).await?;
    let pending = pending.ok_or(Error::SignInLost)?;
    let (id, now) = (pending.user, state.now());
    let user = state
        .host
        .db
        .run(move |conn| members::by_id(conn, id)?.ok_or(Error::SignInLost))
        .await?;
    let (checked, vault) = (user.clone(), state.vault.clone());
    throttle::code(state, &user, origin, move |conn| {
        take_second_factor(conn, &vault, &checked, Some(&code), now)
    })
    .await?;
    Pending::forget(state, &browser).await?;
    let (member, workspace) = at_home(state, user, None).await?;
    enter(
        state,
        request,
        origin,
        &member,
        &workspace,
        &pending.return_to,
    )
    .await
}

/// `GET /api/v1/oidc/links`: what the provider knows the caller by.
#[utoipa::path(
    get, path = "/api/v1/oidc/links", tag = "identity", operation_id = "identity_oidc_links_list",
    responses(
        (status = 200, description = "The links, the oldest first", body = Links),
        (status = 403, description = "Keys have none", body = common::Problem),
    )
)]
pub(crate) async fn list(state: Data<State>, caller: Caller) -> Result<Json<Links>, Error> {
    let user = person(&caller)?;
    let links = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(external_identities::of_person(conn, user)?))
        .await?;
    let items = links.into_iter().map(|link| LinkView {
        id: link.id,
        issuer: link.issuer,
        email: link.email,
        created_at: link.created_at,
    });
    Ok(Json(Links {
        items: items.collect(),
    }))
}

/// `POST /api/v1/oidc/links`: begins to link the caller, who comes back signed in in this browser.
#[utoipa::path(
    post, path = "/api/v1/oidc/links", tag = "identity", operation_id = "identity_oidc_links_create",
    request_body = NewLink,
    responses(
        (status = 201, description = "Where the browser goes now", body = LinkBegun),
        (status = 403, description = "Keys have none", body = common::Problem),
        (status = 404, description = "There is no provider", body = common::Problem),
        (status = 422, description = "The page is none of ours", body = common::Problem),
        (status = 503, description = "The provider or the session store is away", body = common::Problem),
    )
)]
pub(crate) async fn link(
    state: Data<State>,
    request: HttpRequest,
    caller: Caller,
    body: Json<NewLink>,
) -> Result<HttpResponse, Error> {
    let purpose = Purpose::Link {
        user: person(&caller)?,
        sign_in: caller.session,
    };
    let return_to = own_page(body.into_inner().return_to)?;
    let (url, cookie) = send_away(&state, &request, purpose, return_to).await?;
    Ok(HttpResponse::Created().cookie(cookie).json(LinkBegun {
        authorization_url: url.into(),
    }))
}

/// `DELETE /api/v1/oidc/links/{id}`
#[utoipa::path(
    delete, path = "/api/v1/oidc/links/{id}", tag = "identity",
    operation_id = "identity_oidc_links_delete",
    params(("id" = Uuid, Path, description = "The link")),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "Keys have none", body = common::Problem),
        (status = 404, description = "None of the caller's", body = common::Problem),
        (status = 409, description = "They could not sign in any more", body = common::Problem),
    )
)]
pub(crate) async fn unlink(
    state: Data<State>,
    caller: Caller,
    language: Language,
    id: Path<Uuid>,
) -> Result<HttpResponse, Error> {
    let (user, id, now) = (person(&caller)?, id.into_inner(), state.now());
    state
        .host
        .db
        .transaction(move |conn| {
            let user = members::lock(conn, user)?.ok_or(Error::UserNotFound(user))?;
            if !external_identities::unlink(conn, user.id, id)? {
                return Err(Error::LinkNotFound(id));
            }
            let left = external_identities::of_person(conn, user.id)?;
            if left.is_empty() && user.password_hash == NO_PASSWORD {
                return Err(Error::LastWayIn);
            }
            let notice = Notice::to(&user, News::Unlinked, language, now);
            Ok(jobs::enqueue(conn, &notice, now)?)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get("accept");
    let accept = accept.and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// For people a page that says what to do, for programs a problem.
fn refusal(request: &HttpRequest, error: &Error) -> HttpResponse {
    let problem = error.error_response();
    if !wants_page(request) {
        return problem;
    }
    let language = Language::of(request.headers());
    let body = format!(
        "<p role=\"alert\">{}.</p><p><a href=\"/sign-in\">{}</a></p>",
        escape(&sentence(error, language)),
        language.pick("Back to the sign-in", "Zurück zur Anmeldung"),
    );
    let title = language.pick("You are not signed in", "Du bist nicht angemeldet");
    let mut answer = page(language, error.kind().0, title, &body);
    if let Some(after) = problem.headers().get("retry-after") {
        let name = actix_web::http::header::RETRY_AFTER;
        answer.headers_mut().insert(name, after.clone());
    }
    answer
}

fn code_page(language: Language, status: StatusCode, problem: &str) -> HttpResponse {
    let problem = match problem {
        "" => String::new(),
        text => format!("<p role=\"alert\"><strong>{}</strong></p>", escape(text)),
    };
    let body = format!(
        "{problem}<form method=\"post\" action=\"/api/v1/oidc/second-factor\">\
         <label>{} <input type=\"text\" name=\"code\" \
         required maxlength=\"40\" autocomplete=\"one-time-code\"></label>\
         <p><button>{}</button></p></form>",
        language.pick(
            "Code of your authenticator app, or a recovery code",
            "Code deiner Authentifizierungs-App oder ein Notfallcode",
        ),
        language.pick("Sign in", "Anmelden"),
    );
    let title = language.pick("One more step", "Noch ein Schritt");
    page(language, status, title, &body)
}

fn cookie_of(value: String) -> Cookie<'static> {
    host_cookie(COOKIE, value, COOKIE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_to() {
        for ours in ["/", "/campaigns?tab=1", "/settings/people#me"] {
            assert_eq!(own_page(Some(ours.into())).ok().as_deref(), Some(ours));
        }
        assert_eq!(own_page(None).ok().as_deref(), Some("/"));
        for other in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "/a\\b",
            "/\tx",
        ] {
            assert!(own_page(Some(other.into())).is_err(), "{other}");
        }
    }
}
