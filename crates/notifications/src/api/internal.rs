//! What `campaigns` asks of delivery.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use chassis::Unavailable;
use chassis::auth::ServiceCaller;
use chassis::http::{Json, Path, Query};
use common::dto::dispatch::{
    CampaignOrder, CampaignSnapshot, HandOver, HandedOver, Limit, LimitKind, Settlement, Speed,
    TestSend,
};
use common::ids::{CampaignId, MessageId, WorkspaceId};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};

use super::check;
use crate::delivery::Outlets;
use crate::store::campaigns::{self, Campaign};
use crate::store::claims::Kind;
use crate::store::handover::{self, Single};
use crate::store::{replicas, snapshots};
use crate::{AppState, Error};

/// `PUT /internal/campaigns/{id}`
#[tracing::instrument(name = "campaigns.put", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn put_campaign(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    body: Json<CampaignSnapshot>,
) -> Result<HttpResponse, Error> {
    let (id, snapshot, now) = (id.into_inner(), body.into_inner(), state.clock.now());
    let snapshot = checked(snapshot, "").await?;
    state
        .db
        .transaction(move |conn| {
            let kept = snapshots::keep(conn, &snapshot, now)?;
            let workspace = snapshot.workspace_id;
            if campaigns::insert(conn, workspace, id, kept, snapshot.ambiguous, now)? {
                return Ok(());
            }
            let known = campaigns::lock(conn, workspace, id)?.ok_or(Error::NoCampaign(id))?;
            if known.snapshot_id == kept {
                return Ok(());
            }
            if known.settlement().audience > 0 {
                return Err(Error::ContentDiffers(id));
            }
            Ok(campaigns::replace_snapshot(
                conn,
                &known,
                kept,
                snapshot.ambiguous,
            )?)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Compiles the content on a blocking thread: a large one takes a while.
async fn checked(snapshot: CampaignSnapshot, at: &'static str) -> Result<CampaignSnapshot, Error> {
    let checked = web::block(move || check(&snapshot, at).map(|_| snapshot)).await;
    let checked = checked.map_err(|error| Unavailable::because("rendering", error))?;
    Ok(checked?)
}

/// `POST /internal/campaigns/{id}/recipients`
#[tracing::instrument(name = "campaigns.hand_over", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn hand_over(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    body: web::Json<HandOver>,
) -> Result<web::Json<HandedOver>, Error> {
    let (id, page, now) = (id.into_inner(), body.into_inner(), state.clock.now());
    let partitions = Arc::clone(&state.partitions);
    let added = state
        .db
        .transaction(move |conn| {
            let workspace = page.workspace_id;
            let find =
                |conn: &mut _| campaigns::find(conn, workspace, id)?.ok_or(Error::NoCampaign(id));
            let campaign = find(conn)?;
            let added =
                handover::add_recipients(conn, &partitions, &campaign, page.recipients, now)?;
            // Our counts are written, so an operator's doubts came either before, which is seen
            // here, or will find these messages.
            if find(conn)?.restored_at != campaign.restored_at {
                return Err(Unavailable::new("the ledger").into());
            }
            Ok::<_, Error>(added)
        })
        .await?;
    state.wake.ring();
    Ok(web::Json(HandedOver { added }))
}

/// Changes a campaign that is held for the time.
async fn change(
    state: &AppState,
    workspace: WorkspaceId,
    id: CampaignId,
    change: impl FnOnce(&mut PgConnection, &Campaign) -> Result<(), Error> + Send + 'static,
) -> Result<HttpResponse, Error> {
    state
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NoCampaign(id))?;
            change(conn, &campaign)
        })
        .await?;
    state.wake.ring();
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /internal/campaigns/{id}/complete`: everybody was handed over.
#[tracing::instrument(name = "campaigns.complete", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn complete(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    body: Json<CampaignOrder>,
) -> Result<HttpResponse, Error> {
    let now = state.clock.now();
    change(
        &state,
        body.workspace_id,
        id.into_inner(),
        move |conn, campaign| Ok(campaigns::complete(conn, campaign, now)?),
    )
    .await
}

/// `POST /internal/campaigns/{id}/pause`: nothing is begun any more once this is answered.
#[tracing::instrument(name = "campaigns.pause", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn pause(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    body: Json<CampaignOrder>,
) -> Result<HttpResponse, Error> {
    set_running(&state, body.workspace_id, id.into_inner(), "paused").await
}

/// `POST /internal/campaigns/{id}/resume`
#[tracing::instrument(name = "campaigns.resume", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn resume(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    body: Json<CampaignOrder>,
) -> Result<HttpResponse, Error> {
    set_running(&state, body.workspace_id, id.into_inner(), "running").await
}

async fn set_running(
    state: &AppState,
    workspace: WorkspaceId,
    id: CampaignId,
    wanted: &'static str,
) -> Result<HttpResponse, Error> {
    change(state, workspace, id, move |conn, campaign| {
        if campaign.state == "cancelled" {
            return Err(Error::Cancelled(id));
        }
        Ok(campaigns::set_state(conn, campaign, wanted)?)
    })
    .await
}

/// `POST /internal/campaigns/{id}/cancel`: what is not in the hands of the server yet is skipped,
/// a little later when there is much of it.
#[tracing::instrument(name = "campaigns.cancel", skip_all, fields(campaign.id = %id.0))]
pub(crate) async fn cancel(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    body: Json<CampaignOrder>,
) -> Result<HttpResponse, Error> {
    change(
        &state,
        body.workspace_id,
        id.into_inner(),
        |conn, campaign| Ok(campaigns::set_state(conn, campaign, "cancelled")?),
    )
    .await
}

/// `?workspace_id=`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfWorkspace {
    workspace_id: WorkspaceId,
}

/// `GET /internal/campaigns/{id}/settlement`
pub(crate) async fn settlement(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    query: Query<OfWorkspace>,
) -> Result<web::Json<Settlement>, Error> {
    let (id, workspace) = (id.into_inner(), query.workspace_id);
    let campaign = state
        .db
        .run(move |conn| campaigns::find(conn, workspace, id)?.ok_or(Error::NoCampaign(id)))
        .await?;
    Ok(web::Json(campaign.settlement()))
}

/// `GET /internal/campaigns/{id}/speed`: over all replicas, as of the last second or two.
pub(crate) async fn speed(
    state: Data<AppState>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    query: Query<OfWorkspace>,
) -> Result<web::Json<Speed>, Error> {
    let (id, workspace) = (id.into_inner(), query.workspace_id);
    let (campaign, reports) = state
        .db
        .run(move |conn| {
            let campaign = campaigns::find(conn, workspace, id)?.ok_or(Error::NoCampaign(id))?;
            Ok::<_, Error>((campaign, replicas::reports(conn)?))
        })
        .await?;
    let mut speed = Outlets::speed(reports, id);
    let only = |kind, detail: &str| Limit {
        kind,
        sender: None,
        domain: None,
        detail: detail.to_owned(),
        until: None,
    };
    if campaign.state == "paused" {
        speed.limited_by = vec![only(LimitKind::Paused, "it is paused")];
    } else if campaign.state == "cancelled" || campaign.settlement().pending == 0 {
        speed.limited_by = vec![only(LimitKind::Nothing, "nothing is waiting to be sent")];
    } else if let Some(why) = state.guard.held() {
        speed.limited_by = vec![only(LimitKind::LedgerHeld, &why)];
    } else if speed.limited_by.is_empty() {
        speed.limited_by = vec![only(LimitKind::Nothing, "it goes as fast as it can")];
    }
    Ok(web::Json(speed))
}

#[derive(Debug, Serialize)]
pub(crate) struct TestSent {
    message_ids: Vec<MessageId>,
}

/// `POST /internal/test-sends`: one mail to each address, outside of every count.
#[tracing::instrument(name = "campaigns.test", skip_all)]
pub(crate) async fn test_sends(
    state: Data<AppState>,
    _caller: ServiceCaller,
    body: Json<TestSend>,
) -> Result<web::Json<TestSent>, Error> {
    let (TestSend { snapshot, to, lead }, now) = (body.into_inner(), state.clock.now());
    let snapshot = checked(snapshot, "/snapshot").await?;
    let partitions = Arc::clone(&state.partitions);
    let message_ids = state
        .db
        .transaction(move |conn| {
            let snapshot_id = snapshots::keep(conn, &snapshot, now)?;
            let add = |to| {
                let single = Single {
                    kind: Kind::Test,
                    to,
                    snapshot_id,
                    variables: &lead,
                    attachments: &[],
                };
                handover::add_single(conn, &partitions, snapshot.workspace_id, &single, now)
            };
            Ok::<_, Error>(to.iter().map(add).collect::<Result<Vec<_>, _>>()?)
        })
        .await?;
    state.wake.ring();
    Ok(web::Json(TestSent { message_ids }))
}
