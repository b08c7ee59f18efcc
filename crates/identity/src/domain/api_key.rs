use chrono::{DateTime, Utc};
use common::auth::ScopeSet;
use common::{ApiKeyId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::api_keys;

/// A key that a program presents; the key itself is known to its holder only.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
pub(crate) struct ApiKey {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: ApiKeyId,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) hash: Vec<u8>,
    pub(crate) scopes: Vec<String>,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// What the key may do. A scope that this release does not know grants nothing.
    pub(crate) fn scope_set(&self) -> ScopeSet {
        super::scopes_of(&self.scopes)
    }

    pub(crate) fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
