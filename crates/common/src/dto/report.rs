//! What `campaigns` asks `analytics`: how people took a campaign.

use serde::{Deserialize, Serialize};

/// `GET /internal/campaigns/{id}/engagement?workspace_id=` answers this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CampaignEngagement {
    pub opens: Hits,
    pub clicks: Hits,
    pub unsubscribes: Hits,
    pub complaints: Hits,
    pub links: Vec<LinkHits>,
}

/// Counts of one kind of hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Hits {
    /// Hits by people.
    pub human: i64,
    /// Hits by scanners, prefetchers and bots.
    pub machine: i64,
    /// Different people.
    pub unique: i64,
}

/// Clicks on one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LinkHits {
    pub url: String,
    #[serde(flatten)]
    pub hits: Hits,
}
