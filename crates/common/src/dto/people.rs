//! What `analytics` asks `leads`: whose addresses these are.

use serde::{Deserialize, Serialize};

use crate::ids::{LeadId, WorkspaceId};

/// The body of `POST /internal/leads/by-email`: at most 500 addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeadsByEmail {
    pub workspace_id: WorkspaceId,
    pub emails: Vec<String>,
}

/// Its answer; who is not in it is no lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadsFound {
    pub items: Vec<LeadFound>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadFound {
    /// As it was asked about.
    pub email: String,
    pub lead_id: LeadId,
}
