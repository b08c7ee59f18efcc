//! `/api/v1/templates`: reusable content.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::{Caller, ServiceCaller};
use chassis::http::{IfMatch, Json, Path, Query, Valid, etag};
use chassis::outbox;
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::dto::dispatch::Content;
use common::dto::template::TemplateCopy;
use common::events::{TemplateDeleted, TemplateSaved};
use common::json::Stored;
use common::page::{Page, PageQuery};
use common::{TemplateId, WorkspaceId};
use diesel::{PgConnection, QueryResult};
use garde::Validate;
use serde::{Deserialize, Serialize};

use super::bad_query;
use crate::State;
use crate::domain::content;
use crate::error::Error;
use crate::store::templates::{self, Template};

/// A template as it is written, whole.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(as = campaigns::WriteTemplate)]
pub(crate) struct WriteTemplate {
    #[garde(length(min = 1, max = 200))]
    name: String,
    #[serde(default)]
    #[garde(length(max = 1000))]
    subject: String,
    #[serde(default)]
    #[garde(length(max = 1000))]
    preheader: String,
    content: Content,
}

/// A template, as it is answered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::TemplateView)]
pub(crate) struct TemplateView {
    id: TemplateId,
    name: String,
    subject: String,
    preheader: String,
    content: Content,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Template> for TemplateView {
    fn from(template: Template) -> Self {
        Self {
            id: template.id,
            name: template.name,
            subject: template.subject,
            preheader: template.preheader,
            content: template.content.0,
            version: template.version,
            created_at: template.created_at,
            updated_at: template.updated_at,
        }
    }
}

impl From<Template> for TemplateCopy {
    fn from(template: Template) -> Self {
        Self {
            version: template.version,
            subject: template.subject,
            preheader: template.preheader,
            content: template.content.0,
        }
    }
}

/// `POST /templates`
#[utoipa::path(
    post, path = "/api/v1/templates", operation_id = "templates_create", tag = "campaigns",
    request_body = WriteTemplate,
    responses(
        (status = 201, description = "The template", body = TemplateView),
        (status = 422, description = "It does not compile; line and column say where", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Valid<WriteTemplate>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let (now, body) = (state.host.clock.now(), body.into_inner());
    content::check(&body.subject, &body.preheader, &body.content)?;
    let template = Template {
        workspace_id: caller.workspace,
        id: TemplateId::new(),
        name: body.name,
        subject: body.subject,
        preheader: body.preheader,
        content: Stored(body.content),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let stored = template.clone();
    state
        .host
        .db
        .transaction(move |conn| {
            templates::insert(conn, &stored)?;
            Ok::<_, Error>(tell_saved(conn, &stored)?)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(("location", format!("/api/v1/templates/{}", template.id)))
        .insert_header(etag(template.version))
        .json(TemplateView::from(template)))
}

/// `GET /templates`
#[utoipa::path(
    get, path = "/api/v1/templates", operation_id = "templates_list", tag = "campaigns",
    params(PageQuery),
    responses((status = 200, description = "A page, newest first", body = Page<TemplateView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let limit = query.limit().map_err(bad_query("limit"))?;
    let before: Option<TemplateId> = query.after().map_err(bad_query("cursor"))?;
    let workspace = caller.workspace;
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(templates::page(conn, workspace, before, limit + 1)?))
        .await?;
    let page = Page::from_rows(rows, limit, |template| template.id, TemplateView::from);
    Ok(HttpResponse::Ok().json(page))
}

/// `GET /templates/{id}`
#[utoipa::path(
    get, path = "/api/v1/templates/{id}", operation_id = "templates_get", tag = "campaigns",
    params(("id" = TemplateId, Path, description = "The template")),
    responses(
        (status = 200, description = "The template", body = TemplateView),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<TemplateId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let find =
        move |conn: &mut _| templates::get(conn, workspace, id)?.ok_or(Error::TemplateNotFound(id));
    let template = state.host.db.run(find).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(template.version))
        .json(TemplateView::from(template)))
}

/// `PUT /templates/{id}`
#[utoipa::path(
    put, path = "/api/v1/templates/{id}", operation_id = "templates_replace", tag = "campaigns",
    params(("id" = TemplateId, Path, description = "The template")),
    request_body = WriteTemplate,
    responses(
        (status = 200, description = "The template as it is now", body = TemplateView),
        (status = 404, description = "There is none", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "It does not compile", body = common::Problem),
    )
)]
pub(crate) async fn replace(
    state: Data<State>,
    caller: Caller,
    id: Path<TemplateId>,
    seen: IfMatch,
    body: Valid<WriteTemplate>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    let body = body.into_inner();
    content::check(&body.subject, &body.preheader, &body.content)?;
    let template = state
        .host
        .db
        .transaction(move |conn| {
            let old = templates::lock(conn, workspace, id)?.ok_or(Error::TemplateNotFound(id))?;
            if seen.0.is_some_and(|version| version != old.version) {
                return Err(Error::Changed(old.version));
            }
            let template = Template {
                name: body.name,
                subject: body.subject,
                preheader: body.preheader,
                content: Stored(body.content),
                version: old.version + 1,
                updated_at: now,
                ..old
            };
            templates::update(conn, &template)?;
            tell_saved(conn, &template)?;
            Ok(template)
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(template.version))
        .json(TemplateView::from(template)))
}

/// `DELETE /templates/{id}`: campaigns keep the copy they were made with.
#[utoipa::path(
    delete, path = "/api/v1/templates/{id}", operation_id = "templates_delete", tag = "campaigns",
    params(("id" = TemplateId, Path, description = "The template")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<TemplateId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let deleted = state
        .host
        .db
        .transaction(move |conn| {
            let deleted = templates::delete(conn, workspace, id)?;
            if deleted {
                outbox::push(conn, workspace, &TemplateDeleted { template_id: id })?;
            }
            Ok::<_, Error>(deleted)
        })
        .await?;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::TemplateNotFound(id)),
    }
}

/// Tells the others what a template says now, in the transaction that saves it.
fn tell_saved(conn: &mut PgConnection, template: &Template) -> QueryResult<()> {
    let saved = TemplateSaved {
        template_id: template.id,
        template: template.clone().into(),
    };
    outbox::push(conn, template.workspace_id, &saved)
}

/// `?workspace_id=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfWorkspace {
    workspace_id: WorkspaceId,
}

/// `GET /internal/templates/{id}`: for who was not told of it yet.
pub(crate) async fn copy(
    state: Data<State>,
    _caller: ServiceCaller,
    id: Path<TemplateId>,
    query: Query<OfWorkspace>,
) -> Result<Json<TemplateCopy>, Error> {
    let (workspace, id) = (query.workspace_id, id.into_inner());
    let find =
        move |conn: &mut _| templates::get(conn, workspace, id)?.ok_or(Error::TemplateNotFound(id));
    let template = state.host.db.run(find).await?;
    Ok(Json(template.into()))
}
