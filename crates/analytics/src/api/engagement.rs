//! What `campaigns` asks.

use actix_web::get;
use actix_web::web::Data;
use chassis::auth::ServiceCaller;
use chassis::http::{Path, Query};
use chassis::reads::Read;
use common::dto::report::CampaignEngagement;
use common::{CampaignId, WorkspaceId};
use serde::Deserialize;

use super::State;
use crate::error::Error;
use crate::store;

/// Most links in a report.
const LINKS: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfWorkspace {
    workspace_id: WorkspaceId,
}

/// `GET /internal/campaigns/{id}/engagement?workspace_id=`
#[get("/internal/campaigns/{id}/engagement")]
pub(crate) async fn engagement(
    state: Data<State>,
    _caller: ServiceCaller,
    id: Path<CampaignId>,
    query: Query<OfWorkspace>,
) -> Result<Read<CampaignEngagement>, Error> {
    let (workspace, campaign) = (query.workspace_id, id.into_inner());
    state
        .reads
        .run(move |conn| {
            let answer = store::counted::at_one_moment(conn, |conn| {
                store::reports::engagement(conn, workspace, campaign, LINKS)
            });
            Ok::<_, Error>(answer?)
        })
        .await
}
