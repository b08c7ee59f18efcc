//! `/lists`

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Path, Query, etag};
use chrono::{DateTime, Utc};
use common::ListId;
use common::auth::Scope;
use common::page::{Page, PageQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Check, name, paging, present};
use crate::domain::lead;
use crate::error::Error;
use crate::state::State;
use crate::store::lists::List;
use crate::store::{self, forms, members, segments};

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::CreateList)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateList {
    name: String,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::UpdateList)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateList {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
}

/// What people consent to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::ListView)]
pub(crate) struct ListView {
    id: ListId,
    name: String,
    description: Option<String>,
    /// Members by status; only when one list is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<MemberCounts>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// How many members a list has.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = leads::MemberCounts)]
pub(crate) struct MemberCounts {
    confirmed: i64,
    unconfirmed: i64,
    unsubscribed: i64,
}

impl From<List> for ListView {
    fn from(list: List) -> Self {
        Self {
            id: list.id,
            name: list.name,
            description: list.description,
            members: None,
            created_at: list.created_at,
            updated_at: list.updated_at,
        }
    }
}

fn described(check: &mut Check, given: Option<String>) -> Option<String> {
    let line = lead::line(&given.unwrap_or_default(), 1_000);
    check.take("/description", line).flatten()
}

/// `GET /lists`: newest first.
#[utoipa::path(
    get, path = "/api/v1/lists", tag = "leads", operation_id = "leads_lists_list",
    params(PageQuery),
    responses((status = 200, description = "Lists, newest first", body = Page<ListView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<ListView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let workspace = caller.workspace;
    let (limit, before) = paging(query.limit, query.cursor.as_deref())?;
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(store::lists::newest(conn, workspace, before, limit + 1)?))
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |list| list.id,
        ListView::from,
    )))
}

/// `POST /lists`
#[utoipa::path(
    post, path = "/api/v1/lists", tag = "leads", operation_id = "leads_lists_create",
    request_body = CreateList,
    responses(
        (status = 201, description = "The new list", body = ListView),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<CreateList>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (body, mut check, now) = (body.into_inner(), Check::default(), state.host.clock.now());
    let list = List {
        workspace_id: caller.workspace,
        id: ListId::new(),
        name: name(&mut check, "/name", &body.name),
        description: described(&mut check, body.description),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    check.finish()?;
    let list = state
        .host
        .db
        .run(move |conn| {
            store::lists::insert(conn, &list)?;
            Ok::<_, Error>(list)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(etag(list.version))
        .json(ListView::from(list)))
}

/// `GET /lists/{id}`
#[utoipa::path(
    get, path = "/api/v1/lists/{id}", tag = "leads", operation_id = "leads_lists_get",
    params(("id" = ListId, Path, description = "The list")),
    responses(
        (status = 200, description = "The list, with its members counted", body = ListView),
        (status = 404, description = "No such list", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<ListId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let (list, counts) = state
        .host
        .db
        .run(move |conn| {
            let list = store::lists::find(conn, workspace, id)?.ok_or(Error::ListNotFound(id))?;
            Ok::<_, Error>((list, members::counts(conn, workspace, id)?))
        })
        .await?;
    let of = |status: &str| {
        let found = counts.iter().find(|(known, _)| known == status);
        found.map_or(0, |(_, count)| *count)
    };
    let version = list.version;
    let members = Some(MemberCounts {
        confirmed: of("confirmed"),
        unconfirmed: of("unconfirmed"),
        unsubscribed: of("unsubscribed"),
    });
    Ok(HttpResponse::Ok()
        .insert_header(etag(version))
        .json(ListView {
            members,
            ..list.into()
        }))
}

/// `PATCH /lists/{id}`
#[utoipa::path(
    patch, path = "/api/v1/lists/{id}", tag = "leads", operation_id = "leads_lists_update",
    params(("id" = ListId, Path, description = "The list")),
    request_body = UpdateList,
    responses(
        (status = 200, description = "The list as it is now", body = ListView),
        (status = 404, description = "No such list", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<ListId>,
    seen: IfMatch,
    body: Json<UpdateList>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    let (body, mut check) = (body.into_inner(), Check::default());
    let new_name = body.name.map(|given| name(&mut check, "/name", &given));
    let description = body.description.map(|given| described(&mut check, given));
    check.finish()?;
    let list = state
        .host
        .db
        .transaction(move |conn| {
            let mut list =
                store::lists::lock(conn, workspace, id)?.ok_or(Error::ListNotFound(id))?;
            if seen.0.is_some_and(|version| version != list.version) {
                return Err(Error::VersionMismatch);
            }
            list.name = new_name.unwrap_or(list.name);
            list.description = description.unwrap_or(list.description);
            list.version += 1;
            list.updated_at = now;
            store::lists::update(conn, &list)?;
            Ok(list)
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(list.version))
        .json(ListView::from(list)))
}

/// `DELETE /lists/{id}`
#[utoipa::path(
    delete, path = "/api/v1/lists/{id}", tag = "leads", operation_id = "leads_lists_delete",
    params(("id" = ListId, Path, description = "The list")),
    responses(
        (status = 204, description = "The list and its memberships are gone"),
        (status = 404, description = "No such list", body = common::Problem),
        (status = 409, description = "A segment or a form names it", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<ListId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    state
        .host
        .db
        .transaction(move |conn| {
            segments::lock_rules(conn, workspace)?;
            store::lists::lock(conn, workspace, id)?.ok_or(Error::ListNotFound(id))?;
            if let Some(segment) = segments::naming_list(conn, workspace, id)? {
                return Err(Error::ListInUse(id, segment));
            }
            if let Some(form) = forms::naming_list(conn, workspace, id)? {
                return Err(Error::ListInForm(id, form));
            }
            store::lists::delete(conn, workspace, id)?;
            Ok(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
