//! The caller's workspace.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, etag};
use chassis::outbox;
use common::auth::Scope;
use common::events::WorkspaceRenamed;
use serde::Deserialize;

use super::views::WorkspaceView;
use crate::domain::{Check, Name, Workspace};
use crate::error::Error;
use crate::state::State;
use crate::store::workspaces;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::UpdateWorkspace)]
pub(crate) struct UpdateWorkspace {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
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
    let workspace = state
        .host
        .db
        .transaction(move |conn| {
            let known = workspaces::lock(conn, caller.workspace)?.ok_or(Error::WorkspaceGone)?;
            if version.0.is_some_and(|seen| seen != known.version) {
                return Err(Error::Edited);
            }
            let workspace = workspaces::rename(conn, known.id, name.as_str(), now)?;
            let event = WorkspaceRenamed {
                workspace_id: workspace.id,
                name: workspace.name.clone(),
            };
            outbox::push(conn, workspace.id, &event)?;
            Ok(workspace)
        })
        .await?;
    Ok(answer(workspace))
}

fn answer(workspace: Workspace) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(workspace.version))
        .json(WorkspaceView::from(workspace))
}
