//! Write keys as they are looked up with every request: remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chassis::Host;
use chrono::{DateTime, Duration, Utc};

use crate::domain::write_key::{self, WriteKey};
use crate::error::Error;
use crate::store;

/// How long a look-up is believed: a revoked key sends no longer than this.
pub const BELIEVED_S: i64 = 10;
/// Most keys remembered, known or not; then the memory starts anew.
const REMEMBERED: usize = 10_000;

/// Finds write keys. Clones share the memory.
#[derive(Clone, Debug, Default)]
pub struct WriteKeys(Arc<Mutex<HashMap<String, Remembered>>>);

#[derive(Clone, Debug)]
struct Remembered {
    key: Option<Arc<WriteKey>>,
    since: DateTime<Utc>,
}

impl WriteKeys {
    /// The key with this text, unless it is unknown or revoked.
    pub async fn find(&self, host: &Host, text: &str) -> Result<Option<Arc<WriteKey>>, Error> {
        let now = host.clock.now();
        if let Some(found) = self.recall(text, now) {
            return Ok(found);
        }
        // What says nobody's workspace is not looked for at all.
        let Some(workspace) = write_key::workspace_of(text) else {
            return Ok(None);
        };
        let wanted = text.to_owned();
        let key = host
            .db
            .run(move |conn| Ok::<_, Error>(store::write_keys::by_text(conn, workspace, &wanted)?))
            .await?
            .map(Arc::new);
        self.remember(text, key.clone(), now);
        Ok(key)
    }

    /// Forgets what was looked up, after a change.
    pub fn forget(&self) {
        self.memory().clear();
    }

    fn recall(&self, text: &str, now: DateTime<Utc>) -> Option<Option<Arc<WriteKey>>> {
        let memory = self.memory();
        let found = memory.get(text)?;
        let fresh = now - found.since < Duration::seconds(BELIEVED_S);
        fresh.then(|| found.key.clone())
    }

    fn remember(&self, text: &str, key: Option<Arc<WriteKey>>, since: DateTime<Utc>) {
        let mut memory = self.memory();
        if memory.len() >= REMEMBERED {
            memory.clear();
        }
        memory.insert(text.to_owned(), Remembered { key, since });
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<String, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
