//! Uploads that broke off with their process leave nothing behind.

use std::time::Duration;

use chassis::Host;
use diesel::PgConnection;

use crate::error::Error;
use crate::store::imports;

/// How often abandoned uploads are looked for, and how old they must be.
const EVERY: Duration = Duration::from_secs(600);
const OLD: chrono::Duration = chrono::Duration::hours(6);

pub(crate) async fn run(host: Host) {
    loop {
        let before = host.clock.now() - OLD;
        match host.db.transaction(move |conn| sweep(conn, before)).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "abandoned uploads forgotten"),
            Err(error) => tracing::warn!(%error, "abandoned uploads stay for now"),
        }
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn sweep(conn: &mut PgConnection, before: chrono::DateTime<chrono::Utc>) -> Result<usize, Error> {
    let abandoned = imports::abandoned(conn, before)?;
    for (workspace, id) in &abandoned {
        imports::forget(conn, *workspace, *id)?;
    }
    Ok(abandoned.len())
}
