//! Says of campaigns that no sender takes anything of them, and takes it back.

use std::time::{Duration, Instant};

use chassis::Db;
use chrono::{DateTime, Utc};

use super::courses::Courses;
use super::outlets::ReadError;
use crate::store::holds;

/// A campaign is held when nothing of it could be sent for this long.
const LONG: Duration = Duration::from_secs(3);

/// Holds and releases campaigns by what this process has seen of them; all, while `ledger` says why
/// nothing at all may be sent.
pub(super) async fn round(
    db: &Db,
    courses: &Courses,
    ledger: Option<String>,
    at: DateTime<Utc>,
) -> Result<(), ReadError> {
    if let Some(reason) = ledger {
        return db
            .transaction(move |conn| Ok(holds::hold_all(conn, &reason, at)?))
            .await;
    }
    let now = Instant::now();
    let held = db.run(|conn| Ok::<_, ReadError>(holds::all(conn)?)).await?;
    let over = held
        .iter()
        .filter(|campaign| !campaign.goes_on || courses.moves(campaign.id, now))
        .filter(|campaign| !campaign.goes_on || !courses.is_kept_back(campaign.id))
        .map(|campaign| (campaign.workspace_id, campaign.id));
    let over: Vec<_> = over.collect();
    let known = |id| held.iter().any(|campaign| campaign.id == id);
    let mut new = courses.held_back(LONG, now);
    new.retain(|(_, id, _)| !known(*id));
    if over.is_empty() && new.is_empty() {
        return Ok(());
    }
    db.transaction(move |conn| {
        for key in over {
            holds::release(conn, key)?;
        }
        for (workspace, id, reason) in new {
            tracing::warn!(campaign.id = %id, reason, "no sender takes anything of a campaign");
            holds::hold(conn, (workspace, id), &reason, at)?;
        }
        Ok(())
    })
    .await
}
