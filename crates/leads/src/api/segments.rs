//! `/segments`

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{IfMatch, Json, Path, Query, etag};
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::page::{Page, PageQuery};
use common::{FieldError, SegmentId, WorkspaceId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::leads::LeadView;
use super::{Check, name, paging};
use crate::domain::rule::{self, Rule};
use crate::error::Error;
use crate::state::State;
use crate::store::leads::Filter;
use crate::store::rule_sql::Terms;
use crate::store::segments::Segment;
use crate::store::{self, segments};

/// How many leads a preview shows.
const SAMPLE: i64 = 5;

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::CreateSegment)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSegment {
    name: String,
    /// `{"all": […]}`, `{"any": […]}`, `{"not": rule}` or `{"field", "op", "value"}`.
    #[schema(value_type = Object)]
    rule: Value,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::UpdateSegment)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSegment {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    rule: Option<Value>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = leads::PreviewSegment)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewSegment {
    #[schema(value_type = Object)]
    rule: Value,
}

/// A saved rule over leads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::SegmentView)]
pub(crate) struct SegmentView {
    id: SegmentId,
    name: String,
    #[schema(value_type = Object)]
    rule: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Segment> for SegmentView {
    fn from(segment: Segment) -> Self {
        Self {
            id: segment.id,
            name: segment.name,
            rule: segment.rule,
            created_at: segment.created_at,
            updated_at: segment.updated_at,
        }
    }
}

/// Whom a rule describes at the moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::SegmentPreview)]
pub(crate) struct SegmentPreview {
    count: i64,
    /// How long the count took.
    took_ms: i64,
    /// Some of them.
    sample: Vec<LeadView>,
}

/// The rule in a body, or everything that is wrong with it.
fn parsed(check: &mut Check, json: &Value) -> Option<Rule> {
    match rule::parse(json, "/rule") {
        Ok(rule) => Some(rule),
        Err(problems) => {
            check.0.extend(problems);
            None
        }
    }
}

fn refused(problems: Vec<FieldError>) -> Result<(), Error> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(InvalidInput::fields(problems).into()),
    }
}

/// What a sound rule means; what it names must exist.
fn understood(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
    own: Option<SegmentId>,
    rule: &Rule,
) -> Result<Terms, Error> {
    let terms = segments::terms(conn, workspace, now)?;
    refused(segments::check(conn, &terms, own, rule)?)?;
    Ok(terms)
}

/// `GET /segments`: newest first.
#[utoipa::path(
    get, path = "/api/v1/segments", tag = "leads", operation_id = "leads_segments_list",
    params(PageQuery),
    responses((status = 200, description = "Segments, newest first", body = Page<SegmentView>))
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<Page<SegmentView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let workspace = caller.workspace;
    let (limit, before) = paging(query.limit, query.cursor.as_deref())?;
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(segments::newest(conn, workspace, before, limit + 1)?))
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.id,
        SegmentView::from,
    )))
}

