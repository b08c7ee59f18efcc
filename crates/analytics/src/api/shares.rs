//! `/api/v1/analytics/shares`, and what their links show: `GET /s/{token}[/{report}]`.

use actix_web::web::{self, Data};
use actix_web::{HttpResponse, delete, get, post};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::{Json, Path, Query};
use chassis::reads::Read;
use chrono::{DateTime, Duration, Utc};
use common::auth::Scope;
use common::page::{Page, PageQuery};
use common::{CampaignId, FieldError, ShareId};
use serde::{Deserialize, Serialize};

use super::State;
use super::reports::{self, Interval, ReportQuery};
use crate::domain::share::{self, REPORTS, Share};
use crate::error::Error;
use crate::store::shares;

const MAX_NAME: usize = 200;
const USUAL_DAYS: i64 = 30;
const MAX_DAYS: i64 = 366;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = analytics::CreateShare)]
pub struct CreateShare {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Only this campaign's events.
    campaign_id: Option<CampaignId>,
    /// Nothing before this is shown.
    from: Option<DateTime<Utc>>,
    /// Nothing from this on is shown.
    to: Option<DateTime<Utc>>,
    /// Of `overview`, `timeseries`, `links`, `devices`, `countries` and `channels`; all when absent.
    reports: Option<Vec<String>>,
    /// At most 366 days ahead; 30 when absent.
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = analytics::Share)]
pub struct ShareView {
    id: ShareId,
    #[serde(flatten)]
    shown: SharedView,
    created_at: DateTime<Utc>,
}

/// What a link shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = analytics::Shared)]
pub struct SharedView {
    name: String,
    campaign_id: Option<CampaignId>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    reports: Vec<String>,
    expires_at: DateTime<Utc>,
}

/// A share that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = analytics::NewShare)]
pub struct NewShare {
    #[serde(flatten)]
    share: ShareView,
    /// The link. It is shown this once and kept nowhere.
    url: String,
}

impl From<Share> for SharedView {
    fn from(share: Share) -> Self {
        Self {
            name: share.name,
            campaign_id: share.campaign_id,
            from: share.starts_at,
            to: share.ends_at,
            reports: share.reports,
            expires_at: share.expires_at,
        }
    }
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self {
            id: share.id,
            created_at: share.created_at,
            shown: share.into(),
        }
    }
}

impl CreateShare {
    fn checked(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidInput> {
        let mut bad = Vec::new();
        let mut refuse = |pointer: &str, detail: String| bad.push(FieldError::new(pointer, detail));
        let name = self.name.trim();
        if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            refuse("/name", format!("must have 1 to {MAX_NAME} characters"));
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from >= to) {
            refuse("/from", "must be before `to`".into());
        }
        let reports = self.reports.as_deref().unwrap_or_default();
        if self.reports.is_some() && reports.is_empty() {
            refuse("/reports", "must name at least one report".into());
        }
        for (index, name) in reports.iter().enumerate() {
            if !REPORTS.contains(&name.as_str()) {
                let detail = format!("must be one of {}", REPORTS.join(", "));
                refuse(&format!("/reports/{index}"), detail);
            }
        }
        let expires_at = self.expires_at.unwrap_or(now + Duration::days(USUAL_DAYS));
        if expires_at <= now || expires_at > now + Duration::days(MAX_DAYS) {
            let detail = format!("must be in the future, at most {MAX_DAYS} days ahead");
            refuse("/expires_at", detail);
        }
        match bad.is_empty() {
            true => Ok(expires_at),
            false => Err(InvalidInput::fields(bad)),
        }
    }
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_shares_create",
    request_body = CreateShare,
    responses(
        (status = 201, description = "The link, shown this once", body = NewShare),
        (status = 422, description = "Fields were refused", body = common::Problem),
    )
)]
#[post("/api/v1/analytics/shares")]
pub(crate) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Json<CreateShare>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let now = state.host.clock.now();
    let expires_at = body.checked(now)?;
    let token = share::generate(caller.workspace);
    let token = token.ok_or_else(|| chassis::Unavailable::new("randomness"))?;
    let body = body.into_inner();
    let usual = || REPORTS.map(str::to_owned).to_vec();
    let share = Share {
        workspace_id: caller.workspace,
        id: ShareId::new(),
        name: body.name.trim().to_owned(),
        hash: share::hash(&token),
        campaign_id: body.campaign_id,
        starts_at: body.from,
        ends_at: body.to,
        reports: body.reports.unwrap_or_else(usual),
        created_by: caller.subject.to_string(),
        created_at: now,
        expires_at,
    };
    let share = state
        .host
        .db
        .run(move |conn| {
            shares::insert(conn, &share)?;
            Ok::<_, Error>(share)
        })
        .await?;
    let public = state.public_url.as_str().trim_end_matches('/');
    Ok(HttpResponse::Created().json(NewShare {
        share: share.into(),
        url: format!("{public}/s/{token}"),
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_shares_list",
    params(PageQuery),
    responses((status = 200, description = "The shares, oldest first, without their links", body = Page<ShareView>))
)]
#[get("/api/v1/analytics/shares")]
pub(crate) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<ShareView>>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let (limit, after) = super::paging(&query)?;
    let rows = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(shares::page(conn, caller.workspace, after, limit + 1)?))
        .await?;
    let page = Page::from_rows(rows, limit, |share| share.id, ShareView::from);
    Ok(web::Json(page))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_shares_delete",
    params(("id" = ShareId, Path, description = "The share's id")),
    responses(
        (status = 204, description = "The link shows nothing any more"),
        (status = 404, description = "No share of this workspace", body = common::Problem),
    )
)]
#[delete("/api/v1/analytics/shares/{id}")]
pub(crate) async fn delete(
    state: Data<State>,
    caller: Caller,
    id: Path<ShareId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsWrite)?;
    let id = id.into_inner();
    let deleted = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(shares::delete(conn, caller.workspace, id)?))
        .await?;
    match deleted {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Error::ShareNotFound(id)),
    }
}

