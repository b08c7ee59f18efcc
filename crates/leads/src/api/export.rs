//! `GET /leads/export`

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use bytes::Bytes;
use chassis::auth::Caller;
use chassis::http::Query;
use chassis::http::download::{CSV, download, encode, guarded};
use chrono::SecondsFormat;
use common::LeadId;
use common::auth::Scope;

use super::leads::LeadQuery;
use crate::error::Error;
use crate::state::State;
use crate::store::leads::{self, Filter, Lead};

/// Leads read at once.
const PART: i64 = 2_000;
const COLUMNS: [&str; 15] = [
    "id",
    "email",
    "first_name",
    "last_name",
    "phone",
    "company",
    "status",
    "score",
    "source",
    "timezone",
    "locale",
    "tags",
    "attributes",
    "created_at",
    "updated_at",
];

/// `GET /leads/export`: every lead that the filter lets through, oldest first.
#[utoipa::path(
    get, path = "/api/v1/leads/export", tag = "leads", operation_id = "leads_export",
    params(LeadQuery),
    responses(
        (status = 200, description = "All of them, as CSV", content_type = "text/csv", body = String),
        (status = 404, description = "No such list or segment", body = common::Problem),
    )
)]
pub(crate) async fn export(
    state: Data<State>,
    caller: Caller,
    query: Query<LeadQuery>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::LeadsRead)?;
    let (query, workspace, now) = (query.into_inner(), caller.workspace, state.host.clock.now());
    query.page()?;
    let filter = state
        .host
        .db
        .run(move |conn| query.filter(conn, workspace, now))
        .await?;
    let (filter, header) = (
        Arc::new(filter),
        encode([COLUMNS.map(str::to_owned).to_vec()]),
    );
    Ok(download("leads.csv", CSV, header, None, move |after| {
        part(state.clone(), Arc::clone(&filter), after)
    }))
}

async fn part(
    state: Data<State>,
    filter: Arc<Filter>,
    after: Option<LeadId>,
) -> Result<(Bytes, Option<Option<LeadId>>), Error> {
    let leads = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(leads::oldest(conn, &filter, after, PART)?))
        .await?;
    let next = leads.last().map(|last| Some(last.id));
    let next = next.filter(|_| leads.len() as i64 == PART);
    Ok((encode(leads.into_iter().map(row)), next))
}

fn row(lead: Lead) -> Vec<String> {
    let text = |value: Option<String>| guarded(&value.unwrap_or_default());
    let time =
        |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    vec![
        lead.id.to_string(),
        guarded(&lead.email),
        text(lead.first_name),
        text(lead.last_name),
        text(lead.phone),
        text(lead.company),
        lead.status,
        lead.score.to_string(),
        text(lead.source),
        text(lead.timezone),
        text(lead.locale),
        guarded(&lead.tags.join(";")),
        lead.attributes.to_string(),
        time(lead.created_at),
        time(lead.updated_at),
    ]
}
