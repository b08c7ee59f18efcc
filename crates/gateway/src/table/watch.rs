//! The table's file is read again when it changes, or when SIGHUP says so. A table with anything
//! wrong in it is not taken: the old one serves on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use super::Table;
use crate::gate::Shared;
use crate::upstream;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps the table as its file says, until the gateway stops.
pub(crate) async fn watch(shared: Arc<Shared>) {
    // Without a file SIGHUP keeps its meaning: the terminal is gone.
    let Some(path) = shared.routes_file.clone() else {
        return shared.stop.cancelled().await;
    };
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be heard");
            return shared.stop.cancelled().await;
        }
    };
    let mut known = stamp(&path);
    loop {
        let asked = tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = hangup.recv() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let now = stamp(&path);
        if asked || (now.is_some() && now != known) {
            known = now;
            reload(&shared, &path).await;
        }
    }
}

/// When the file was written, and how long it is.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

async fn reload(shared: &Shared, path: &Path) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "the routes cannot be read, the old ones serve on");
            return;
        }
    };
    let known = shared.table.load_full();
    let tls = shared.inside_tls.as_ref();
    match Table::read(&text, &shared.urls, tls, known.pools()) {
        Ok(table) => {
            tracing::info!(path = %path.display(), routes = table.routes().len(), "new routes");
            upstream::look_up(table.pools()).await;
            shared.take(table);
        }
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "the routes are wrong, the old ones serve on");
        }
    }
}
