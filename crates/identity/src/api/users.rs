//! The members of the caller's workspace.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Language, Path, Query, etag};
use chassis::revocation::Revoked;
use chassis::{InvalidInput, jobs};
use common::auth::{Role, Scope, Subject};
use common::page::{Page, PageQuery};
use common::values::{EmailAddress, Secret};
use common::{RoleId, UserId, WorkspaceId};
use diesel::PgConnection;
use serde::Deserialize;

use super::views::UserView;
use crate::bootstrap::{self, taken};
use crate::domain::{Actor, Check, Member, Name, Password, Standing};
use crate::error::Error;
use crate::mails::{News, Notice, Verify};
use crate::passwords::Verdict;
use crate::state::State;
use crate::store::mail_tokens::{self, Purpose};
use crate::store::{members, refresh_tokens, revocations, roles, workspaces};
use crate::{revoking, sessions};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::AddUser)]
pub(crate) struct AddUser {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(format = "email")]
    email: String,
    /// A first password, for the person to change.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 128)]
    password: Secret,
    /// At most the caller's own.
    role: Role,
    /// Which role of the workspace's own, when it is `custom`.
    role_id: Option<RoleId>,
}

/// What is left out stays as it is.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::UpdateUser)]
pub(crate) struct UpdateUser {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Only of oneself, with `current_password`.
    #[schema(format = "email")]
    email: Option<String>,
    /// At most the caller's own.
    role: Option<Role>,
    /// Which role of the workspace's own, when it is `custom`.
    role_id: Option<RoleId>,
    /// A new password; only of oneself, with `current_password`. Ends every sign-in.
    #[schema(value_type = Option<String>, format = "password", min_length = 8, max_length = 128)]
    password: Option<Secret>,
    #[schema(value_type = Option<String>, format = "password")]
    current_password: Option<Secret>,
}

/// `GET /api/v1/users`
#[utoipa::path(
    get, path = "/api/v1/users", tag = "identity", operation_id = "identity_users_list",
    params(PageQuery),
    responses((status = 200, description = "The members", body = Page<UserView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<UserView>>, Error> {
    caller.require(Scope::UsersRead)?;
    let mut check = Check::default();
    let limit = check.take("query/limit", query.limit());
    let after = check.take("query/cursor", query.after::<UserId>());
    check.passed()?;
    let (limit, after) = (limit.unwrap_or_default(), after.flatten());
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(members::page(conn, caller.workspace, after, limit + 1)?))
        .await?;
    let page = Page::from_rows(rows, limit, |member| member.user.id, UserView::from);
    Ok(Json(page))
}

/// `POST /api/v1/users`: adds a person who is not known yet.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "identity", operation_id = "identity_users_add",
    request_body = AddUser,
    responses(
        (status = 201, description = "The new member", body = UserView),
        (status = 403, description = "Not allowed, or the role is above the caller's own", body = common::Problem),
        (status = 409, description = "The email address is taken", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn add(
    state: Data<State>,
    caller: Caller,
    language: Language,
    body: Json<AddUser>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersWrite)?;
    let body = body.into_inner();
    let (role, role_id) = (body.role, body.role_id);
    let (name, email, password) = body.checked()?;
    let (hash, now) = (state.passwords.hash(password).await?, state.now());
    let user = bootstrap::new_user(&email, name.as_str(), hash, now);
    let member = state
        .host
        .db
        .transaction(move |conn| {
            let actor = actor(conn, caller)?;
            actor.may_manage()?;
            let standing = standing(conn, caller.workspace, role, role_id)?;
            actor.may_touch(&standing)?;
            let workspace =
                workspaces::find(conn, caller.workspace)?.ok_or(Error::WorkspaceGone)?;
            bootstrap::add_member(conn, &workspace, &user, &standing, now)?;
            jobs::enqueue(conn, &Verify::of(user.id, language), now)?;
            Ok::<_, Error>(Member { user, standing })
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/users/{}", member.user.id)))
        .insert_header(etag(member.user.version))
        .json(UserView::from(member)))
}

impl AddUser {
    fn checked(self) -> Result<(Name, EmailAddress, Secret), Error> {
        let mut check = Check::default();
        let name = check.take("/name", Name::parse(&self.name));
        let email = check.take("/email", EmailAddress::parse(&self.email));
        let password = check.take("/password", Password::parse(self.password.expose()));
        match (name, email, password) {
            (Some(name), Some(email), Some(password)) => Ok((name, email, password.into_secret())),
            _ => Err(check.refusal().into()),
        }
    }
}

/// `GET /api/v1/users/{id}`: oneself, or with `users:read` anybody of the workspace.
#[utoipa::path(
    get, path = "/api/v1/users/{id}", tag = "identity", operation_id = "identity_users_get",
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, description = "The member", body = UserView),
        (status = 404, description = "Nobody of this workspace", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<UserId>,
) -> Result<HttpResponse, Error> {
    let id = id.into_inner();
    if caller.subject != Subject::User(id) {
        caller.require(Scope::UsersRead)?;
    }
    let member = state
        .host
        .db
        .run(move |conn| find(conn, caller.workspace, id))
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(member.user.version))
        .json(UserView::from(member)))
}

