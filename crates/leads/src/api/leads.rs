//! `/leads`

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::error::violated_unique;
use chassis::http::{IfMatch, Json, Path, Query, etag};
use chassis::outbox;
use chrono::{DateTime, Utc};
use common::auth::Scope;
use common::events::{LeadCreated, LeadUpdated};
use common::page::Page;
use common::values::EmailAddress;
use common::{LeadId, ListId, SegmentId, WorkspaceId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{Check, paging, present};
use crate::domain::lead::{self, STATUSES};
use crate::domain::rule;
use crate::error::Error;
use crate::forgetting;
use crate::state::State;
use crate::store::leads::{Filter, Lead};
use crate::store::{self, lists, segments};

/// What may be said of a person. In a PATCH what is absent stays, and null clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = leads::LeadBody)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LeadBody {
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = "email")]
    email: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    first_name: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    last_name: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    company: Option<Option<String>>,
    /// `new`, `contacted`, `qualified`, `customer` or `lost`.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    status: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i32>)]
    score: Option<Option<i32>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    source: Option<Option<String>>,
    /// An IANA name.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    timezone: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    locale: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Option<Vec<String>>>,
    /// In a PATCH it is merged: null removes a member (RFC 7396).
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    attributes: Option<Option<Map<String, Value>>>,
}

