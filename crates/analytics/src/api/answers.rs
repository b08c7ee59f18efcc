//! `GET /api/v1/analytics/{funnel,retention,attribution,sessions}`

use std::collections::BTreeMap;

use actix_web::get;
use actix_web::web::Data;
use chassis::InvalidInput;
use chassis::auth::Caller;
use chassis::http::Query;
use chassis::reads::Read;
use chrono::{DateTime, Duration, Utc};
use common::auth::Scope;
use common::values::Money;
use common::{CampaignId, FieldError};
use serde::{Deserialize, Serialize};

use super::State;
use super::reports::{Interval, ReportQuery, money};
use crate::domain::attribution::{self as shares, Model};
use crate::domain::step::{self, Step};
use crate::error::Error;
use crate::store::answers::{self, Touched};
use crate::store::counted::{self, Cut, Sum};

const DAY_S: i64 = 86_400;
const USUAL_WINDOW_DAYS: i64 = 7;
const USUAL_ATTRIBUTION_DAYS: i64 = 30;
const MAX_WINDOW_DAYS: i64 = 365;
const USUAL_HALF_LIFE_DAYS: i64 = 7;
/// Who is quiet for so many minutes comes anew.
const USUAL_GAP_MINUTES: i64 = 30;
const MAX_STEPS: usize = 10;
/// Most cohorts of an answer.
const MAX_COHORTS: i64 = 400;

/// A query about people.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PeopleQuery {
    /// The first moment; 30 days before `to` when absent.
    from: Option<DateTime<Utc>>,
    /// The moment after the last; now when absent.
    to: Option<DateTime<Utc>>,
    /// Only this campaign's events; of attribution, only its share.
    campaign_id: Option<CampaignId>,
    /// For retention: `day` (usual) or `week`.
    interval: Option<Interval>,
    /// Whose days and weeks: an IANA name; UTC when absent.
    timezone: Option<String>,
    /// For lists: 1 to 500, 50 when absent.
    limit: Option<i64>,
    /// For funnels: 2 to 10 types of events, each with a name if need be, such as
    /// `view,track:Signed Up,goal`; or a JSON list of `{"type", "name"}`.
    steps: Option<String>,
    /// For retention: the step that people come with; any event when absent.
    start: Option<String>,
    /// For retention: the step that shows that they came back; any event when absent.
    back: Option<String>,
    /// For funnels (7) and attribution (30): days from the first step to the last, or from a touch
    /// to the conversion.
    window_days: Option<i64>,
    /// For attribution: `first`, `last` (usual), `linear`, `time_decay` or `position`.
    model: Option<Model>,
    /// For `time_decay`: after so many days a touch counts half (7).
    half_life_days: Option<i64>,
    /// For sessions: who is quiet for so many minutes comes anew (30).
    gap_minutes: Option<i64>,
}

impl PeopleQuery {
    pub(super) fn report(&self) -> ReportQuery {
        ReportQuery::over(self.from, self.to, self.campaign_id).with(
            self.interval,
            self.timezone.clone(),
            self.limit,
        )
    }

    fn days(name: &str, given: Option<i64>, usual: i64) -> Result<Duration, InvalidInput> {
        match given.unwrap_or(usual) {
            days @ 1..=MAX_WINDOW_DAYS => Ok(Duration::seconds(days * DAY_S)),
            _ => Err(InvalidInput::field(
                format!("query/{name}"),
                format!("must be between 1 and {MAX_WINDOW_DAYS}"),
            )),
        }
    }

    fn step(name: &str, given: Option<&str>) -> Result<Option<Step>, InvalidInput> {
        let Some(text) = given else { return Ok(None) };
        let bad = |why: String| InvalidInput::field(format!("query/{name}"), why);
        let mut steps = step::read(text).map_err(bad)?;
        match steps.len() {
            1 => Ok(steps.pop()),
            _ => Err(bad("must be one step".into())),
        }
    }
}

/// How many people got how far.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Funnel)]
pub struct FunnelView {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub window_days: i64,
    pub steps: Vec<FunnelStep>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::FunnelStep)]
