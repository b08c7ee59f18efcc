//! `/api/v1/campaigns/{id}/settlement` and `/report`: where everybody is, and how they took it.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chassis::auth::Caller;
use chassis::http::Path;
use common::CampaignId;
use common::auth::Scope;
use common::dto::dispatch::{Limit, LimitKind, Settlement, Speed};
use common::dto::report::{Hits, LinkHits};
use serde::Serialize;

use super::campaigns::find;
use crate::State;
use crate::domain::campaign::{Campaign, Status, settlement};
use crate::error::Error;
use crate::store::dispatches;

/// Counts of a campaign. A part that did not answer is named in `missing` and its figures are null.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::Report)]
pub(crate) struct Report {
    #[serde(flatten)]
    settlement: Settlement,
    opens: Option<Hits>,
    clicks: Option<Hits>,
    unsubscribes: Option<Hits>,
    complaints: Option<Hits>,
    links: Option<Vec<LinkHits>>,
    conversions: Conversions,
    missing: Vec<&'static str>,
}

/// What people booked and bought, in minor units. Zero until a commerce service reports sales.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = campaigns::Conversions)]
pub(crate) struct Conversions {
    bookings: i64,
    orders: i64,
    revenue: i64,
    refunds: i64,
    net: i64,
    currency: Option<String>,
}

async fn settle(state: &State, campaign: &Campaign) -> Result<Settlement, Error> {
    let (workspace, id) = (campaign.workspace_id, campaign.id);
    let dispatch = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(dispatches::get(conn, workspace, id)?))
        .await?;
    let Some(dispatch) = dispatch else {
        return Ok(Settlement::default());
    };
    let ledger = match state.peers.settlement(workspace, id).await {
        // Started, and notifications has not heard of it yet.
        Err(error) if error.code() == Some("campaign_not_found") => Settlement::default(),
        answer => answer?,
    };
    Ok(settlement(
        ledger,
        dispatch.progress(),
        campaign.status == Status::Cancelled,
    ))
}

/// `GET /campaigns/{id}/settlement`
#[utoipa::path(
    get, path = "/api/v1/campaigns/{id}/settlement", operation_id = "campaigns_settlement", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "Where everybody is; `audience` is the sum of the next six", body = Settlement),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn get_settlement(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let campaign = find(&state, &caller, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(settle(&state, &campaign).await?))
}

/// `GET /campaigns/{id}/speed`
#[utoipa::path(
    get, path = "/api/v1/campaigns/{id}/speed", operation_id = "campaigns_speed", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "How fast it is sent now, and what limits that", body = Speed),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn speed(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let campaign = find(&state, &caller, id.into_inner()).await?;
    let asked = state.peers.speed(campaign.workspace_id, campaign.id).await;
    let speed = match asked {
        // Nothing of it was handed over yet.
        Err(error) if error.code() == Some("campaign_not_found") => at_rest(campaign.status),
        answer => answer?,
    };
    Ok(HttpResponse::Ok().json(speed))
}

fn at_rest(status: Status) -> Speed {
    let (kind, detail) = match status {
        Status::Paused => (LimitKind::Paused, "it is paused"),
        _ => (LimitKind::Nothing, "nothing is waiting to be sent"),
    };
    let limit = Limit {
        kind,
        sender: None,
        domain: None,
        detail: detail.to_owned(),
        until: None,
    };
    Speed {
        per_second: 0.0,
        limited_by: vec![limit],
    }
}

/// `GET /campaigns/{id}/report`
#[utoipa::path(
    get, path = "/api/v1/campaigns/{id}/report", operation_id = "campaigns_report", tag = "campaigns",
    params(("id" = CampaignId, Path, description = "The campaign")),
    responses(
        (status = 200, description = "Settlement and engagement", body = Report),
        (status = 404, description = "There is none", body = common::Problem),
    )
)]
pub(crate) async fn report(
    state: Data<State>,
    caller: Caller,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Error> {
    caller.require(Scope::CampaignsRead)?;
    let campaign = find(&state, &caller, id.into_inner()).await?;
    let (settlement, engagement) = futures::join!(
        settle(&state, &campaign),
        state.peers.engagement(campaign.workspace_id, campaign.id),
    );
    let mut missing = Vec::new();
    let engagement = engagement
        .map_err(|error| {
            tracing::warn!(campaign.id = %campaign.id, %error, "a report without engagement");
            missing.push("analytics");
        })
        .ok();
    Ok(HttpResponse::Ok().json(Report {
        settlement: settlement?,
        opens: engagement.as_ref().map(|e| e.opens),
        clicks: engagement.as_ref().map(|e| e.clicks),
        unsubscribes: engagement.as_ref().map(|e| e.unsubscribes),
        complaints: engagement.as_ref().map(|e| e.complaints),
        links: engagement.map(|e| e.links),
        conversions: Conversions {
            bookings: 0,
            orders: 0,
            revenue: 0,
            refunds: 0,
            net: 0,
            currency: campaign.draft.budget.map(|budget| budget.currency.into()),
        },
        missing,
    }))
}