impl LeadBody {
    /// Lays the body over a lead; names everything it cannot use.
    fn apply(self, lead: &mut Lead, check: &mut Check) {
        if let Some(email) = self.email {
            let parsed = EmailAddress::parse(&email.unwrap_or_default());
            if let Some(email) = check.take("/email", parsed) {
                lead.email_key = email.key();
                lead.email = email.into();
            }
        }
        let mut text =
            |field: &mut Option<String>, pointer, limit, given: Option<Option<String>>| {
                if let Some(given) = given {
                    let line = lead::line(&given.unwrap_or_default(), limit);
                    *field = check.take(pointer, line).flatten();
                }
            };
        text(&mut lead.first_name, "/first_name", 200, self.first_name);
        text(&mut lead.last_name, "/last_name", 200, self.last_name);
        text(&mut lead.phone, "/phone", 50, self.phone);
        text(&mut lead.company, "/company", 200, self.company);
        text(&mut lead.source, "/source", 200, self.source);
        if let Some(zone) = self.timezone {
            let parsed = lead::timezone(&zone.unwrap_or_default());
            lead.timezone = check.take("/timezone", parsed).flatten();
        }
        if let Some(locale) = self.locale {
            let parsed = lead::locale(&locale.unwrap_or_default());
            lead.locale = check.take("/locale", parsed).flatten();
        }
        if let Some(status) = self.status {
            let parsed = lead::status(&status.unwrap_or_default());
            let status = check.take("/status", parsed).flatten();
            lead.status = status.unwrap_or_else(|| STATUSES[0].to_owned());
        }
        if let Some(score) = self.score {
            lead.score = score.unwrap_or(0);
        }
        if let Some(tags) = self.tags {
            let tags = tags.unwrap_or_default();
            let parsed = lead::tags(tags.iter().map(String::as_str));
            lead.tags = check.take("/tags", parsed).unwrap_or_default();
        }
        if let Some(patch) = self.attributes {
            let mut attributes = match (&lead.attributes, &patch) {
                (Value::Object(held), Some(_)) => held.clone(),
                _ => Map::new(),
            };
            lead::merge(&mut attributes, patch.unwrap_or_default());
            check.take("/attributes", lead::check_attributes(&attributes));
            lead.attributes = Value::Object(attributes);
        }
    }
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = leads::LeadView)]
pub(crate) struct LeadView {
    id: LeadId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    phone: Option<String>,
    company: Option<String>,
    status: String,
    score: i32,
    source: Option<String>,
    timezone: Option<String>,
    locale: Option<String>,
    tags: Vec<String>,
    #[schema(value_type = Object)]
    attributes: Value,
    /// Whether only what nobody has confirmed speaks for them: a form, or a file that says so. No
    /// campaign reaches them until they are confirmed on a list.
    unconfirmed: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Lead> for LeadView {
    fn from(lead: Lead) -> Self {
        Self {
            id: lead.id,
            email: lead.email,
            first_name: lead.first_name,
            last_name: lead.last_name,
            phone: lead.phone,
            company: lead.company,
            status: lead.status,
            score: lead.score,
            source: lead.source,
            timezone: lead.timezone,
            locale: lead.locale,
            tags: lead.tags,
            attributes: lead.attributes,
            unconfirmed: lead.unconfirmed,
            created_at: lead.created_at,
            updated_at: lead.updated_at,
        }
    }
}

/// Which leads, and which page of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeadQuery {
    /// Part of an address, a name or a company.
    q: Option<String>,
    status: Option<String>,
    tag: Option<String>,
    list_id: Option<ListId>,
    segment_id: Option<SegmentId>,
    /// 1 to 500; 50 when absent.
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl LeadQuery {
    pub(crate) fn page(&self) -> Result<(i64, Option<LeadId>), Error> {
        Ok(paging(self.limit, self.cursor.as_deref())?)
    }

    /// The filter it means; a list or segment that does not exist is a 404.
    pub(crate) fn filter(
        self,
        conn: &mut PgConnection,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Filter, Error> {
        let mut check = Check::default();
        if let Some(status) = &self.status {
            check.take("query/status", lead::status(status));
        }
        if self.q.as_ref().is_some_and(|q| q.chars().count() > 200) {
            check.refuse("query/q", "must be at most 200 characters long");
        }
        check.finish()?;
        if let Some(list) = self.list_id {
            lists::find(conn, workspace, list)?.ok_or(Error::ListNotFound(list))?;
        }
        let rule = match self.segment_id {
            None => None,
            Some(id) => {
                let terms = segments::terms(conn, workspace, now)?;
                let own = rule::Rule::Where(rule::Condition::Segment(vec![id]));
                if !terms.segments.contains_key(&id) {
                    return Err(Error::SegmentNotFound(id));
                }
                Some(terms.compile(&own))
            }
        };
        Ok(Filter {
            workspace,
            q: self.q.filter(|q| !q.trim().is_empty()),
            status: self.status.filter(|status| !status.is_empty()),
            tag: self.tag,
            list: self.list_id,
            rule,
        })
    }
}

/// `GET /leads`: newest first.
#[utoipa::path(
    get, path = "/api/v1/leads", tag = "leads", operation_id = "leads_list",
    params(LeadQuery),
    responses(
        (status = 200, description = "Leads, newest first", body = Page<LeadView>),
        (status = 404, description = "No such list or segment", body = common::Problem),
    )
)]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<LeadQuery>,
) -> Result<Json<Page<LeadView>>, Error> {
    caller.require(Scope::LeadsRead)?;
    let (query, workspace, now) = (query.into_inner(), caller.workspace, state.host.clock.now());
    let (limit, before) = query.page()?;
    let rows = state
        .host
        .db
        .run(move |conn| {
            let filter = query.filter(conn, workspace, now)?;
            Ok::<_, Error>(store::leads::newest(conn, &filter, before, limit + 1)?)
        })
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |lead| lead.id,
        LeadView::from,
    )))
}

