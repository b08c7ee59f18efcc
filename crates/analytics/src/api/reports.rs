//! `GET /api/v1/analytics/{overview,timeseries,links,devices,countries,channels}`

use actix_web::get;
use actix_web::web::Data;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::Query;
use chassis::reads::Read;
use chrono::{DateTime, Duration, Utc};
use common::auth::Scope;
use common::dto::report::LinkHits;
use common::values::{Currency, Money};
use common::{CampaignId, FieldError, WorkspaceId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};

use super::State;
use crate::error::Error;
use crate::store::answers;
use crate::store::counted::{self, Cut, Sum, Valued};
use crate::store::reports::{self, Overview, Period};

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
    /// For time series and cohorts: `hour` (not for cohorts), `day` (usual) or `week`.
    interval: Option<Interval>,
    /// Whose hours, days and weeks: an IANA name such as `Asia/Kolkata`; UTC when absent.
    timezone: Option<String>,
    /// For lists: 1 to 500, 50 when absent.
    limit: Option<i64>,
    /// For overviews: how visitors are counted, `sketch` (usual) or `exact`, which takes longer.
    uniques: Option<Uniques>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Uniques)]
#[serde(rename_all = "snake_case")]
pub enum Uniques {
    /// Exactly up to 128, then within a few percent.
    Sketch,
    /// Everybody whose events are kept, one by one.
    Exact,
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
    pub(super) fn unit(self) -> (&'static str, Duration) {
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
    /// Different people, known or anonymous: exactly up to 128, then within a few percent.
    pub visitors: i64,
    /// Goals that were reached, and orders.
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
    /// One sum per currency, net of refunds.
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
    pub(super) fn over(
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
        campaign_id: Option<CampaignId>,
    ) -> Self {
        Self {
            from,
            to,
            campaign_id,
            ..Self::default()
        }
    }

    pub(super) fn with(
        self,
        interval: Option<Interval>,
        timezone: Option<String>,
        limit: Option<i64>,
    ) -> Self {
        Self {
            interval,
            timezone,
            limit,
            ..self
        }
    }

    pub(super) fn period(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Period, InvalidInput> {
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
            workspace,
            from,
            to,
            campaign: self.campaign_id,
        })
    }

    /// The time zone, if it is one.
    pub(super) fn zone(&self) -> Result<String, InvalidInput> {
        let Some(name) = self.timezone.as_deref() else {
            return Ok("UTC".to_owned());
        };
        match name.parse::<chrono_tz::Tz>() {
            Ok(zone) => Ok(zone.name().to_owned()),
            Err(_) => Err(InvalidInput::field(
                "query/timezone",
                "must be an IANA name such as Europe/Berlin",
            )),
        }
    }

    /// How many a list has at most.
    pub(super) fn most(&self) -> Result<i64, InvalidInput> {
        let limit = self.limit.unwrap_or(USUAL_LINKS);
        match (1..=MAX_LINKS).contains(&limit) {
            true => Ok(limit),
            false => Err(InvalidInput::field(
                "query/limit",
                format!("must be between 1 and {MAX_LINKS}"),
            )),
        }
    }

    pub(super) fn interval(&self) -> Interval {
        self.interval.unwrap_or(Interval::Day)
    }
}

/// Refuses a zone that we know and the database does not.
pub(super) fn check_zone(conn: &mut PgConnection, zone: &str) -> Result<(), Error> {
    match zone == "UTC" || answers::knows_zone(conn, zone)? {
        true => Ok(()),
        false => Err(InvalidInput::field("query/timezone", "is not known to the database").into()),
    }
}

