//! Reports that are shown to whoever has a link.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use common::{CampaignId, ShareId, WorkspaceId};
use diesel::prelude::*;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::schema::shares;

/// Which reports a link shows, of what.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = shares)]
pub struct Share {
    pub workspace_id: WorkspaceId,
    pub id: ShareId,
    pub name: String,
    pub hash: Vec<u8>,
    pub campaign_id: Option<CampaignId>,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub reports: Vec<String>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The reports that can be shared.
pub const REPORTS: [&str; 6] = [
    "overview",
    "timeseries",
    "links",
    "devices",
    "countries",
    "channels",
];

/// A new token, which says whose it is and is random otherwise; nothing without randomness.
pub fn generate(workspace: WorkspaceId) -> Option<String> {
    let mut bytes = [0; 48];
    bytes[..16].copy_from_slice(workspace.0.as_bytes());
    rand::fill(&mut bytes[16..]).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whose a token claims to be, and what is kept of it.
pub fn read(token: &str) -> Option<(WorkspaceId, Vec<u8>)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let workspace = Uuid::from_slice(bytes.get(..16)?).ok()?;
    (bytes.len() == 48).then_some((WorkspaceId(workspace), hash(token)))
}

/// What is kept of a token of 256 random bits; nothing slower is needed for those.
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

impl Share {
    /// The part of a period that is shown. What lies outside is as if nothing had happened.
    pub fn within(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let from = self.starts_at.map_or(from, |first| from.max(first));
        let to = self.ends_at.map_or(to, |last| to.min(last));
        (from < to).then_some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is() {
        let workspace = WorkspaceId::new();
        let token = generate(workspace).expect("randomness");
        assert_eq!(read(&token), Some((workspace, hash(&token))));
        for text in ["", "x", &token[..60], &format!("{token}AAAA"), "%%%"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