/// `POST /segments`
#[utoipa::path(
    post, path = "/api/v1/segments", tag = "leads", operation_id = "leads_segments_create",
    request_body = CreateSegment,
    responses(
        (status = 201, description = "The new segment", body = SegmentView),
        (status = 422, description = "The name or parts of the rule were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<CreateSegment>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (body, mut check, now) = (body.into_inner(), Check::default(), state.host.clock.now());
    let name = name(&mut check, "/name", &body.name);
    let rule = parsed(&mut check, &body.rule);
    check.finish()?;
    let segment = Segment {
        workspace_id: caller.workspace,
        id: SegmentId::new(),
        name,
        rule: body.rule,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let segment = state
        .host
        .db
        .transaction(move |conn| {
            segments::lock_rules(conn, segment.workspace_id)?;
            if let Some(rule) = rule {
                understood(conn, segment.workspace_id, now, None, &rule)?;
            }
            segments::insert(conn, &segment)?;
            Ok::<_, Error>(segment)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header(etag(segment.version))
        .json(SegmentView::from(segment)))
}

/// `GET /segments/{id}`
#[utoipa::path(
    get, path = "/api/v1/segments/{id}", tag = "leads", operation_id = "leads_segments_get",
    params(("id" = SegmentId, Path, description = "The segment")),
    responses(
        (status = 200, description = "The segment", body = SegmentView),
        (status = 404, description = "No such segment", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<SegmentId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let found = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(segments::find(conn, workspace, id)?))
        .await?;
    let segment = found.ok_or(Error::SegmentNotFound(id))?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(segment.version))
        .json(SegmentView::from(segment)))
}

/// `PATCH /segments/{id}`
#[utoipa::path(
    patch, path = "/api/v1/segments/{id}", tag = "leads", operation_id = "leads_segments_update",
    params(("id" = SegmentId, Path, description = "The segment")),
    request_body = UpdateSegment,
    responses(
        (status = 200, description = "The segment as it is now", body = SegmentView),
        (status = 404, description = "No such segment", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "The name or parts of the rule were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<SegmentId>,
    seen: IfMatch,
    body: Json<UpdateSegment>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    let (body, mut check) = (body.into_inner(), Check::default());
    let new_name = body.name.map(|given| name(&mut check, "/name", &given));
    let rule = body.rule.as_ref().and_then(|json| parsed(&mut check, json));
    check.finish()?;
    let segment = state
        .host
        .db
        .transaction(move |conn| {
            segments::lock_rules(conn, workspace)?;
            let held = segments::find(conn, workspace, id)?;
            let mut segment = held.ok_or(Error::SegmentNotFound(id))?;
            if seen.0.is_some_and(|version| version != segment.version) {
                return Err(Error::VersionMismatch);
            }
            if let Some(rule) = rule {
                understood(conn, workspace, now, Some(id), &rule)?;
            }
            segment.name = new_name.unwrap_or(segment.name);
            segment.rule = body.rule.unwrap_or(segment.rule);
            segment.version += 1;
            segment.updated_at = now;
            segments::update(conn, &segment)?;
            Ok(segment)
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(segment.version))
        .json(SegmentView::from(segment)))
}

/// `DELETE /segments/{id}`
#[utoipa::path(
    delete, path = "/api/v1/segments/{id}", tag = "leads", operation_id = "leads_segments_delete",
    params(("id" = SegmentId, Path, description = "The segment")),
    responses(
        (status = 204, description = "The segment is gone"),
        (status = 404, description = "No such segment", body = common::Problem),
        (status = 409, description = "Another segment names it", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<SegmentId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    state
        .host
        .db
        .transaction(move |conn| {
            segments::lock_rules(conn, workspace)?;
            if let Some(other) = segments::naming_segment(conn, workspace, id)? {
                return Err(Error::SegmentInUse(id, other));
            }
            match segments::delete(conn, workspace, id)? {
                0 => Err(Error::SegmentNotFound(id)),
                _ => Ok(()),
            }
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /segments/preview`
#[utoipa::path(
    post, path = "/api/v1/segments/preview", tag = "leads", operation_id = "leads_segments_preview",
    request_body = PreviewSegment,
    responses(
        (status = 200, description = "How many leads the rule describes, and some of them", body = SegmentPreview),
        (status = 422, description = "Parts of the rule were refused", body = common::Problem),
    )
)]
pub(crate) async fn preview(
    state: Data<State>,
    caller: Caller,
    body: Json<PreviewSegment>,
) -> Result<Json<SegmentPreview>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, now) = (caller.workspace, state.host.clock.now());
    let rule = rule::parse(&body.rule, "/rule").map_err(InvalidInput::fields)?;
    let preview = state
        .host
        .db
        .run(move |conn| {
            let terms = understood(conn, workspace, now, None, &rule)?;
            let rule = terms.compile(&rule);
            let started = Instant::now();
            let count = store::leads::count(conn, workspace, &rule)?;
            let took_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            let filter = Filter::of_rule(workspace, rule);
            let sample = store::leads::oldest(conn, &filter, None, SAMPLE)?;
            Ok::<_, Error>(SegmentPreview {
                count,
                took_ms,
                sample: sample.into_iter().map(Into::into).collect(),
            })
        })
        .await?;
    Ok(Json(preview))
}