/// `POST /leads`
#[utoipa::path(
    post, path = "/api/v1/leads", tag = "leads", operation_id = "leads_create",
    request_body = LeadBody,
    responses(
        (status = 201, description = "The new lead", body = LeadView),
        (status = 409, description = "The address is taken", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<LeadBody>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let mut lead = Lead::blank(caller.workspace, state.host.clock.now());
    let mut check = Check::default();
    let mut body = body.into_inner();
    // Without an address there is no lead.
    body.email = Some(body.email.flatten());
    body.apply(&mut lead, &mut check);
    check.finish()?;
    let lead = state
        .host
        .db
        .transaction(move |conn| {
            store::leads::insert(conn, &lead).map_err(|error| taken(error, &lead))?;
            let (lead_id, email) = (lead.id, lead.email.clone());
            outbox::push(conn, lead.workspace_id, &LeadCreated { lead_id, email })?;
            Ok::<_, Error>(lead)
        })
        .await?;
    let (version, id) = (lead.version, lead.id);
    Ok(HttpResponse::Created()
        .insert_header(etag(version))
        .insert_header(("location", format!("/api/v1/leads/{id}")))
        .json(LeadView::from(lead)))
}

fn taken(error: diesel::result::Error, lead: &Lead) -> Error {
    match violated_unique(&error) {
        Some("leads_by_email") => Error::LeadExists(lead.email.clone()),
        _ => error.into(),
    }
}

/// `GET /leads/{id}`
#[utoipa::path(
    get, path = "/api/v1/leads/{id}", tag = "leads", operation_id = "leads_get",
    params(("id" = LeadId, Path, description = "The lead")),
    responses(
        (status = 200, description = "The lead", body = LeadView),
        (status = 404, description = "No such lead", body = common::Problem),
    )
)]
pub(crate) async fn get(
    state: Data<State>,
    caller: Caller,
    id: Path<LeadId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    let found = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(store::leads::find(conn, workspace, id)?))
        .await?;
    let lead = found.ok_or(Error::LeadNotFound(id))?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(lead.version))
        .json(LeadView::from(lead)))
}

/// `PATCH /leads/{id}`
#[utoipa::path(
    patch, path = "/api/v1/leads/{id}", tag = "leads", operation_id = "leads_update",
    params(("id" = LeadId, Path, description = "The lead")),
    request_body = LeadBody,
    responses(
        (status = 200, description = "The lead as it is now", body = LeadView),
        (status = 404, description = "No such lead", body = common::Problem),
        (status = 409, description = "The address is taken", body = common::Problem),
        (status = 412, description = "Somebody else changed it", body = common::Problem),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
pub(crate) async fn update(
    state: Data<State>,
    caller: Caller,
    id: Path<LeadId>,
    seen: IfMatch,
    body: Json<LeadBody>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id, now) = (caller.workspace, id.into_inner(), state.host.clock.now());
    let lead = state
        .host
        .db
        .transaction(move |conn| {
            let held = store::leads::lock(conn, workspace, id)?.ok_or(Error::LeadNotFound(id))?;
            if seen.0.is_some_and(|version| version != held.version) {
                return Err(Error::VersionMismatch);
            }
            let mut lead = held.clone();
            let mut check = Check::default();
            body.into_inner().apply(&mut lead, &mut check);
            check.finish()?;
            if lead == held {
                return Ok(lead);
            }
            lead.version += 1;
            lead.updated_at = now;
            store::leads::update(conn, &lead).map_err(|error| taken(error, &lead))?;
            let (lead_id, email) = (lead.id, lead.email.clone());
            outbox::push(conn, workspace, &LeadUpdated { lead_id, email })?;
            Ok(lead)
        })
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag(lead.version))
        .json(LeadView::from(lead)))
}

/// `DELETE /leads/{id}`: forgets the person. The consent ledger keeps its lines, which hold no
/// personal data, and a suppressed address stays suppressed.
#[utoipa::path(
    delete, path = "/api/v1/leads/{id}", tag = "leads", operation_id = "leads_delete",
    params(("id" = LeadId, Path, description = "The lead")),
    responses(
        (status = 204, description = "The lead is gone"),
        (status = 404, description = "No such lead", body = common::Problem),
    )
)]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<LeadId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsWrite)?;
    let (workspace, id) = (caller.workspace, id.into_inner());
    state
        .host
        .db
        .transaction(move |conn| {
            let lead = store::leads::lock(conn, workspace, id)?.ok_or(Error::LeadNotFound(id))?;
            Ok::<_, Error>(forgetting::person(conn, lead)?)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
