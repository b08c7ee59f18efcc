//! The keys that sites and programs send events with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use common::{WorkspaceId, WriteKeyId};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::write_keys;

/// How every write key begins.
const PREFIX: &str = "wk_";

/// A source's key. It is published with the pages that use it; all it allows is sending events.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = write_keys)]
pub struct WriteKey {
    pub workspace_id: WorkspaceId,
    pub id: WriteKeyId,
    pub name: String,
    pub key: String,
    pub origins: Vec<String>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A new key of `workspace`. It says whose it is, so that finding it needs no key of all
/// workspaces; the rest is random.
pub fn generate(workspace: WorkspaceId) -> String {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend(workspace.0.as_bytes());
    bytes.extend(Uuid::new_v4().as_bytes());
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Whose key it claims to be.
pub fn workspace_of(key: &str) -> Option<WorkspaceId> {
    let bytes = URL_SAFE_NO_PAD.decode(key.strip_prefix(PREFIX)?).ok()?;
    let (workspace, random) = bytes.split_at_checked(16)?;
    (random.len() == 16).then_some(())?;
    Uuid::from_slice(workspace).ok().map(WorkspaceId)
}

impl WriteKey {
    /// Whether a page of `origin` may send with it. Programs have no origin: a list of origins
    /// tells browsers, who send it truthfully, and cannot keep programs out.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        let listed = |origin: &str| {
            self.origins
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(origin))
        };
        self.origins.is_empty() || origin.is_none_or(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whose_it_is() {
        let workspace = WorkspaceId::new();
        let (one, two) = (generate(workspace), generate(workspace));
        assert_ne!(one, two);
        assert_eq!(workspace_of(&one), Some(workspace));
        for text in [
            "",
            "wk_",
            "clk_x",
            "wk_%%",
            &one[..20],
            &format!("{one}AAAA"),
        ] {
            assert_eq!(workspace_of(text), None, "{text}");
        }
    }
}
