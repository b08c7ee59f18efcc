//! The caller's workspace.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Origin, Path, etag};
use chassis::outbox;
use chassis::revocation::Revoked;
use common::auth::{Role, Scope, Subject};
use common::events::WorkspaceRenamed;
use common::{RoleId, WorkspaceId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};

use super::accounts::signed_in;
use super::sessions::person;
use super::views::{SignedIn, WorkspaceView};
use crate::domain::{Check, Name, Standing, Workspace};
use crate::error::Error;
use crate::settings::Registration;
use crate::state::State;
use crate::store::{authenticators, members, revocations, workspaces};
use crate::{bootstrap, revoking, sessions, tokens};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::UpdateWorkspace)]
pub(crate) struct UpdateWorkspace {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Whether strangers may join as customers; stays as it is when absent.
    customer_registration: Option<bool>,
    /// Whether whoever has no second factor may do nothing here until they set one up; stays as it
    /// is when absent. Only somebody who has one may begin to demand it.
    second_factor_required: Option<bool>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::OpenWorkspace)]
pub(crate) struct OpenWorkspace {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// A workspace, and what the caller is in it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::OwnWorkspace)]
pub(crate) struct OwnWorkspace {
    #[serde(flatten)]
    workspace: WorkspaceView,
    role: Role,
    role_id: Option<RoleId>,
    /// Whether this request is about it.
    current: bool,
}

/// The caller's workspaces.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::OwnWorkspaces)]
pub(crate) struct OwnWorkspaces {
    items: Vec<OwnWorkspace>,
}

/// `GET /api/v1/workspaces`: what the caller belongs to, the longest first.
#[utoipa::path(
    get, path = "/api/v1/workspaces", tag = "identity", operation_id = "identity_workspaces_list",
    responses(
        (status = 200, description = "The workspaces", body = OwnWorkspaces),
        (status = 403, description = "Keys belong to one workspace", body = common::Problem),
    )
)]
pub(crate) async fn list(state: Data<State>, caller: Caller) -> Result<Json<OwnWorkspaces>, Error> {
    let user = person(&caller)?;
    let all = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(members::workspaces_of(conn, user)?))
        .await?;
    let own = |(workspace, standing): (Workspace, Standing)| OwnWorkspace {
        role: standing.role,
        role_id: standing.role_id(),
        current: workspace.id == caller.workspace,
        workspace: workspace.into(),
    };
    let items = all.into_iter().map(own).collect();
    Ok(Json(OwnWorkspaces { items }))
}

/// `POST /api/v1/workspaces`: one more workspace, with the caller as its owner.
#[utoipa::path(
    post, path = "/api/v1/workspaces", tag = "identity", operation_id = "identity_workspaces_open",
    request_body = OpenWorkspace,
    responses(
        (status = 201, description = "The new workspace", body = WorkspaceView),
        (status = 403, description = "Registration is closed, or a key asks", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn open(
    state: Data<State>,
    caller: Caller,
    body: Json<OpenWorkspace>,
) -> Result<HttpResponse, Error> {
    let user = person(&caller)?;
    if state.registration == Registration::Closed {
        return Err(Error::RegistrationClosed);
    }
    let mut check = Check::default();
    let name = check.take("/name", Name::parse(&body.name));
    let (name, now) = (name.ok_or_else(|| check.refusal())?, state.now());
    let workspace = Workspace::new(name.into_inner(), now);
    let workspace = state
        .host
        .db
        .transaction(move |conn| {
            members::by_id(conn, user)?.ok_or(Error::UserNotFound(user))?;
            bootstrap::found(conn, &workspace)?;
            members::join(conn, workspace.id, user, &Role::Owner.into(), now)?;
            Ok::<_, Error>(workspace)
        })
        .await?;
    Ok(HttpResponse::Created().json(WorkspaceView::from(workspace)))
}

/// `POST /api/v1/workspaces/{id}/switch`: tokens for another workspace of the caller.
#[utoipa::path(
    post, path = "/api/v1/workspaces/{id}/switch", tag = "identity",
    operation_id = "identity_workspaces_switch",
    params(("id" = WorkspaceId, Path, description = "The other workspace")),
    responses(
        (status = 200, description = "Signed in there as well", body = SignedIn),
        (status = 403, description = "Keys belong to one workspace", body = common::Problem),
        (status = 404, description = "The caller does not belong to it", body = common::Problem),
        (status = 503, description = "Nobody can sign in at the moment", body = common::Problem),
    )
)]
pub(crate) async fn switch(
    state: Data<State>,
    caller: Caller,
    origin: Origin,
    id: Path<WorkspaceId>,
) -> Result<Json<SignedIn>, Error> {
    let (user, id, now) = (person(&caller)?, id.into_inner(), state.now());
    sessions::reachable(&state).await?;
    let (member, workspace, sign_in) = state
        .host
        .db
        .transaction(move |conn| {
            let workspace = workspaces::find(conn, id)?.ok_or(Error::WorkspaceGone)?;
            let member = members::find(conn, id, user)?.ok_or(Error::WorkspaceGone)?;
            let sign_in = tokens::start_family(conn, id, user, &origin, now)?;
            Ok::<_, Error>((member, workspace, sign_in))
        })
        .await?;
    signed_in(&state, member, workspace, sign_in)
        .await
        .map(Json)
}

