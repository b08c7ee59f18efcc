//! Registration and signing in.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::http::{Json, Origin};
use common::auth::Role;
use common::values::{EmailAddress, Secret};
use serde::Deserialize;

use super::views::{SignedIn, Tokens, UserView};
use crate::bootstrap;
use crate::domain::{Check, Name, Password, User, Workspace};
use crate::error::Error;
use crate::passwords::Verdict;
use crate::sessions;
use crate::settings::Registration;
use crate::state::State;
use crate::store::members;
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

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::NewWorkspace)]
pub(crate) struct NewWorkspace {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Login)]
pub(crate) struct Login {
    email: String,
    #[schema(value_type = String, format = "password")]
    password: Secret,
    /// The second factor, for people who have one; nobody can have one yet.
    #[expect(
        dead_code,
        reason = "a part of the contract before anybody has a second factor"
    )]
    code: Option<String>,
}

/// `POST /api/v1/register`: a new workspace with its owner.
#[utoipa::path(
    post, path = "/api/v1/register", tag = "identity", operation_id = "identity_register",
    request_body = Register, security(()),
    responses(
        (status = 201, description = "The owner is signed in", body = SignedIn),
        (status = 403, description = "Registration is closed", body = common::Problem),
        (status = 409, description = "The email address is taken", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn register(
    state: Data<State>,
    origin: Origin,
    body: Json<Register>,
) -> Result<HttpResponse, Error> {
    sessions::reachable(&state).await?;
    if state.registration == Registration::Closed {
        return Err(Error::RegistrationClosed);
    }
    let (name, email, password, workspace) = body.into_inner().checked()?;
    let (hash, now) = (state.passwords.hash(password).await?, state.now());
    let owner = bootstrap::new_user(&email, name.as_str(), hash, now);
    let workspace = Workspace::new(workspace.into_inner(), now);

    let (owner, workspace, sign_in) = state
        .host
        .db
        .transaction(move |conn| {
            bootstrap::open_workspace(conn, &workspace, &owner, now)?;
            let sign_in = tokens::start_family(conn, workspace.id, owner.id, &origin, now)?;
            Ok::<_, Error>((owner, workspace, sign_in))
        })
        .await?;

    let signed_in = signed_in(&state, owner, Role::Owner, workspace, sign_in)?;
    Ok(HttpResponse::Created().json(signed_in))
}

impl Register {
    fn checked(self) -> Result<(Name, EmailAddress, Secret, Name), Error> {
        let mut check = Check::default();
        let name = check.take("/name", Name::parse(&self.name));
        let email = check.take("/email", EmailAddress::parse(&self.email));
        let password = check.take("/password", Password::parse(self.password.expose()));
        let workspace = match self.workspace {
            Some(workspace) => check.take("/workspace/name", Name::parse(&workspace.name)),
            None => Name::parse("My workspace").ok(),
        };
        match (name, email, password, workspace) {
            (Some(name), Some(email), Some(password), Some(workspace)) => {
                Ok((name, email, password.into_secret(), workspace))
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
        (status = 401, description = "The email or the password is not right", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
        (status = 503, description = "Nobody can sign in at the moment", body = common::Problem),
    )
)]
pub(crate) async fn login(
    state: Data<State>,
    origin: Origin,
    body: Json<Login>,
) -> Result<Json<SignedIn>, Error> {
    let (user, role, workspace) = authenticate(&state, body.into_inner()).await?;
    let (user_id, workspace_id, now) = (user.id, workspace.id, state.now());
    let sign_in = state
        .host
        .db
        .transaction(move |conn| tokens::start_family(conn, workspace_id, user_id, &origin, now))
        .await?;
    signed_in(&state, user, role, workspace, sign_in).map(Json)
}

/// Who it is that knows this password. An unknown address costs as much time as a wrong password.
pub(crate) async fn authenticate(
    state: &State,
    login: Login,
) -> Result<(User, Role, Workspace), Error> {
    sessions::reachable(state).await?;
    let key = login.email.trim().to_lowercase();
    let user = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(members::by_email(conn, &key)?))
        .await?;
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let verdict = state.passwords.verify(login.password, stored).await?;
    let Some(mut user) = user.filter(|_| verdict != Verdict::Wrong) else {
        return Err(Error::WrongCredentials);
    };
    state
        .host
        .db
        .transaction(move |conn| {
            if let Verdict::Outdated(better) = verdict {
                members::rehash(conn, user.id, &user.password_hash, &better)?;
                user.password_hash = better;
            }
            let (workspace, role) = members::home(conn, user.id)?.ok_or(Error::WrongCredentials)?;
            Ok((user, role, workspace))
        })
        .await
}

fn signed_in(
    state: &State,
    user: User,
    role: Role,
    workspace: Workspace,
    sign_in: SignIn,
) -> Result<SignedIn, Error> {
    let claims = tokens::person(user.id, workspace.id, role, sign_in.id, state.now());
    Ok(SignedIn {
        tokens: Tokens::new(state.keys.sign(&claims)?, sign_in.refresh_token),
        user: UserView::new(user, role),
        workspace: workspace.into(),
    })
}
