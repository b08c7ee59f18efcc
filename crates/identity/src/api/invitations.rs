//! Offers to belong to a workspace.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::{Caller, Denied};
use chassis::http::{Json, Language, Path, Query};
use chassis::jobs;
use chrono::{DateTime, Duration, Utc};
use common::auth::{Role, Scope};
use common::page::{Page, PageQuery};
use common::values::{EmailAddress, Secret};
use common::{InvitationId, RoleId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};

use super::users::{actor, standing};
use super::views::{UserView, WorkspaceView};
use crate::bootstrap;
use crate::domain::{Check, Member, Name, Password, Standing, User, Workspace};
use crate::error::Error;
use crate::mails::Invite;
use crate::state::State;
use crate::store::invitations::{self, Invitation};
use crate::store::{members, roles, workspaces};
use crate::tokens;

/// How long an invitation stands.
const DAYS: i64 = 7;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::Invite)]
pub(crate) struct NewInvitation {
    #[schema(format = "email")]
    email: String,
    /// At most the caller's own.
    role: Role,
    /// Which role of the workspace's own, when it is `custom`.
    role_id: Option<RoleId>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Invitation)]
pub(crate) struct InvitationView {
    id: InvitationId,
    #[schema(format = "email")]
    email: String,
    role: Role,
    role_id: Option<RoleId>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<Invitation> for InvitationView {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email,
            role: Role::parse(&invitation.role).unwrap_or(Role::Customer),
            role_id: invitation.role_id,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

/// `POST /api/v1/invitations`: mails an invitation. One to the same address is replaced by it.
#[utoipa::path(
    post, path = "/api/v1/invitations", tag = "identity", operation_id = "identity_invitations_create",
    request_body = NewInvitation,
    responses(
        (status = 201, description = "A mail is on its way", body = InvitationView),
        (status = 403, description = "Not allowed, or the role is above the caller's own", body = common::Problem),
        (status = 409, description = "They belong to the workspace already", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Result<Caller, Denied>,
    language: Language,
    body: Json<NewInvitation>,
) -> Result<HttpResponse, Error> {
    let caller = caller?;
    caller.require(Scope::UsersWrite)?;
    let (body, now) = (body.into_inner(), state.now());
    let mut check = Check::default();
    let email = check.take("/email", EmailAddress::parse(&body.email));
    let email = email.ok_or_else(|| check.refusal())?;
    let invitation = state
        .host
        .db
        .transaction(move |conn| {
            let actor = actor(conn, caller)?;
            actor.may_manage()?;
            let standing = standing(conn, caller.workspace, body.role, body.role_id)?;
            actor.may_touch(&standing)?;
            if let Some(known) = members::by_email(conn, &email.key())?
                && members::find(conn, caller.workspace, known.id)?.is_some()
            {
                return Err(Error::MemberAlready);
            }
            let invitation = Invitation {
                workspace_id: caller.workspace,
                id: InvitationId::new(),
                email_key: email.key(),
                email: email.into(),
                role: standing.role.as_str().to_owned(),
                role_id: standing.role_id(),
                invited_by: caller.subject.to_string(),
                hash: None,
                created_at: now,
                expires_at: now + Duration::days(DAYS),
            };
            invitations::put(conn, &invitation)?;
            let mail = Invite::of(caller.workspace, invitation.id, language);
            jobs::enqueue(conn, &mail, now)?;
            Ok(invitation)
        })
        .await?;
    Ok(HttpResponse::Created().json(InvitationView::from(invitation)))
}

/// `GET /api/v1/invitations`: those that nobody has taken yet.
#[utoipa::path(
    get, path = "/api/v1/invitations", tag = "identity", operation_id = "identity_invitations_list",
    params(PageQuery),
    responses((status = 200, description = "The invitations", body = Page<InvitationView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Result<Caller, Denied>,
    query: Query<PageQuery>,
) -> Result<Json<Page<InvitationView>>, Error> {
    let caller = caller?;
    caller.require(Scope::UsersRead)?;
    let mut check = Check::default();
    let limit = check.take("query/limit", query.limit());
    let after = check.take("query/cursor", query.after::<InvitationId>());
    check.passed()?;
    let (limit, after) = (limit.unwrap_or_default(), after.flatten());
    let rows = state
        .host
        .db
        .run(move |conn| {
            Ok::<_, Error>(invitations::page(conn, caller.workspace, after, limit + 1)?)
        })
        .await?;
    let page = Page::from_rows(rows, limit, |row| row.id, InvitationView::from);
    Ok(Json(page))
}

/// `DELETE /api/v1/invitations/{id}`: withdraws it; the link in the mail works no more.
#[utoipa::path(
    delete, path = "/api/v1/invitations/{id}", tag = "identity",
    operation_id = "identity_invitations_delete",
    params(("id" = InvitationId, Path, description = "The invitation")),
    responses(
        (status = 204, description = "Withdrawn"),
        (status = 404, description = "None of this workspace", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Result<Caller, Denied>,
    id: Path<InvitationId>,
) -> Result<HttpResponse, Error> {
    let (caller, id) = (caller?, id.into_inner());
    caller.require(Scope::UsersWrite)?;
    let deleted = state
        .host
        .db
        .transaction(move |conn| {
            actor(conn, caller)?.may_manage()?;
            Ok::<_, Error>(invitations::delete(conn, caller.workspace, id)?)
        })
        .await?;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::InvitationNotFound(id)),
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::AcceptInvitation)]
pub(crate) struct AcceptInvitation {
    /// From the mail.
    #[schema(value_type = String)]
    token: Secret,
    /// Of somebody who has no account yet; not looked at otherwise.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(value_type = Option<String>, format = "password", min_length = 8, max_length = 128)]
    password: Option<Secret>,
}

/// A member who has just come.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Accepted)]
pub(crate) struct Accepted {
    user: UserView,
    workspace: WorkspaceView,
}

/// `POST /api/v1/invitations/accept`: becomes a member, with the account of the address or a new
/// one. Nobody is signed in by it.
#[utoipa::path(
    post, path = "/api/v1/invitations/accept", tag = "identity",
    operation_id = "identity_invitations_accept", request_body = AcceptInvitation, security(()),
    responses(
        (status = 200, description = "A member from now on", body = Accepted),
        (status = 409, description = "A member already", body = common::Problem),
        (status = 422, description = "`link_invalid`: taken, withdrawn, too old or unknown; `invalid_input`: a new account needs a name and a password", body = common::Problem),
    )
)]
pub(crate) async fn accept(
    state: Data<State>,
    body: Json<AcceptInvitation>,
) -> Result<Json<Accepted>, Error> {
    let body = body.into_inner();
    let (member, workspace) = join(&state, &body.token, body.name, body.password).await?;
    Ok(Json(Accepted {
        user: member.into(),
        workspace: workspace.into(),
    }))
}

/// An invitation as whoever holds its secret sees it, and whether they have an account.
pub(crate) fn look(
    conn: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<(Invitation, Workspace, Option<User>)>, Error> {
    let Some(invitation) = invitations::by_hash(conn, hash, now)? else {
        return Ok(None);
    };
    let workspace = workspaces::find(conn, invitation.workspace_id)?;
    let user = members::by_email(conn, &invitation.email_key)?;
    Ok(workspace.map(|workspace| (invitation, workspace, user)))
}

/// Makes whoever holds the secret a member.
pub(crate) async fn join(
    state: &State,
    token: &Secret,
    name: Option<String>,
    password: Option<Secret>,
) -> Result<(Member, Workspace), Error> {
    let (hash, now) = (tokens::hash(token.expose()), state.now());
    let known = hash.clone();
    let (_, _, user) = state
        .host
        .db
        .run(move |conn| look(conn, &known, now)?.ok_or(Error::LinkInvalid))
        .await?;
    let fresh = match user {
        Some(_) => None,
        None => Some(account(state, name, password).await?),
    };
    state
        .host
        .db
        .transaction(move |conn| {
            let (invitation, workspace, user) =
                look(conn, &hash, now)?.ok_or(Error::LinkInvalid)?;
            let standing = offered(conn, &invitation)?;
            if !invitations::delete(conn, workspace.id, invitation.id)? {
                return Err(Error::LinkInvalid);
            }
            let user = match (user, fresh) {
                (Some(user), _) => {
                    if members::find(conn, workspace.id, user.id)?.is_some() {
                        return Err(Error::MemberAlready);
                    }
                    members::join(conn, workspace.id, user.id, &standing, now)?;
                    // They read the mail.
                    members::verify_email(conn, user.id, &invitation.email_key, now)?
                        .unwrap_or(user)
                }
                (None, Some((name, password_hash))) => {
                    let email = EmailAddress::parse(&invitation.email).map_err(Error::internal)?;
                    let user = User {
                        email_verified_at: Some(now),
                        ..bootstrap::new_user(&email, name.as_str(), password_hash, now)
                    };
                    bootstrap::add_member(conn, &workspace, &user, &standing, now)?;
                    user
                }
                // Their account went away at this moment.
                (None, None) => return Err(Error::Edited),
            };
            Ok((Member { user, standing }, workspace))
        })
        .await
}

/// What the invitation makes of somebody. A role that was deleted meanwhile took it along.
fn offered(conn: &mut PgConnection, invitation: &Invitation) -> Result<Standing, Error> {
    let custom = match invitation.role_id {
        Some(id) => {
            Some(roles::find(conn, invitation.workspace_id, id)?.ok_or(Error::LinkInvalid)?)
        }
        None => None,
    };
    Ok(Standing::read(&invitation.role, custom))
}

/// Name and password hash of a new account.
async fn account(
    state: &State,
    name: Option<String>,
    password: Option<Secret>,
) -> Result<(Name, String), Error> {
    let mut check = Check::default();
    let name = check.take("/name", Name::parse(&name.unwrap_or_default()));
    let password = password.unwrap_or_else(|| Secret::new(""));
    let password = check.take("/password", Password::parse(password.expose()));
    match (name, password) {
        (Some(name), Some(password)) => {
            let hash = state.passwords.hash(password.into_secret()).await?;
            Ok((name, hash))
        }
        _ => Err(check.refusal().into()),
    }
}
