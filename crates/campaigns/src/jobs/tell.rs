//! Tells notifications what has become of a campaign. It passes on the state at the time it runs,
//! not the wish that enqueued it, so that a late pause never overtakes a resume.

use chassis::client::PeerError;
use chassis::jobs::Done;

use super::again;
use crate::State;
use crate::domain::campaign::Status;
use crate::error::Error;
use crate::peers::Order;
use crate::store::campaigns;
use crate::tasks::Tell;

pub(crate) async fn run(state: State, job: Tell, attempt: u32) -> Done {
    match tell(&state, &job).await {
        Ok(()) => Done::Done,
        // Not registered there yet: there is nothing to pause or cancel.
        Err(Error::Peer(PeerError::Refused(problem))) if problem.status == 404 => Done::Done,
        Err(error) => again(&error, attempt),
    }
}

async fn tell(state: &State, job: &Tell) -> Result<(), Error> {
    let (workspace, id) = (job.workspace, job.campaign);
    let campaign = state
        .host
        .db
        .run(move |conn| Ok::<_, Error>(campaigns::get(conn, workspace, id)?))
        .await?;
    let order = match campaign.map(|campaign| campaign.status) {
        Some(Status::Paused) => Order::Pause,
        Some(Status::Running) => Order::Resume,
        Some(Status::Cancelled) => Order::Cancel,
        _ => return Ok(()),
    };
    Ok(state.peers.order(workspace, id, order).await?)
}
