//! `GET /api/v1/analytics/{overview,timeseries,links}`

use actix_web::get;
use actix_web::web::{self, Data};
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::Query;
use chrono::{DateTime, Duration, Utc};
use common::auth::Scope;
use common::dto::report::LinkHits;
use common::values::Money;
use common::{CampaignId, FieldError};
use serde::{Deserialize, Serialize};

use super::State;
use crate::error::Error;
use crate::store::reports::{self, Period};

/// What a report covers when the caller does not say.
const USUAL_DAYS: i64 = 30;
/// Most points of a time series.
const MAX_POINTS: i64 = 2000;
/// Most links of a list.
const MAX_LINKS: i64 = 500;
const USUAL_LINKS: i64 = 50;

/// Which events a report counts.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// The first moment; 30 days before `to` when absent.
    from: Option<DateTime<Utc>>,
    /// The moment after the last; now when absent.
    to: Option<DateTime<Utc>>,
    /// Only this campaign's events.
    campaign_id: Option<CampaignId>,
    /// For time series: `hour`, `day` (usual) or `week`, in UTC.
    interval: Option<Interval>,
    /// For links: 1 to 500, 50 when absent.
    limit: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Interval)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    Hour,
    Day,
    Week,
}

impl Interval {
    fn unit(self) -> (&'static str, Duration) {
        match self {
            Self::Hour => ("hour", Duration::hours(1)),
            Self::Day => ("day", Duration::days(1)),
            Self::Week => ("week", Duration::weeks(1)),
        }
    }
}

/// Counts of a period. All but `events` and `machine` count humans only.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Counts)]
pub struct Counts {
    pub events: i64,
    pub views: i64,
    pub clicks: i64,
    pub opens: i64,
    pub unsubscribes: i64,
    /// Different people, known or anonymous.
    pub visitors: i64,
    /// Goals that were reached.
    pub conversions: i64,
    /// Events by scanners, prefetchers and bots.
    pub machine: i64,
}

impl From<reports::Overview> for Counts {
    fn from(counts: reports::Overview) -> Self {
        Self {
            events: counts.events,
            views: counts.views,
            clicks: counts.clicks,
            opens: counts.opens,
            unsubscribes: counts.unsubscribes,
            visitors: counts.visitors,
            conversions: counts.conversions,
            machine: counts.machine,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Overview)]
pub struct OverviewView {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    #[serde(flatten)]
    pub counts: Counts,
    /// One sum per currency. Empty while nothing is sold.
    pub revenue: Vec<Money>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Timeseries)]
pub struct TimeseriesView {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub interval: Interval,
    pub points: Vec<PointView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Point)]
pub struct PointView {
    /// When the interval begins.
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Links)]
pub struct LinksView {
    /// Most followed by humans first.
    pub items: Vec<LinkHits>,
}

impl ReportQuery {
    fn period(&self, caller: &Caller, now: DateTime<Utc>) -> Result<Period, InvalidInput> {
        let to = self.to.unwrap_or(now);
        let usual = || to.checked_sub_signed(Duration::days(USUAL_DAYS));
        let Some(from) = self.from.or_else(usual).filter(|from| *from < to) else {
            return Err(InvalidInput::field("query/from", "must be before `to`"));
        };
        let year = |time: DateTime<Utc>| chrono::Datelike::year(&time);
        let strange: Vec<_> = [("query/from", from), ("query/to", to)]
            .into_iter()
            .filter(|(_, time)| !(1970..=9999).contains(&year(*time)))
            .map(|(pointer, _)| FieldError::new(pointer, "must be in the years 1970 to 9999"))
            .collect();
        if !strange.is_empty() {
            return Err(InvalidInput::fields(strange));
        }
        Ok(Period {
            workspace: caller.workspace,
            from,
            to,
            campaign: self.campaign_id,
        })
    }
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_overview",
    params(ReportQuery),
    responses(
        (status = 200, description = "What happened in the period", body = OverviewView),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/overview")]
pub(crate) async fn overview(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<web::Json<OverviewView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let period = query.period(&caller, state.host.clock.now())?;
    let counts = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(reports::overview(conn, period)?))
        .await?;
    Ok(web::Json(OverviewView {
        from: period.from,
        to: period.to,
        counts: counts.into(),
        revenue: Vec::new(),
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_timeseries",
    params(ReportQuery),
    responses(
        (status = 200, description = "A point per interval, also where nothing happened", body = TimeseriesView),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/timeseries")]
pub(crate) async fn timeseries(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<web::Json<TimeseriesView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let period = query.period(&caller, state.host.clock.now())?;
    let interval = query.interval.unwrap_or(Interval::Day);
    let (unit, length) = interval.unit();
    if (period.to - period.from).num_seconds() / length.num_seconds() > MAX_POINTS {
        let detail = format!("would have more than {MAX_POINTS} points in this period");
        return Err(InvalidInput::field("query/interval", detail).into());
    }
    let points = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(reports::timeseries(conn, period, unit)?))
        .await?;
    let view = |point: reports::Point| PointView {
        at: point.at,
        counts: point.counts.into(),
    };
    Ok(web::Json(TimeseriesView {
        from: period.from,
        to: period.to,
        interval,
        points: points.into_iter().map(view).collect(),
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_links",
    params(ReportQuery),
    responses(
        (status = 200, description = "The most followed links", body = LinksView),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/links")]
pub(crate) async fn links(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<web::Json<LinksView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let period = query.period(&caller, state.host.clock.now())?;
    let limit = query.limit.unwrap_or(USUAL_LINKS);
    if !(1..=MAX_LINKS).contains(&limit) {
        let detail = format!("must be between 1 and {MAX_LINKS}");
        return Err(InvalidInput::field("query/limit", detail).into());
    }
    let items = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(reports::links(conn, period, limit)?))
        .await?;
    Ok(web::Json(LinksView { items }))
}
