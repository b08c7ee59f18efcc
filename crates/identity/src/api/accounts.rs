//! Registration and signing in.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::Fault;
use chassis::http::{Json, Language, Origin};
use chassis::jobs;
use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::auth::Role;
use common::values::{EmailAddress, Secret};
use common::{UserId, WorkspaceId};
use diesel::PgConnection;
use serde::Deserialize;

use super::views::{SignedIn, Tokens};
use crate::bootstrap;
use crate::domain::{Check, Member, Name, Password, Standing, User, Workspace};
use crate::error::Error;
use crate::mails::Verify;
use crate::passwords::Verdict;
use crate::sessions;
use crate::settings::Registration;
use crate::state::State;
use crate::store::{authenticators, members, workspaces};
use crate::throttle::{self, Target};
use crate::tokens::{self, SignIn};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Register)]
pub(crate) struct Register {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(format = "email")]
    email: String,
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 128)]
    password: Secret,
    workspace: Option<NewWorkspace>,
}

/// A new workspace by its name, or one to join as a customer by its id.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::NewWorkspace)]
pub(crate) struct NewWorkspace {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// It must take registrations.
    id: Option<WorkspaceId>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Login)]
pub(crate) struct Login {
    email: String,
    #[schema(value_type = String, format = "password")]
    password: Secret,
    /// Of the authenticator app, or a recovery code; for people who have a second factor.
    code: Option<String>,
    /// Which workspace to sign in to; the first one when absent.
    workspace_id: Option<WorkspaceId>,
}

/// Where somebody who registers will belong.
enum Place {
    New(Name),
    Existing(WorkspaceId),
}

/// `POST /api/v1/register`: a new workspace with its owner, or a customer of a workspace that takes
/// registrations.
#[utoipa::path(
    post, path = "/api/v1/register", tag = "identity", operation_id = "identity_register",
    request_body = Register, security(()),
    responses(
        (status = 201, description = "They are signed in; a mail asks to confirm the address", body = SignedIn),
        (status = 403, description = "Registration is closed, or the workspace does not take any", body = common::Problem),
        (status = 409, description = "The email address is taken", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
        (status = 503, description = "Nobody can sign in at the moment", body = common::Problem),
    )
)]
pub(crate) async fn register(
    state: Data<State>,
    origin: Origin,
    language: Language,
    body: Json<Register>,
) -> Result<HttpResponse, Error> {
    sessions::reachable(&state).await?;
    let (name, email, password, place) = body.into_inner().checked()?;
    if matches!(place, Place::New(_)) && state.registration == Registration::Closed {
        return Err(Error::RegistrationClosed);
    }
    let (hash, now) = (state.passwords.hash(password).await?, state.now());
    let user = bootstrap::new_user(&email, name.as_str(), hash, now);

    let (member, workspace, sign_in) = state
        .host
        .db
        .transaction(move |conn| {
            let (workspace, standing) = settle(conn, place, now)?;
            bootstrap::add_member(conn, &workspace, &user, &standing, now)?;
            jobs::enqueue(conn, &Verify::of(user.id, language), now)?;
            let sign_in = tokens::start_family(conn, workspace.id, user.id, &origin, now)?;
            Ok::<_, Error>((Member { user, standing }, workspace, sign_in))
        })
        .await?;

    let signed_in = signed_in(&state, member, workspace, sign_in).await?;
    Ok(HttpResponse::Created().json(signed_in))
}

/// The workspace of somebody new, and what they are in it. One that does not exist and one that
/// takes nobody are alike to a stranger.
fn settle(
    conn: &mut PgConnection,
    place: Place,
    now: DateTime<Utc>,
) -> Result<(Workspace, Standing), Error> {
    match place {
        Place::New(name) => {
            let workspace = Workspace::new(name.into_inner(), now);
            bootstrap::found(conn, &workspace)?;
            Ok((workspace, Role::Owner.into()))
        }
        Place::Existing(id) => {
            let workspace = workspaces::find(conn, id)?;
            let workspace = workspace.filter(|workspace| workspace.customer_registration);
            let workspace = workspace.ok_or(Error::WorkspaceNotOpen)?;
            Ok((workspace, Role::Customer.into()))
        }
    }
}

impl Register {
    fn checked(self) -> Result<(Name, EmailAddress, Secret, Place), Error> {
        let mut check = Check::default();
        let name = check.take("/name", Name::parse(&self.name));
        let email = check.take("/email", EmailAddress::parse(&self.email));
        let password = check.take("/password", Password::parse(self.password.expose()));
        let place = match self
            .workspace
            .map(|workspace| (workspace.name, workspace.id))
        {
            Some((Some(name), None)) => {
                let name = check.take("/workspace/name", Name::parse(&name));
                name.map(Place::New)
            }
            Some((None, Some(id))) => Some(Place::Existing(id)),
            Some(_) => {
                check.refuse("/workspace", "must have either a name or an id");
                None
            }
            None => Name::parse("My workspace").ok().map(Place::New),
        };
        if let Some(email) = &email
            && self.password.expose().to_lowercase().contains(&email.key())
        {
            check.refuse("/password", "must not contain the email address");
            return Err(check.refusal().into());
        }
        match (name, email, password, place) {
            (Some(name), Some(email), Some(password), Some(place)) => {
                Ok((name, email, password.into_secret(), place))
            }
            _ => Err(check.refusal().into()),
        }
    }
}

