//! Erases what events say of leads who were deleted.

use std::time::Duration;

use chassis::Host;
use diesel::PgConnection;

use crate::error::Error;
use crate::store::erasures;

const EVERY: Duration = Duration::from_secs(5);

/// All that was asked for.
pub fn all(conn: &mut PgConnection) -> diesel::QueryResult<()> {
    while erasures::some(conn)? > 0 {}
    Ok(())
}

/// Erases until the service stops.
pub async fn run(host: Host) {
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
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
