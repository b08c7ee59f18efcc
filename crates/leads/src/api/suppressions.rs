//! `/suppressions`

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::page::Page;
use common::values::EmailAddress;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Check, paging};
use crate::error::Error;
use crate::state::State;
use crate::store::suppressions::{self, REASONS, Suppression};

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::AddSuppression)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddSuppression {
    address: String,
    /// `manual` when absent.
    #[serde(default)]
    reason: Option<String>,
}

/// An address that nothing may be sent to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::SuppressionView)]
pub(crate) struct SuppressionView {
    id: Uuid,
    address: String,
    /// `unsubscribe`, `complaint`, `hard_bounce` or `manual`.
    reason: String,
    created_at: DateTime<Utc>,
}

impl From<Suppression> for SuppressionView {
    fn from(row: Suppression) -> Self {
        Self {
            id: row.id,
            address: row.address,
            reason: row.reason,
            created_at: row.created_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuppressionQuery {
    reason: Option<String>,
    /// One address.
    address: Option<String>,
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn known_reason(reason: &str) -> Result<(), String> {
    match REASONS.contains(&reason) {
        true => Ok(()),
        false => Err("must be one of unsubscribe, complaint, hard_bounce, manual".into()),
    }
}

/// `GET /suppressions`: newest first.
#[utoipa::path(
    get, path = "/api/v1/suppressions", tag = "leads", operation_id = "leads_suppressions_list",
    params(SuppressionQuery),
    responses((status = 200, description = "Suppressed addresses, newest first", body = Page<SuppressionView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<SuppressionQuery>,
) -> Result<Json<Page<SuppressionView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (query, workspace) = (query.into_inner(), caller.workspace);
    let (limit, before) = paging(query.limit, query.cursor.as_deref())?;
    let mut check = Check::default();
    if let Some(reason) = &query.reason {
        check.take("query/reason", known_reason(reason));
    }
    check.finish()?;
    let key = query.address.map(|address| address.trim().to_lowercase());
    let rows = state
        .host
        .db
        .run(move |conn| {
            let rows = suppressions::newest(conn, workspace, query.reason, key, before, limit + 1)?;
            Ok::<_, Error>(rows)
        })
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.id,
        SuppressionView::from,
    )))
}

/// `POST /suppressions`: doing it again changes nothing, except that a stronger reason replaces a
/// weaker one.
#[utoipa::path(
    post, path = "/api/v1/suppressions", tag = "leads", operation_id = "leads_suppressions_add",
    request_body = AddSuppression,
    responses(
        (status = 201, description = "The address is suppressed", body = SuppressionView),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn add(
    state: Data<State>,
    caller: Caller,
    body: Json<AddSuppression>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (body, mut check) = (body.into_inner(), Check::default());
    let address = check.take("/address", EmailAddress::parse(&body.address));
    let reason = body.reason.unwrap_or_else(|| "manual".into());
    check.take("/reason", known_reason(&reason));
    check.finish()?;
    let (workspace, now) = (caller.workspace, state.host.clock.now());
    let Some(address) = address else {
        return Err(Error::SuppressionNotFound(body.address));
    };
    let row = state
        .host
        .db
        .transaction(move |conn| {
            suppressions::add(conn, workspace, &address, &reason, now)?;
            suppressions::find(conn, workspace, &address.key())?
                .ok_or_else(|| Error::SuppressionNotFound(address.to_string()))
        })
        .await?;
    Ok(HttpResponse::Created().json(SuppressionView::from(row)))
}

/// `GET /suppressions/{id}`: by id or by address.
#[utoipa::path(
    get, path = "/api/v1/suppressions/{id}", tag = "leads", operation_id = "leads_suppressions_get",
    params(("id" = String, Path, description = "Its id, or the address")),
    responses(
        (status = 200, description = "The suppression", body = SuppressionView),
        (status = 404, description = "The address is not suppressed", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<String>,
) -> Result<Json<SuppressionView>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let row = state
        .host
        .db
        .run(move |conn| found(conn, workspace, &id))
        .await?;
    Ok(Json(row.into()))
}

/// `DELETE /suppressions/{id}`: by id or by address.
#[utoipa::path(
    delete, path = "/api/v1/suppressions/{id}", tag = "leads", operation_id = "leads_suppressions_lift",
    params(("id" = String, Path, description = "Its id, or the address")),
    responses(
        (status = 204, description = "The address may be written to again"),
        (status = 404, description = "The address is not suppressed", body = common::Problem),
    )
)]
pub(crate) async fn lift(
    state: Data<State>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    state
        .host
        .db
        .transaction(move |conn| {
            let row = found(conn, workspace, &id)?;
            let key = row.address.to_lowercase();
            suppressions::lift(conn, workspace, &key, None)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn found(
    conn: &mut diesel::PgConnection,
    workspace: common::WorkspaceId,
    id: &str,
) -> Result<Suppression, Error> {
    let row = match id.parse::<Uuid>() {
        Ok(id) => suppressions::find_by_id(conn, workspace, id)?,
        // No address holds a NUL, and Postgres refuses to look for one.
        Err(_) if id.contains('\0') => None,
        Err(_) => suppressions::find(conn, workspace, &id.to_lowercase())?,
    };
    row.ok_or_else(|| Error::SuppressionNotFound(id.to_owned()))
}