/// `POST /api/v1/login`
#[utoipa::path(
    post, path = "/api/v1/login", tag = "identity", operation_id = "identity_login",
    request_body = Login, security(()),
    responses(
        (status = 200, description = "Signed in", body = SignedIn),
        (status = 401, description = "`wrong_credentials`: the email or the password is not right; `code_needed` or `code_wrong`: of the second factor", body = common::Problem),
        (status = 404, description = "They do not belong to this workspace", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
        (status = 429, description = "Too many wrong ones a moment ago", body = common::Problem),
        (status = 503, description = "Nobody can sign in at the moment", body = common::Problem),
    )
)]
pub(crate) async fn login(
    state: Data<State>,
    origin: Origin,
    body: Json<Login>,
) -> Result<Json<SignedIn>, Error> {
    let (member, workspace) = authenticate(&state, body.into_inner(), &origin).await?;
    let (user_id, workspace_id, now) = (member.user.id, workspace.id, state.now());
    let sign_in = state
        .host
        .db
        .transaction(move |conn| tokens::start_family(conn, workspace_id, user_id, &origin, now))
        .await?;
    signed_in(&state, member, workspace, sign_in)
        .await
        .map(Json)
}

/// Who it is that knows this password and has this second factor; the log hears of it.
pub(crate) async fn authenticate(
    state: &State,
    login: Login,
    origin: &Origin,
) -> Result<(Member, Workspace), Error> {
    let known = recognise(state, login, origin).await;
    match &known {
        Ok((member, workspace)) => told_in("password", member, workspace, origin),
        Err(error) => told_refused("password", error, origin),
    }
    known
}

/// Notes a sign-in in the log.
pub(crate) fn told_in(way: &str, member: &Member, workspace: &Workspace, origin: &Origin) {
    tracing::info!(
        user.id = %member.user.id, workspace.id = %workspace.id, way, address = origin.address.map(tracing::field::display),
        "somebody signed in"
    );
}

/// Notes a refused sign-in in the log; what they typed is not in it.
pub(crate) fn told_refused(way: &str, error: &Error, origin: &Origin) {
    let (status, code) = error.kind();
    if status.is_client_error() {
        tracing::info!(
            code,
            way,
            address = origin.address.map(tracing::field::display),
            "a sign-in was refused"
        );
    }
}

/// An unknown address costs as much time as a wrong password.
async fn recognise(
    state: &State,
    login: Login,
    origin: &Origin,
) -> Result<(Member, Workspace), Error> {
    let email_key = login.email.trim().to_lowercase();
    let key = email_key.clone();
    let user = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(members::by_email(conn, &key)?))
        .await?;
    let target = Target::of(user.as_ref(), &email_key);
    throttle::check(state, &target, origin).await?;
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = state.passwords.verify(login.password, stored).await?;
    let Some(user) = user.filter(|_| verdict != Verdict::Wrong) else {
        throttle::note(state, &target, origin).await?;
        return Err(Error::WrongCredentials);
    };
    let entered = enter(state, user, verdict, login.code, login.workspace_id).await;
    if matches!(entered, Err(Error::CodeWrong)) {
        throttle::note(state, &target, origin).await?;
    }
    entered
}

/// Somebody whose password was right, if their second factor is too.
async fn enter(
    state: &State,
    mut user: User,
    verdict: Verdict,
    code: Option<String>,
    workspace: Option<WorkspaceId>,
) -> Result<(Member, Workspace), Error> {
    let (now, vault) = (state.now(), state.vault.clone());
    state
        .host
        .db
        .transaction(move |conn| {
            second_factor(conn, &vault, &user, code.as_deref(), now)?;
            if let Verdict::Outdated(better) = verdict {
                members::rehash(conn, user.id, &user.password_hash, &better)?;
                user.password_hash = better;
            }
            home(conn, user, workspace)
        })
        .await
}

/// Takes the code of a person who has a second factor, so that it works no more.
pub(crate) fn second_factor(
    conn: &mut PgConnection,
    vault: &Vault,
    user: &User,
    code: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if !authenticators::counts(conn, user.id)? {
        return Ok(());
    }
    let code = code.ok_or(Error::CodeNeeded)?;
    authenticators::take_either(conn, vault, user.id, code, now)
}

/// A person in the workspace that they sign in to: the one they name, or the first they belong to.
fn home(
    conn: &mut PgConnection,
    user: User,
    wanted: Option<WorkspaceId>,
) -> Result<(Member, Workspace), Error> {
    let mut all = members::workspaces_of(conn, user.id)?.into_iter();
    let (workspace, standing) = match wanted {
        Some(wanted) => all
            .find(|(workspace, _)| workspace.id == wanted)
            .ok_or(Error::WorkspaceGone)?,
        None => all.next().ok_or(Error::WrongCredentials)?,
    };
    Ok((Member { user, standing }, workspace))
}

/// As [`home`], for somebody whose identity is shown already.
pub(crate) async fn at_home(
    state: &State,
    user: User,
    wanted: Option<WorkspaceId>,
) -> Result<(Member, Workspace), Error> {
    state
        .host
        .db
        .run(move |conn| home(conn, user, wanted))
        .await
}

/// Whether somebody has to set up a second factor before they may do anything in a workspace.
pub(crate) async fn owes_factor(
    state: &State,
    workspace: &Workspace,
    user: UserId,
) -> Result<bool, Error> {
    let workspace = workspace.clone();
    state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(authenticators::is_owed(conn, &workspace, user)?))
        .await
}

/// The tokens of a sign-in that has just begun.
pub(crate) async fn signed_in(
    state: &State,
    member: Member,
    workspace: Workspace,
    sign_in: SignIn,
) -> Result<SignedIn, Error> {
    let (user, now) = (member.user.id, state.now());
    let owes = owes_factor(state, &workspace, user).await?;
    let claims = tokens::person(user, workspace.id, &member.standing, owes, sign_in.id, now);
    Ok(SignedIn {
        tokens: Tokens::new(state.keys.sign(&claims)?, sign_in.refresh_token),
        user: member.into(),
        workspace: workspace.into(),
        second_factor_needed: owes,
    })
}
