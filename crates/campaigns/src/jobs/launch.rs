//! Starts a scheduled campaign when its time has come.

use chassis::jobs::Done;

use super::again;
use crate::State;
use crate::domain::campaign::{Status, Step};
use crate::domain::preflight::Level;
use crate::error::Error;
use crate::starting;
use crate::store::campaigns;
use crate::tasks::Launch;

pub(crate) async fn run(state: State, job: Launch) -> Done {
    match launch(&state, &job).await {
        Ok(()) => Done::Done,
        Err(error) => again(&error, 1),
    }
}

/// Looks once more, because the world has moved since it was scheduled: errors hold it back and
/// say why; warnings were accepted then.
async fn launch(state: &State, job: &Launch) -> Result<(), Error> {
    let (workspace, id) = (job.workspace, job.campaign);
    let campaign = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(campaigns::get(conn, workspace, id)?))
        .await?;
    let Some(campaign) = campaign.filter(|campaign| campaign.status == Status::Scheduled) else {
        return Ok(());
    };
    let (checks, count) = starting::look(state, &campaign).await?;
    let errors: Vec<_> = checks
        .iter()
        .filter(|check| check.level == Level::Error && check.name != "schedule")
        .map(|check| check.detail.clone())
        .collect();
    if errors.is_empty() {
        starting::begin(state, workspace, id, count).await?;
        return Ok(());
    }
    hold_back(state, job, errors.join("; ")).await
}

async fn hold_back(state: &State, job: &Launch, reason: String) -> Result<(), Error> {
    let (workspace, id, now) = (job.workspace, job.campaign, state.host.clock.now());
    tracing::warn!(campaign.id = %id, reason, "a scheduled campaign was not started");
    state
        .host
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
            let mut paused = campaign.moved(Step::Pause, now)?;
            paused.paused_reason = Some(reason);
            Ok(campaigns::update(conn, &paused)?)
        })
        .await
}