pub struct FunnelStep {
    #[serde(flatten)]
    pub step: Step,
    /// People who took this step after all before it.
    pub people: i64,
    /// Of those who took the first.
    pub rate: f64,
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_funnel",
    params(PeopleQuery),
    responses(
        (status = 200, description = "How many people took the steps, each after the one before and all within the window", body = FunnelView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/funnel")]
pub(crate) async fn funnel(
    state: Data<State>,
    caller: Caller,
    query: Query<PeopleQuery>,
) -> Result<Read<FunnelView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let period = query
        .report()
        .period(caller.workspace, state.host.clock.now())?;
    let window = PeopleQuery::days("window_days", query.window_days, USUAL_WINDOW_DAYS)?;
    let text = query.steps.as_deref().unwrap_or_default();
    let steps = step::read(text).map_err(|why| InvalidInput::field("query/steps", why))?;
    if !(2..=MAX_STEPS).contains(&steps.len()) {
        let detail = format!("must hold 2 to {MAX_STEPS} steps");
        return Err(InvalidInput::field("query/steps", detail).into());
    }
    let Read { value, staleness } = state
        .reads
        .run(move |conn| {
            let people = counted::at_one_moment(conn, |conn| match period.campaign {
                Some(_) => answers::funnel_of_campaign(conn, period, &steps, window),
                None => crate::store::funnel::funnel(conn, period, &steps, window),
            })?;
            Ok::<_, Error>((people, steps))
        })
        .await?;
    let (people, steps) = value;
    let first = people.first().copied().unwrap_or(0).max(1) as f64;
    let view = |(step, people): (Step, i64)| FunnelStep {
        step,
        people,
        rate: people as f64 / first,
    };
    let value = FunnelView {
        from: period.from,
        to: period.to,
        window_days: window.num_days(),
        steps: steps.into_iter().zip(people).map(view).collect(),
    };
    Ok(Read { value, staleness })
}

/// Who came when, and who came back.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Retention)]
pub struct RetentionView {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub interval: Interval,
    pub cohorts: Vec<Cohort>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Cohort)]
pub struct Cohort {
    /// When the interval begins in which they came first.
    pub at: DateTime<Utc>,
    pub people: i64,
    /// How many of them came back one interval later, two, and so on.
    pub returned: Vec<i64>,
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_retention",
    params(PeopleQuery),
    responses(
        (status = 200, description = "People by when they came first, and how many came back", body = RetentionView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/retention")]
pub(crate) async fn retention(
    state: Data<State>,
    caller: Caller,
    query: Query<PeopleQuery>,
) -> Result<Read<RetentionView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let report = query.report();
    let period = report.period(caller.workspace, state.host.clock.now())?;
    let (interval, zone) = (report.interval(), report.zone()?);
    let (unit, length) = interval.unit();
    if interval == Interval::Hour {
        return Err(InvalidInput::field("query/interval", "must be day or week").into());
    }
    if (period.to - period.from).num_seconds() / length.num_seconds() > MAX_COHORTS {
        let detail = format!("would have more than {MAX_COHORTS} cohorts in this period");
        return Err(InvalidInput::field("query/interval", detail).into());
    }
    let start = PeopleQuery::step("start", query.start.as_deref())?;
    let back = PeopleQuery::step("back", query.back.as_deref())?;
    let answer = state
        .reads
        .run(move |conn| {
            super::reports::check_zone(conn, &zone)?;
            let cut = Cut { unit, zone: &zone };
            let rows = answers::retention(conn, period, start.as_ref(), back.as_ref(), cut)?;
            let grid = counted::grid(conn, period, cut, MAX_COHORTS + 2)?;
            Ok::<_, Error>((rows, grid))
        })
        .await?;
    Ok(answer.map(|(rows, grid)| RetentionView {
        from: period.from,
        to: period.to,
        interval,
        cohorts: cohorts(&grid, &rows),
    }))
}

/// A row per interval, each as long as there were intervals after it.
fn cohorts(grid: &[DateTime<Utc>], rows: &[answers::Returned]) -> Vec<Cohort> {
    let found: BTreeMap<(DateTime<Utc>, i32), i64> = rows
        .iter()
        .map(|row| ((row.cohort, row.later), row.people))
        .collect();
    let people = |at: DateTime<Utc>, later: usize| {
        let later = i32::try_from(later).unwrap_or(i32::MAX);
        found.get(&(at, later)).copied().unwrap_or(0)
    };
    let cohort = |(index, at): (usize, &DateTime<Utc>)| Cohort {
        at: *at,
        people: people(*at, 0),
        returned: (1..grid.len() - index)
            .map(|later| people(*at, later))
            .collect(),
    };
    grid.iter().enumerate().map(cohort).collect()
}

/// Which campaigns conversions are owed to.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Attribution)]
pub struct AttributionView {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub model: Model,
    pub window_days: i64,
    /// Those that earned the most first.
    pub campaigns: Vec<CampaignCredit>,
    /// What no campaign's click led to within the window.
    pub unattributed: Credit,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::CampaignCredit)]
pub struct CampaignCredit {
    pub campaign_id: CampaignId,
    #[serde(flatten)]
    pub credit: Credit,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Credit)]
pub struct Credit {
    /// Shares of goals and orders add up, so this may be broken.
    pub conversions: f64,
    /// One sum per currency, net of refunds.
    pub revenue: Vec<Money>,
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_attribution",
    params(PeopleQuery),
    responses(
        (status = 200, description = "Conversions and revenue by the campaigns whose clicks led to them", body = AttributionView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/attribution")]
pub(crate) async fn attribution(
    state: Data<State>,
    caller: Caller,
    query: Query<PeopleQuery>,
) -> Result<Read<AttributionView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let period = query
        .report()
        .period(caller.workspace, state.host.clock.now())?;
    let window = PeopleQuery::days("window_days", query.window_days, USUAL_ATTRIBUTION_DAYS);
    let half_life = PeopleQuery::days("half_life_days", query.half_life_days, USUAL_HALF_LIFE_DAYS);
    let (window, half_life) = match (window, half_life) {
        (Ok(window), Ok(half_life)) => (window, half_life),
        (window, half_life) => {
            let bad = [window.err(), half_life.err()].into_iter().flatten();
            let fields: Vec<FieldError> = bad.flat_map(|error| error.fields).collect();
            return Err(InvalidInput::fields(fields).into());
        }
    };
    let Read {
        value: rows,
        staleness,
    } = state
        .reads
        .run(move |conn| Ok::<_, Error>(answers::touched(conn, period, window)?))
        .await?;
    let model = query.model.unwrap_or_default();
    let mut credits = share(&rows, model, half_life);
    let unattributed = credits.remove(&None).unwrap_or_default().view();
    let mut campaigns: Vec<_> = credits
        .into_iter()
        .filter_map(|(campaign, earned)| Some((campaign?, earned)))
        .filter(|(campaign, _)| period.campaign.is_none_or(|only| only == *campaign))
        .collect();
    campaigns.sort_by(|(a, one), (b, other)| {
        let order = other.total().cmp(&one.total());
        let order = order.then(other.conversions.total_cmp(&one.conversions));
        order.then(a.cmp(b))
    });
    let view = |(campaign_id, earned): (CampaignId, Earned)| CampaignCredit {
        campaign_id,
        credit: earned.view(),
    };
    let value = AttributionView {
        from: period.from,
        to: period.to,
        model,
        window_days: window.num_days(),
        campaigns: campaigns.into_iter().map(view).collect(),
        unattributed,
    };
    Ok(Read { value, staleness })
}

/// What a campaign earned.
#[derive(Debug, Default)]
struct Earned {
    conversions: f64,
    revenue: BTreeMap<String, i64>,
}

impl Earned {
    fn add(&mut self, share: f64, currency: Option<&str>, amount: i64) {
        self.conversions += share;
        if let Some(currency) = currency {
            *self.revenue.entry(currency.to_owned()).or_default() += amount;
        }
    }

    /// For an order only: sums of different currencies mean nothing together.
    fn total(&self) -> i64 {
        self.revenue.values().sum()
    }

    fn view(self) -> Credit {
        let sums = self.revenue.into_iter();
        Credit {
            conversions: self.conversions,
            revenue: money(
                sums.map(|(currency, amount)| Sum { currency, amount })
                    .collect(),
            ),
        }
    }
}

/// Shares every conversion among its touches; `rows` are sorted by conversion.
fn share(
    rows: &[Touched],
    model: Model,
    half_life: Duration,
) -> BTreeMap<Option<CampaignId>, Earned> {
    let mut credits: BTreeMap<Option<CampaignId>, Earned> = BTreeMap::new();
    for rows in rows.chunk_by(|a, b| a.conversion == b.conversion) {
        let Some(conversion) = rows.first() else {
            continue;
        };
        let touches: Vec<_> = rows.iter().filter_map(|row| row.touched_at).collect();
        let currency = conversion.currency.as_deref();
        // What is only taken back is no conversion of its own.
        let counts = f64::from(u8::from(conversion.amount >= 0));
        if touches.is_empty() {
            let none = credits.entry(None).or_default();
            none.add(counts, currency, conversion.amount);
            continue;
        }
        let parts = shares::shares(model, half_life, &touches, conversion.at);
        let amounts = shares::cut(conversion.amount, &parts);
        for ((row, share), amount) in rows.iter().zip(parts).zip(amounts) {
            if share > 0.0 {
                let earned = credits.entry(row.campaign_id).or_default();
                earned.add(share * counts, currency, amount);
            }
        }
    }
    credits
}

/// What people do between coming and going.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Sessions)]
pub struct SessionsView {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub sessions: i64,
    /// Of them, those with one event only.
    pub bounced: i64,
    pub views_per_session: f64,
    pub seconds_per_session: f64,
}

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_sessions",
    params(PeopleQuery),
    responses(
        (status = 200, description = "How often people came, and for how long", body = SessionsView, headers(("X-Clarion-Staleness-Ms" = Option<u64>, description = "How old the answer is at most; absent when the database itself answered"))),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/sessions")]
pub(crate) async fn sessions(
    state: Data<State>,
    caller: Caller,
    query: Query<PeopleQuery>,
) -> Result<Read<SessionsView>, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let period = query
        .report()
        .period(caller.workspace, state.host.clock.now())?;
    let gap = query.gap_minutes.unwrap_or(USUAL_GAP_MINUTES);
    if !(1..=1440).contains(&gap) {
        return Err(InvalidInput::field("query/gap_minutes", "must be between 1 and 1440").into());
    }
    let Read {
        value: found,
        staleness,
    } = state
        .reads
        .run(move |conn| Ok::<_, Error>(answers::sessions(conn, period, Duration::minutes(gap))?))
        .await?;
    let each = |sum: i64| sum as f64 / found.sessions.max(1) as f64;
    let value = SessionsView {
        from: period.from,
        to: period.to,
        sessions: found.sessions,
        bounced: found.bounced,
        views_per_session: each(found.views),
        seconds_per_session: each(found.seconds),
    };
    Ok(Read { value, staleness })
}
