//! Roles that a workspace makes for itself: sets of scopes.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Path, Query, etag};
use chassis::revocation::Revoked;
use chrono::{DateTime, Utc};
use common::RoleId;
use common::auth::{Scope, ScopeSet, Subject};
use common::page::{Page, PageQuery};
use serde::{Deserialize, Serialize};

use super::users::actor;
use crate::domain::{Check, CustomRole, Name};
use crate::error::Error;
use crate::revoking;
use crate::state::State;
use crate::store::{revocations, roles};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = identity::PutRole)]
pub(crate) struct PutRole {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// None that the caller does not have. What is not listed is denied.
    scopes: Vec<Scope>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::CustomRole)]
pub(crate) struct RoleView {
    id: RoleId,
    name: String,
    scopes: Vec<Scope>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<CustomRole> for RoleView {
    fn from(role: CustomRole) -> Self {
        Self {
            scopes: role.scope_set().iter().collect(),
            id: role.id,
            name: role.name,
            created_at: role.created_at,
            updated_at: role.updated_at,
        }
    }
}

impl PutRole {
    /// Name and scopes; nobody hands on what they do not have.
    fn checked(self, caller: &Caller) -> Result<(Name, ScopeSet), Error> {
        let mut check = Check::default();
        let name = check.take("/name", Name::parse(&self.name));
        let name = name.ok_or_else(|| check.refusal())?;
        for scope in &self.scopes {
            caller.require(*scope)?;
        }
        Ok((name, ScopeSet::of(&self.scopes)))
    }
}

fn names(scopes: ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.to_string()).collect()
}

fn taken(error: diesel::result::Error) -> Error {
    match chassis::error::violated_unique(&error) {
        Some("roles_name") => Error::RoleNameTaken,
        _ => Error::Query(error),
    }
}

/// `GET /api/v1/roles`
#[utoipa::path(
    get, path = "/api/v1/roles", tag = "identity", operation_id = "identity_roles_list",
    params(PageQuery),
    responses((status = 200, description = "The workspace's own roles", body = Page<RoleView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<RoleView>>, Error> {
    caller.require(Scope::UsersRead)?;
    let mut check = Check::default();
    let limit = check.take("query/limit", query.limit());
    let after = check.take("query/cursor", query.after::<RoleId>());
    check.passed()?;
    let (limit, after) = (limit.unwrap_or_default(), after.flatten());
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(roles::page(conn, caller.workspace, after, limit + 1)?))
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |role| role.id,
        RoleView::from,
    )))
}

/// `GET /api/v1/roles/{id}`
#[utoipa::path(
    get, path = "/api/v1/roles/{id}", tag = "identity", operation_id = "identity_roles_get",
    params(("id" = RoleId, Path, description = "The role")),
    responses(
        (status = 200, description = "The role", body = RoleView),
        (status = 404, description = "No role of this workspace", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<RoleId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersRead)?;
    let id = id.into_inner();
    let role = state
        .host
        .db
        .run(move |conn| roles::find(conn, caller.workspace, id)?.ok_or(Error::RoleNotFound(id)))
        .await?;
    Ok(answer(role))
}

/// `POST /api/v1/roles`
#[utoipa::path(
    post, path = "/api/v1/roles", tag = "identity", operation_id = "identity_roles_create",
    request_body = PutRole,
    responses(
        (status = 201, description = "The new role", body = RoleView),
        (status = 403, description = "Not allowed, or a scope that the caller does not have", body = common::Problem),
        (status = 409, description = "The name is taken", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<PutRole>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersWrite)?;
    let (name, scopes) = body.into_inner().checked(&caller)?;
    let now = state.now();
    let role = CustomRole {
        workspace_id: caller.workspace,
        id: RoleId::new(),
        name: name.into_inner(),
        scopes: names(scopes),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let role = state
        .host
        .db
        .transaction(move |conn| {
            actor(conn, caller)?.may_manage()?;
            roles::insert(conn, &role).map_err(taken)?;
            Ok::<_, Error>(role)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/roles/{}", role.id)))
        .insert_header(etag(role.version))
        .json(RoleView::from(role)))
}

/// `PUT /api/v1/roles/{id}`: whoever has the role has its new scopes within a second.
#[utoipa::path(
    put, path = "/api/v1/roles/{id}", tag = "identity", operation_id = "identity_roles_update",
    params(("id" = RoleId, Path, description = "The role")),
    request_body = PutRole,
    responses(
        (status = 200, description = "As it is now", body = RoleView),
        (status = 403, description = "Not allowed, or a scope that the caller does not have", body = common::Problem),
        (status = 404, description = "No role of this workspace", body = common::Problem),
        (status = 409, description = "The name is taken", body = common::Problem),
        (status = 412, description = "Changed meanwhile", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<RoleId>,
    version: IfMatch,
    body: Json<PutRole>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersWrite)?;
    let (name, scopes) = body.into_inner().checked(&caller)?;
    let (id, now) = (id.into_inner(), state.now());
    let role = state
        .host
        .db
        .transaction(move |conn| {
            let known = roles::lock(conn, caller.workspace, id)?.ok_or(Error::RoleNotFound(id))?;
            if version.0.is_some_and(|seen| seen != known.version) {
                return Err(Error::Edited);
            }
            reach(conn, caller, &known)?;
            let changed = CustomRole {
                name: name.into_inner(),
                scopes: names(scopes),
                ..known
            };
            let role = roles::update(conn, &changed, now).map_err(taken)?;
            for user in roles::holders(conn, caller.workspace, id)? {
                revocations::add(conn, Revoked::Subject(Subject::User(user)))?;
            }
            Ok(role)
        })
        .await?;
    revoking::tell(&state).await;
    Ok(answer(role))
}

/// Fails if the role has scopes that whoever asks does not have.
fn reach(conn: &mut diesel::PgConnection, caller: Caller, role: &CustomRole) -> Result<(), Error> {
    let actor = actor(conn, caller)?;
    actor.may_manage()?;
    actor.may_touch(&crate::domain::Standing {
        role: common::auth::Role::Custom,
        custom: Some(role.clone()),
    })
}

/// `DELETE /api/v1/roles/{id}`: with the invitations to it. One that somebody has stays.
#[utoipa::path(
    delete, path = "/api/v1/roles/{id}", tag = "identity", operation_id = "identity_roles_delete",
    params(("id" = RoleId, Path, description = "The role")),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "Not allowed, or it reaches further than the caller", body = common::Problem),
        (status = 404, description = "No role of this workspace", body = common::Problem),
        (status = 409, description = "Somebody has it", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<RoleId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::UsersWrite)?;
    let id = id.into_inner();
    state
        .host
        .db
        .transaction(move |conn| {
            let known = roles::lock(conn, caller.workspace, id)?.ok_or(Error::RoleNotFound(id))?;
            reach(conn, caller, &known)?;
            if !roles::holders(conn, caller.workspace, id)?.is_empty() {
                return Err(Error::RoleInUse);
            }
            roles::delete(conn, caller.workspace, id)?;
            Ok(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn answer(role: CustomRole) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag(role.version))
        .json(RoleView::from(role))
}
