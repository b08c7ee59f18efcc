//! `GET /api/v1/analytics/export`: a period's events as a file.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use bytes::Bytes;
use chassis::auth::Caller;
use chassis::http::Query;
use chassis::http::download::{CSV, download, encode, guarded};
use chassis::reads;
use chrono::{DateTime, SecondsFormat, Utc};
use common::CampaignId;
use common::auth::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::reports::ReportQuery;
use crate::error::Error;
use crate::store::exports::{self, Exported, Place};
use crate::store::reports::Period;

/// Events read at once.
const PART: i64 = 2_000;

/// What a file of events is written as.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::ExportFormat)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Csv,
    Ndjson,
}

#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// The first moment; 30 days before `to` when absent.
    from: Option<DateTime<Utc>>,
    /// The moment after the last; now when absent.
    to: Option<DateTime<Utc>>,
    /// Only this campaign's events.
    campaign_id: Option<CampaignId>,
    /// `csv` (usual), or `ndjson`: an event a line, as JSON.
    format: Option<Format>,
}

const COLUMNS: [&str; 26] = [
    "id",
    "type",
    "name",
    "occurred_at",
    "received_at",
    "campaign_id",
    "lead_id",
    "message_id",
    "user_id",
    "anonymous_id",
    "source_id",
    "url",
    "link",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "device",
    "country",
    "user_agent",
    "amount",
    "currency",
    "order_id",
    "verdict",
    "reasons",
    "properties",
    "context",
];

#[utoipa::path(
    tag = "analytics",
    operation_id = "analytics_export",
    params(ExportQuery),
    responses(
        (status = 200, description = "The events that happened in the period, machines' included, in the order they were received", content(
            (String = "text/csv"),
            (Exported = "application/x-ndjson"),
        )),
        (status = 422, description = "The query cannot be answered", body = common::Problem),
    )
)]
#[get("/api/v1/analytics/export")]
pub(crate) async fn export(
    state: Data<State>,
    caller: Caller,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::AnalyticsRead)?;
    let report = ReportQuery::over(query.from, query.to, query.campaign_id);
    let period = report.period(caller.workspace, state.host.clock.now())?;
    let format = query.format.unwrap_or_default();
    let (name, content_type, header) = match format {
        Format::Csv => (
            "events.csv",
            CSV,
            encode([COLUMNS.map(str::to_owned).to_vec()]),
        ),
        Format::Ndjson => ("events.ndjson", "application/x-ndjson", Bytes::new()),
    };
    // A later part is never read from further back than this, only from nearer.
    let staleness = reads::header(state.reads.staleness());
    let mut answer = download(name, content_type, header, None, move |after| {
        part(state.clone(), period, format, after)
    });
    if let Some((name, age)) = staleness
        && let Ok(age) = HeaderValue::try_from(age)
    {
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static(name), age);
    }
    Ok(answer)
}

async fn part(
    state: Data<State>,
    period: Period,
    format: Format,
    after: Option<Place>,
) -> Result<(Bytes, Option<Option<Place>>), Error> {
    let events = state
        .reads
        .run(move |conn| Ok::<_, Error>(exports::page(conn, period, after, PART)?))
        .await?
        .value;
    let full = events.len() as i64 == PART;
    let last = events
        .last()
        .map(|event| Some((event.received_at, event.id)));
    let bytes = match format {
        Format::Csv => encode(events.into_iter().map(row)),
        Format::Ndjson => lines(&events),
    };
    Ok((bytes, last.filter(|_| full)))
}

fn lines(events: &[Exported]) -> Bytes {
    let mut text = Vec::new();
    for event in events {
        // Plain data with string keys cannot fail to be written.
        text.extend(serde_json::to_vec(event).unwrap_or_default());
        text.push(b'\n');
    }
    text.into()
}

fn row(event: Exported) -> Vec<String> {
    fn plain(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let text = |value: Option<String>| guarded(&value.unwrap_or_default());
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let json = |value: Option<Value>| plain(value);
    vec![
        event.id.to_string(),
        guarded(&event.kind),
        text(event.name),
        time(event.occurred_at),
        time(event.received_at),
        plain(event.campaign_id),
        plain(event.lead_id),
        plain(event.message_id),
        text(event.user_id),
        text(event.anonymous_id),
        plain(event.source_id),
        text(event.url),
        plain(event.link),
        text(event.utm_source),
        text(event.utm_medium),
        text(event.utm_campaign),
        text(event.device),
        text(event.country),
        text(event.user_agent),
        plain(event.amount),
        plain(event.currency),
        text(event.order_id),
        event.verdict,
        event.reasons.join(" "),
        json(event.properties),
        json(event.context),
    ]
}
