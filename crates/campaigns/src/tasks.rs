//! The background work that a campaign's steps leave behind, as it is kept in the job queue.

use chassis::jobs::Job;
use common::{CampaignId, WorkspaceId};
use serde::{Deserialize, Serialize};

/// Start a scheduled campaign.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) workspace: WorkspaceId,
    pub(crate) campaign: CampaignId,
}

impl Job for Launch {
    const KIND: &'static str = "campaigns.launch";

    fn unique_key(&self) -> Option<String> {
        Some(self.campaign.to_string())
    }
}

/// Hand the audience over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dispatch {
    pub(crate) workspace: WorkspaceId,
    pub(crate) campaign: CampaignId,
    /// The campaign's version that asked for it: a resume is not lost while the job that saw the
    /// pause is still ending.
    pub(crate) version: i64,
}

impl Job for Dispatch {
    const KIND: &'static str = "campaigns.dispatch";

    fn unique_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.campaign, self.version))
    }
}

/// Tell notifications what has become of a campaign.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tell {
    pub(crate) workspace: WorkspaceId,
    pub(crate) campaign: CampaignId,
    pub(crate) version: i64,
}

impl Job for Tell {
    const KIND: &'static str = "campaigns.tell";

    fn unique_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.campaign, self.version))
    }
}
