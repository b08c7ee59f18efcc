//! Whether receivers can tell that a domain's mails are genuine.

use serde::{Deserialize, Serialize};

/// `GET /internal/domains/{name}?workspace_id=` of `notifications`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainStanding {
    /// It is a sending domain of the workspace.
    pub known: bool,
    /// The last check found all that is needed.
    pub authenticated: bool,
    /// Names of the records that are missing, wrong, or were never looked at.
    pub lacking: Vec<String>,
}