/// What whoever has a link may choose.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SharedQuery {
    /// The first moment; 30 days before `to` when absent.
    from: Option<DateTime<Utc>>,
    /// The moment after the last; now when absent.
    to: Option<DateTime<Utc>>,
    interval: Option<Interval>,
    timezone: Option<String>,
    limit: Option<i64>,
}

async fn opened(state: &State, token: &str) -> Result<Share, Error> {
    let (workspace, hash) = share::read(token).ok_or(Error::LinkNotFound)?;
    let now = state.host.clock.now();
    let share = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(shares::open(conn, workspace, &hash, now)?))
        .await?;
    share.ok_or(Error::LinkNotFound)
}

/// Whoever follows a link elsewhere must not take it along, and nobody is to find it.
fn shown<T: Serialize>(answer: &Read<T>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(header) = answer.header() {
        response.insert_header(header);
    }
    response
        .insert_header(("cache-control", "no-store"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-robots-tag", "noindex"))
        .json(&answer.value)
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_shared",
    security(()),
    params(("token" = String, Path, description = "The token of the link")),
    responses(
        (status = 200, description = "What the link shows", body = SharedView),
        (status = 404, description = "The link does not exist, or no longer", body = common::Problem),
    )
)]
#[get("/s/{token}")]
pub(crate) async fn shared(
    state: Data<State>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let share = opened(&state, &token).await?;
    Ok(shown(&Read {
        value: SharedView::from(share),
        staleness: None,
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_shared_report",
    security(()),
    params(
        ("token" = String, Path, description = "The token of the link"),
        ("report" = String, Path, description = "`overview`, `timeseries`, `links`, `devices`, `countries` or `channels`"),
        SharedQuery,
    ),
    responses(
        (status = 200, description = "The report, as at `/api/v1/analytics/{report}`", body = Object),
        (status = 404, description = "The link does not exist, no longer, or does not show this", body = common::Problem),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/s/{token}/{report}")]
pub(crate) async fn report(
    state: Data<State>,
    path: web::Path<(String, String)>,
    query: Query<SharedQuery>,
) -> Result<HttpResponse, Error> {
    let (token, wanted) = path.into_inner();
    let share = opened(&state, &token).await?;
    if !share.reports.contains(&wanted) {
        return Err(Error::LinkNotFound);
    }
    let asked = ReportQuery::over(query.from, query.to, share.campaign_id).with(
        query.interval,
        query.timezone.clone(),
        query.limit,
    );
    let period = asked.period(share.workspace_id, state.host.clock.now())?;
    let Some((from, to)) = share.within(period.from, period.to) else {
        let detail = "lies outside of what this link shows";
        return Err(InvalidInput::field("query/from", detail).into());
    };
    let narrowed = ReportQuery::over(Some(from), Some(to), share.campaign_id).with(
        query.interval,
        query.timezone.clone(),
        query.limit,
    );
    let of = share.workspace_id;
    match wanted.as_str() {
        "overview" => Ok(shown(&reports::overview_of(&state, of, &narrowed).await?)),
        "timeseries" => Ok(shown(&reports::timeseries_of(&state, of, &narrowed).await?)),
        "links" => Ok(shown(&reports::links_of(&state, of, &narrowed).await?)),
        "devices" => Ok(shown(&reports::devices_of(&state, of, &narrowed).await?)),
        "countries" => Ok(shown(&reports::countries_of(&state, of, &narrowed).await?)),
        "channels" => Ok(shown(&reports::channels_of(&state, of, &narrowed).await?)),
        _ => Err(Error::LinkNotFound),
    }
}