/// `PUT /api/v1/users/{id}`
#[utoipa::path(
    put, path = "/api/v1/users/{id}", tag = "identity", operation_id = "identity_users_update",
    params(("id" = UserId, Path, description = "The person")),
    request_body = UpdateUser,
    responses(
        (status = 200, description = "As they are now", body = UserView),
        (status = 403, description = "Not allowed, or the role is above the caller's own", body = common::Problem),
        (status = 404, description = "Nobody of this workspace", body = common::Problem),
        (status = 409, description = "The email address is taken, or this is the last owner", body = common::Problem),
        (status = 412, description = "Changed meanwhile", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<UserId>,
    version: IfMatch,
    language: Language,
    body: Json<UpdateUser>,
) -> Result<HttpResponse, Error> {
    let (id, now) = (id.into_inner(), state.now());
    if caller.subject != Subject::User(id) {
        caller.require(Scope::UsersWrite)?;
    }
    let known = state
        .host
        .db
        .run(move |conn| find(conn, caller.workspace, id))
        .await?;
    let change = Change::read(&state, &caller, &known, language, body.into_inner()).await?;
    let member = state
        .host
        .db
        .transaction(move |conn| {
            let actor = actor(conn, caller)?;
            let member = lock(conn, caller.workspace, id)?;
            let seen = version.0.unwrap_or(member.user.version);
            // Secrets were checked against what was read before the transaction.
            let same = member.user.password_hash == known.user.password_hash;
            if seen != member.user.version || !same {
                return Err(Error::Edited);
            }
            let given = change.allowed(conn, &actor, caller.workspace, &member)?;
            change.apply(conn, caller.workspace, member, given, now)
        })
        .await?;
    revoking::tell(&state).await;
    Ok(HttpResponse::Ok()
        .insert_header(etag(member.user.version))
        .json(UserView::from(member)))
}

/// A checked change of a member.
struct Change {
    name: Option<Name>,
    email: Option<EmailAddress>,
    role: Option<(Role, Option<RoleId>)>,
    password_hash: Option<String>,
    /// What whoever makes it reads.
    language: Language,
}

impl Change {
    async fn read(
        state: &State,
        caller: &Caller,
        known: &Member,
        language: Language,
        body: UpdateUser,
    ) -> Result<Self, Error> {
        let mut check = Check::default();
        let name = body
            .name
            .and_then(|name| check.take("/name", Name::parse(&name)));
        let email = body
            .email
            .and_then(|email| check.take("/email", EmailAddress::parse(&email)));
        let password = body
            .password
            .and_then(|text| check.take("/password", Password::parse(text.expose())));
        let new_email = email
            .as_ref()
            .is_some_and(|email| email.as_str() != known.user.email);
        let personal = new_email || password.is_some();
        if personal && caller.subject != Subject::User(known.user.id) {
            return Err(Error::NotYours);
        }
        if personal && body.current_password.is_none() {
            check.refuse(
                "/current_password",
                "is needed to change the email or the password",
            );
        }
        check.passed()?;
        if let Some(current) = body.current_password.filter(|_| personal) {
            prove(state, current, known).await?;
        }
        let password_hash = match password {
            Some(password) => Some(state.passwords.hash(password.into_secret()).await?),
            None => None,
        };
        Ok(Self {
            name,
            email,
            // An id alone says it as well.
            role: body
                .role
                .or(body.role_id.map(|_| Role::Custom))
                .map(|role| (role, body.role_id)),
            password_hash,
            language,
        })
    }

    /// What the member becomes, if that is another thing; fails unless the actor may do all this.
    fn allowed(
        &self,
        conn: &mut PgConnection,
        actor: &Actor,
        workspace: WorkspaceId,
        member: &Member,
    ) -> Result<Option<Standing>, Error> {
        let given = match self.role {
            Some((role, id)) => Some(standing(conn, workspace, role, id)?),
            None => None,
        };
        let given = given.filter(|given| !given.is_same_as(&member.standing));
        if given.is_some() || !actor.is(member.user.id) {
            actor.may_manage()?;
            actor.may_touch(&member.standing)?;
        }
        let Some(given) = given else { return Ok(None) };
        actor.may_touch(&given)?;
        keep_an_owner(conn, workspace, member)?;
        Ok(Some(given))
    }

    fn apply(
        self,
        conn: &mut PgConnection,
        workspace: WorkspaceId,
        mut member: Member,
        given: Option<Standing>,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Member, Error> {
        if let Some(name) = self.name {
            member.user.name = name.into_inner();
        }
        let mut ask = false;
        if let Some(email) = self.email {
            if email.key() != member.user.email_key {
                // Whoever reads the old address should know.
                let news = Notice::to(&member.user, News::EmailChanged, self.language, now);
                jobs::enqueue(conn, &news, now)?;
                for purpose in [Purpose::Reset, Purpose::Verify] {
                    mail_tokens::forget(conn, member.user.id, purpose.as_str())?;
                }
                member.user.email_verified_at = None;
                ask = true;
            }
            member.user.email_key = email.key();
            member.user.email = email.into();
        }
        if let Some(hash) = self.password_hash {
            member.user.password_hash = hash;
            let news = Notice::to(&member.user, News::PasswordChanged, self.language, now);
            jobs::enqueue(conn, &news, now)?;
            refresh_tokens::revoke_user(conn, member.user.id, now)?;
            revocations::add(conn, Revoked::Subject(Subject::User(member.user.id)))?;
        }
        if let Some(given) = given {
            members::set_role(conn, workspace, member.user.id, &given)?;
            member.standing = given;
            // The next token says what they are from now on.
            revocations::add(conn, Revoked::Subject(Subject::User(member.user.id)))?;
        }
        member.user = members::update_user(conn, &member.user, now).map_err(taken)?;
        if ask {
            jobs::enqueue(conn, &Verify::of(member.user.id, self.language), now)?;
        }
        Ok(member)
    }
}

/// Fails unless `current` is the person's password.
async fn prove(state: &State, current: Secret, known: &Member) -> Result<(), Error> {
    let stored = Some(known.user.password_hash.clone());
    match state.passwords.verify(current, stored).await? {
        Verdict::Wrong => {
            let mut check = Check::default();
            check.refuse("/current_password", "is not right");
            Err(check.refusal().into())
        }
        Verdict::Right | Verdict::Outdated(_) => Ok(()),
    }
}

/// `DELETE /api/v1/users/{id}`: takes a person out of the workspace. Their refresh tokens for it
/// go with them; who belongs to no other workspace is forgotten.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}", tag = "identity", operation_id = "identity_users_remove",
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "Not allowed, or their role is above the caller's own", body = common::Problem),
        (status = 404, description = "Nobody of this workspace", body = common::Problem),
        (status = 409, description = "The last owner", body = common::Problem),
    )
)]
pub(crate) async fn remove(
    state: Data<State>,
    caller: Caller,
    id: Path<UserId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersWrite)?;
    let id = id.into_inner();
    state
        .host
        .db
        .transaction(move |conn| {
            let actor = actor(conn, caller)?;
            let member = lock(conn, caller.workspace, id)?;
            actor.may_manage()?;
            actor.may_touch(&member.standing)?;
            keep_an_owner(conn, caller.workspace, &member)?;
            revocations::add(conn, Revoked::Subject(Subject::User(id)))?;
            Ok::<_, Error>(members::leave(conn, caller.workspace, id)?)
        })
        .await?;
    revoking::tell(&state).await;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /api/v1/users/{id}/sessions`: ends every sign-in that a person has in this workspace,
/// everywhere within a second.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/sessions", tag = "identity",
    operation_id = "identity_users_sign_out",
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 204, description = "Ended"),
        (status = 403, description = "Not allowed, or their role is above the caller's own", body = common::Problem),
        (status = 404, description = "Nobody of this workspace", body = common::Problem),
        (status = 503, description = "Sessions cannot be ended at the moment", body = common::Problem),
    )
)]
pub(crate) async fn sign_out(
    state: Data<State>,
    caller: Caller,
    id: Path<UserId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersWrite)?;
    let (id, now, workspace) = (id.into_inner(), state.now(), caller.workspace);
    state
        .host
        .db
        .run(move |conn| {
            let actor = actor(conn, caller)?;
            actor.may_manage()?;
            actor.may_touch(&find(conn, workspace, id)?.standing)
        })
        .await?;
    let browsers = sessions::of_person(&state, id).await?.into_iter();
    let here = browsers.filter(|session| session.workspace_id == workspace);
    let here: Vec<_> = here.map(|session| session.id).collect();
    for session in &here {
        sessions::end_by_id(&state, id, *session).await?;
    }
    state
        .host
        .db
        .transaction(move |conn| {
            let programs = refresh_tokens::living(conn, id, now)?.into_iter();
            let programs = programs.filter(|token| token.workspace_id == workspace);
            for sign_in in programs.map(|token| token.family).chain(here) {
                revocations::add(conn, Revoked::SignIn(sign_in))?;
            }
            Ok::<_, Error>(refresh_tokens::revoke_member(conn, workspace, id, now)?)
        })
        .await?;
    revoking::tell(&state).await;
    tracing::info!(user.id = %id, workspace.id = %workspace, by = %caller.subject, "sign-ins were ended");
    Ok(HttpResponse::NoContent().finish())
}

/// The caller with the role they have right now.
pub(crate) fn actor(conn: &mut PgConnection, caller: Caller) -> Result<Actor, Error> {
    let member = match caller.subject {
        Subject::User(id) => members::find(conn, caller.workspace, id)?,
        _ => None,
    };
    let standing = member.as_ref().map(|member| &member.standing);
    Ok(Actor::new(caller.0, standing))
}

/// A role that is given to somebody: `custom` needs the id of a role of the workspace.
pub(crate) fn standing(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    role: Role,
    id: Option<RoleId>,
) -> Result<Standing, Error> {
    let refuse = |detail: &str| InvalidInput::field("/role_id", detail);
    let custom = match (role, id) {
        (Role::Custom, Some(id)) => {
            let found = roles::find(conn, workspace, id)?;
            Some(found.ok_or_else(|| refuse("is not a role of this workspace"))?)
        }
        (Role::Custom, None) => return Err(refuse("is needed with the role custom").into()),
        (_, Some(_)) => return Err(refuse("goes with the role custom only").into()),
        (_, None) => None,
    };
    Ok(Standing { role, custom })
}

fn find(conn: &mut PgConnection, workspace: WorkspaceId, id: UserId) -> Result<Member, Error> {
    members::find(conn, workspace, id)?.ok_or(Error::UserNotFound(id))
}

/// The member, while nobody else changes who belongs to the workspace.
fn lock(conn: &mut PgConnection, workspace: WorkspaceId, id: UserId) -> Result<Member, Error> {
    workspaces::lock(conn, workspace)?.ok_or(Error::WorkspaceGone)?;
    find(conn, workspace, id)
}

/// Fails if `member` is the last owner and is about to stop being one.
fn keep_an_owner(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    member: &Member,
) -> Result<(), Error> {
    if member.standing.role == Role::Owner && members::owners(conn, workspace)? < 2 {
        return Err(Error::LastOwner);
    }
    Ok(())
}
