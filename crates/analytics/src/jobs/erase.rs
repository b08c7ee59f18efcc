//! Erases what events say of leads who were deleted.

use std::sync::Arc;
use std::time::Duration;

use chassis::Host;
use diesel::PgConnection;
use tokio::sync::Notify;

use crate::error::Error;
use crate::store::erasures;

/// How often it looks when nobody rings.
const EVERY: Duration = Duration::from_secs(60);

/// All that was asked for.
pub fn all(conn: &mut PgConnection) -> diesel::QueryResult<()> {
    while erasures::some(conn)? > 0 {}
    Ok(())
}

/// Erases until the service stops, whenever `bell` rings.
pub async fn run(host: Host, bell: Arc<Notify>) {
    loop {
        let done: Result<usize, Error> = host.db.run(|conn| Ok(erasures::some(conn)?)).await;
        match done {
            Ok(0) => {}
            Ok(leads) => {
                tracing::info!(leads, "events of deleted leads are erased");
                continue;
            }
            Err(error) => tracing::warn!(%error, "erasing is tried again later"),
        }
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = bell.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