/// `GET /api/v1/workspaces/current`
#[utoipa::path(
    get, path = "/api/v1/workspaces/current", tag = "identity",
    operation_id = "identity_workspace_get",
    responses((status = 200, description = "The caller's workspace", body = WorkspaceView))
)]
pub(crate) async fn get(state: Data<State>, caller: Caller) -> Result<HttpResponse, Error> {
    caller.require(Scope::WorkspaceRead)?;
    let workspace = state
        .host
        .db
        .run(move |conn| workspaces::find(conn, caller.workspace)?.ok_or(Error::WorkspaceGone))
        .await?;
    Ok(answer(workspace))
}

/// `PUT /api/v1/workspaces/current`
#[utoipa::path(
    put, path = "/api/v1/workspaces/current", tag = "identity",
    operation_id = "identity_workspace_update",
    request_body = UpdateWorkspace,
    responses(
        (status = 200, description = "As it is now", body = WorkspaceView),
        (status = 409, description = "`no_second_factor`: who demands one must have one", body = common::Problem),
        (status = 412, description = "Changed meanwhile", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    version: IfMatch,
    body: Json<UpdateWorkspace>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::WorkspaceWrite)?;
    let mut check = Check::default();
    let name = check.take("/name", Name::parse(&body.name));
    let (name, now) = (name.ok_or_else(|| check.refusal())?, state.now());
    let (open, demand) = (body.customer_registration, body.second_factor_required);
    let workspace = state
        .host
        .db
        .transaction(move |conn| {
            let known = workspaces::lock(conn, caller.workspace)?.ok_or(Error::WorkspaceGone)?;
            if version.0.is_some_and(|seen| seen != known.version) {
                return Err(Error::Edited);
            }
            let changed = Workspace {
                name: name.into_inner(),
                customer_registration: open.unwrap_or(known.customer_registration),
                second_factor_required: demand.unwrap_or(known.second_factor_required),
                ..known.clone()
            };
            if changed.second_factor_required && !known.second_factor_required {
                demand_factor(conn, &caller)?;
            }
            let workspace = workspaces::update(conn, &changed, now)?;
            if workspace.name == known.name {
                return Ok(workspace);
            }
            let event = WorkspaceRenamed {
                workspace_id: workspace.id,
                name: workspace.name.clone(),
            };
            outbox::push(conn, workspace.id, &event)?;
            Ok(workspace)
        })
        .await?;
    revoking::tell(&state).await;
    Ok(answer(workspace))
}

/// From now on nobody acts here without a second factor; tokens that say otherwise end. Whoever
/// has none themselves would lock themselves out with the rest.
fn demand_factor(conn: &mut PgConnection, caller: &Caller) -> Result<(), Error> {
    let has_one = match caller.subject {
        Subject::User(user) => authenticators::counts(conn, user)?,
        _ => false,
    };
    if !has_one {
        return Err(Error::NoSecondFactor);
    }
    for user in members::without_factor(conn, caller.workspace)? {
        revocations::add(conn, Revoked::Subject(Subject::User(user)))?;
    }
    Ok(())
}

fn answer(workspace: Workspace) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(workspace.version))
        .json(WorkspaceView::from(workspace))
}
