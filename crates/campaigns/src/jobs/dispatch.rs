//! Hands a campaign's audience to notifications, page by page. The cursor moves only after a page
//! is acknowledged; a page that is handed over twice changes nothing there.

use chassis::client::PeerError;
use chassis::jobs::Done;
use common::dto::audience::{AudiencePage, AudiencePageQuery};
use common::dto::dispatch::{HandOver, HandedRecipient};

use super::again;
use crate::State;
use crate::domain::campaign::{Status, Step};
use crate::error::Error;
use crate::peers::Order;
use crate::store::{campaigns, dispatches};
use crate::tasks::Dispatch;

/// Recipients in one page.
const PAGE: i64 = 1_000;

pub(crate) async fn run(state: State, job: Dispatch, attempt: u32) -> Done {
    match dispatch(&state, &job).await {
        Ok(()) => Done::Done,
        Err(Error::Peer(PeerError::Refused(problem))) if problem.status != 401 => {
            let reason = format!("the campaign was refused: {}", problem.detail);
            match pause(&state, &job, reason).await {
                Ok(()) => Done::Done,
                Err(error) => again(&error, attempt),
            }
        }
        Err(error) => again(&error, attempt),
    }
}

async fn dispatch(state: &State, job: &Dispatch) -> Result<(), Error> {
    let Some(first) = current(state, job).await? else {
        return Ok(());
    };
    state
        .peers
        .register(job.campaign, &first.snapshot.0)
        .await?;
    // A resume may find it registered and paused.
    state
        .peers
        .order(job.workspace, job.campaign, Order::Resume)
        .await?;
    while let Some(dispatch) = current(state, job).await? {
        let query = AudiencePageQuery {
            query: dispatch.query(),
            after: dispatch.cursor,
            limit: PAGE,
        };
        let page = state.peers.page(&query).await?;
        let next = page.next;
        if !page.items.is_empty() {
            hand_over(state, &dispatch, page).await?;
        }
        if next.is_none() {
            return finish(state, job, dispatch).await;
        }
    }
    Ok(())
}

/// The dispatch, unless it is complete or the campaign does not run.
async fn current(state: &State, job: &Dispatch) -> Result<Option<dispatches::Dispatch>, Error> {
    let (workspace, id) = (job.workspace, job.campaign);
    state
        .host
        .db
        .run(move |conn| {
            let campaign = campaigns::get(conn, workspace, id)?;
            if campaign.is_none_or(|campaign| campaign.status != Status::Running) {
                return Ok(None);
            }
            let dispatch = dispatches::get(conn, workspace, id)?;
            Ok(dispatch.filter(|dispatch| !dispatch.complete))
        })
        .await
}

async fn hand_over(
    state: &State,
    dispatch: &dispatches::Dispatch,
    page: AudiencePage,
) -> Result<(), Error> {
    let when = dispatch
        .schedule
        .as_ref()
        .and_then(|schedule| schedule.0.when().ok());
    let count = i64::try_from(page.items.len()).unwrap_or(i64::MAX);
    let Some(last) = page.items.last().map(|recipient| recipient.lead_id) else {
        return Ok(());
    };
    let recipients = page
        .items
        .into_iter()
        .map(|recipient| HandedRecipient {
            not_before: when.and_then(|when| when.for_recipient(recipient.timezone.as_deref())),
            recipient,
        })
        .collect();
    let body = HandOver {
        workspace_id: dispatch.workspace_id,
        recipients,
    };
    state.peers.hand_over(dispatch.campaign_id, &body).await?;
    let dispatch = dispatch.clone();
    let advanced =
        move |conn: &mut _| dispatches::advance(conn, &dispatch, last, count).map_err(Error::from);
    // Whoever moved the cursor first handed the same page over; go on from there.
    state.host.db.run(advanced).await.map(drop)
}

async fn finish(
    state: &State,
    job: &Dispatch,
    dispatch: dispatches::Dispatch,
) -> Result<(), Error> {
    state
        .peers
        .order(job.workspace, job.campaign, Order::Complete)
        .await?;
    state
        .host
        .db
        .run(move |conn| Ok(dispatches::complete(conn, &dispatch)?))
        .await
}

async fn pause(state: &State, job: &Dispatch, reason: String) -> Result<(), Error> {
    let (workspace, id, now) = (job.workspace, job.campaign, state.host.clock.now());
    tracing::warn!(campaign.id = %id, reason, "a campaign cannot be dispatched and was paused");
    state
        .host
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
            if campaign.status != Status::Running {
                return Ok(());
            }
            let mut paused = campaign.moved(Step::Pause, now)?;
            paused.paused_reason = Some(reason);
            Ok(campaigns::update(conn, &paused)?)
        })
        .await
}