/// Sums as the API writes money. What has no proper currency is left out.
pub(super) fn money(sums: Vec<Sum>) -> Vec<Money> {
    let money = |sum: Sum| {
        let currency = Currency::try_from(sum.currency).ok()?;
        let amount = sum.amount;
        Some(Money { amount, currency })
    };
    sums.into_iter().filter_map(money).collect()
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_overview",
    params(ReportQuery),
    responses(
        (status = 200, description = "What happened in the period", body = OverviewView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/overview")]
pub(crate) async fn overview(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<Read<OverviewView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    overview_of(&state, caller.workspace, &query).await
}

pub(super) async fn overview_of(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
) -> Result<Read<OverviewView>, Error> {
    let period = query.period(workspace, state.host.clock.now())?;
    let exact = query.uniques == Some(Uniques::Exact);
    let answer = state
        .reads
        .run(move |conn| {
            let answer = counted::at_one_moment(conn, |conn| {
                let pieces = counted::pieces(conn, period, Cut::default())?;
                let mut counts: Overview = pieces.into_values().next().unwrap_or_default();
                if exact {
                    counts.visitors = reports::people(conn, period)?;
                }
                Ok((counts, counted::revenue(conn, period)?))
            })?;
            Ok::<_, Error>(answer)
        })
        .await?;
    Ok(answer.map(|(counts, revenue)| OverviewView {
        from: period.from,
        to: period.to,
        counts: counts.into(),
        revenue: money(revenue),
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_timeseries",
    params(ReportQuery),
    responses(
        (status = 200, description = "A point per interval, also where nothing happened", body = TimeseriesView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/timeseries")]
pub(crate) async fn timeseries(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<Read<TimeseriesView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    timeseries_of(&state, caller.workspace, &query).await
}

pub(super) async fn timeseries_of(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
) -> Result<Read<TimeseriesView>, Error> {
    let period = query.period(workspace, state.host.clock.now())?;
    let (interval, zone) = (query.interval(), query.zone()?);
    let (unit, length) = interval.unit();
    if (period.to - period.from).num_seconds() / length.num_seconds() > MAX_POINTS {
        let detail = format!("would have more than {MAX_POINTS} points in this period");
        return Err(InvalidInput::field("query/interval", detail).into());
    }
    let points = state
        .reads
        .run(move |conn| {
            check_zone(conn, &zone)?;
            let cut = Cut { unit, zone: &zone };
            let points = counted::at_one_moment(conn, |conn| {
                let mut counts = counted::pieces(conn, period, cut)?;
                let grid = counted::grid(conn, period, cut, MAX_POINTS + 2)?;
                let point = |at| (at, counts.remove(&at).unwrap_or_default());
                Ok(grid.into_iter().map(point).collect::<Vec<_>>())
            })?;
            Ok::<_, Error>(points)
        })
        .await?;
    let view = |(at, counts): (DateTime<Utc>, Overview)| PointView {
        at,
        counts: counts.into(),
    };
    Ok(points.map(|points| TimeseriesView {
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
        (status = 200, description = "The most followed links", body = LinksView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/links")]
pub(crate) async fn links(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<Read<LinksView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    links_of(&state, caller.workspace, &query).await
}

pub(super) async fn links_of(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
) -> Result<Read<LinksView>, Error> {
    let period = query.period(workspace, state.host.clock.now())?;
    let limit = query.most()?;
    let items = state
        .reads
        .run(move |conn| Ok::<_, Error>(reports::links(conn, period, limit)?))
        .await?;
    Ok(items.map(|items| LinksView { items }))
}

/// What came from one kind of device, by humans.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Device)]
pub struct DeviceView {
    /// `desktop`, `mobile`, `tablet` or `unknown`.
    pub device: String,
    #[serde(flatten)]
    pub counts: ValueCounts,
}

/// What came by one channel, by humans. Absent: the link did not say.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Channel)]
pub struct ChannelView {
    pub source: Option<String>,
    pub medium: Option<String>,
    pub campaign: Option<String>,
    #[serde(flatten)]
    pub counts: ValueCounts,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::ValueCounts)]
pub struct ValueCounts {
    pub events: i64,
    pub views: i64,
    pub clicks: i64,
    pub conversions: i64,
    pub visitors: i64,
}

impl From<&Valued> for ValueCounts {
    fn from(valued: &Valued) -> Self {
        Self {
            events: valued.events,
            views: valued.views,
            clicks: valued.clicks,
            conversions: valued.conversions,
            visitors: valued.visitors,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Devices)]
pub struct DevicesView {
    /// Those with the most events first.
    pub items: Vec<DeviceView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Channels)]
pub struct ChannelsView {
    /// Those with the most events first.
    pub items: Vec<ChannelView>,
}

/// What came from one country, by humans.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Country)]
pub struct CountryView {
    /// Two letters (ISO 3166-1).
    pub country: String,
    #[serde(flatten)]
    pub counts: ValueCounts,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Countries)]
pub struct CountriesView {
    /// Those with the most events first; what came from nowhere known is not in it.
    pub items: Vec<CountryView>,
}

async fn values(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
    dimension: &'static str,
) -> Result<Read<Vec<Valued>>, Error> {
    let period = query.period(workspace, state.host.clock.now())?;
    let most = usize::try_from(query.most()?).unwrap_or(0);
    let values = state
        .reads
        .run(move |conn| {
            let values = counted::at_one_moment(conn, |conn| {
                counted::values(conn, period, dimension, most)
            })?;
            Ok::<_, Error>(values)
        })
        .await?;
    Ok(values)
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_devices",
    params(ReportQuery),
    responses(
        (status = 200, description = "What people held in their hands", body = DevicesView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/devices")]
pub(crate) async fn devices(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<Read<DevicesView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    devices_of(&state, caller.workspace, &query).await
}

pub(super) async fn devices_of(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
) -> Result<Read<DevicesView>, Error> {
    let values = values(state, workspace, query, "device").await?;
    let view = |valued: &Valued| DeviceView {
        device: valued.value.first().cloned().unwrap_or_default(),
        counts: valued.into(),
    };
    let items = |values: Vec<Valued>| values.iter().map(view).collect();
    Ok(values.map(|values| DevicesView {
        items: items(values),
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_countries",
    params(ReportQuery),
    responses(
        (status = 200, description = "Where people were, when the operator supplies a database of addresses", body = CountriesView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/countries")]
pub(crate) async fn countries(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<Read<CountriesView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    countries_of(&state, caller.workspace, &query).await
}

pub(super) async fn countries_of(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
) -> Result<Read<CountriesView>, Error> {
    let values = values(state, workspace, query, "country").await?;
    let view = |valued: &Valued| CountryView {
        country: valued.value.first().cloned().unwrap_or_default(),
        counts: valued.into(),
    };
    Ok(values.map(|values| CountriesView {
        items: values.iter().map(view).collect(),
    }))
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_channels",
    params(ReportQuery),
    responses(
        (status = 200, description = "Where people came from, by UTM parameters", body = ChannelsView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/channels")]
pub(crate) async fn channels(
    state: Data<State>,
    caller: Caller,
    query: Query<ReportQuery>,
) -> Result<Read<ChannelsView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    channels_of(&state, caller.workspace, &query).await
}

pub(super) async fn channels_of(
    state: &State,
    workspace: WorkspaceId,
    query: &ReportQuery,
) -> Result<Read<ChannelsView>, Error> {
    let values = values(state, workspace, query, "channel").await?;
    let view = |valued: &Valued| {
        let part = |at: usize| {
            valued
                .value
                .get(at)
                .filter(|text| !text.is_empty())
                .cloned()
        };
        ChannelView {
            source: part(0),
            medium: part(1),
            campaign: part(2),
            counts: valued.into(),
        }
    };
    let items = |values: Vec<Valued>| values.iter().map(view).collect();
    Ok(values.map(|values| ChannelsView {
        items: items(values),
    }))
}
