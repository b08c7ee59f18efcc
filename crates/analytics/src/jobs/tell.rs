//! Tells other services what people clicked, once a burst would have shown that a scanner did.

use std::time::Duration;

use chassis::{Host, outbox};
use chrono::{DateTime, Utc};
use common::events::EngagementRecorded;
use diesel::PgConnection;
use uuid::Uuid;

use crate::error::Error;
use crate::store::held;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(1);
/// Most clicks of one event.
const AT_ONCE: i64 = 1_000;

/// Tells of some clicks of one workspace; answers whether there were any. To be run in a transaction.
pub fn round(conn: &mut PgConnection, now: DateTime<Utc>) -> diesel::QueryResult<bool> {
    let Some((workspace, items)) = held::take(conn, now, AT_ONCE)? else {
        return Ok(false);
    };
    let batch_id = Uuid::now_v7();
    outbox::push(conn, workspace, &EngagementRecorded { batch_id, items })?;
    Ok(true)
}

/// Tells until the service stops.
pub async fn run(host: Host) {
    loop {
        let now = host.clock.now();
        let told = host
            .db
            .transaction(move |conn| Ok::<_, Error>(round(conn, now)?));
        match told.await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "clicks are told of later"),
        }
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
