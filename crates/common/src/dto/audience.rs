//! What `campaigns` asks `leads`: who is in an audience.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{LeadId, ListId, SegmentId, WorkspaceId};
use crate::json::RawJson;

/// Who a campaign is for: members of any list or segment, less those of the excluded segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audience {
    pub list_ids: Vec<ListId>,
    pub segment_ids: Vec<SegmentId>,
    pub exclude_segment_ids: Vec<SegmentId>,
}

impl Audience {
    /// Whether it names nobody at all.
    pub fn is_empty(&self) -> bool {
        self.list_ids.is_empty() && self.segment_ids.is_empty()
    }
}

/// An audience at a moment: leads created after `as_of` are not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudienceQuery {
    pub workspace_id: WorkspaceId,
    pub audience: Audience,
    pub as_of: DateTime<Utc>,
}

/// `POST /internal/audience/count` answers this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AudienceCount {
    /// Everybody in it.
    pub count: i64,
    /// Those of them who may be mailed.
    pub sendable: i64,
}

/// `POST /internal/audience/page`: the next leads in id order after `after`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudiencePageQuery {
    pub query: AudienceQuery,
    pub after: Option<LeadId>,
    /// At most 5000.
    pub limit: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AudiencePage {
    pub items: Vec<Recipient>,
    /// The last id of this page while more may follow.
    pub next: Option<LeadId>,
}

/// One person of an audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipient {
    pub lead_id: LeadId,
    pub email: String,
    /// IANA zone, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    pub standing: Standing,
    /// The template variables under `lead.`: every lead field, `attributes` nested.
    pub lead: RawJson,
}

/// Whether a person may be mailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Sendable,
    /// The address is on the suppression list.
    Suppressed,
    /// No confirmed membership: unsubscribed, or never confirmed.
    Unsubscribed,
}

/// `POST /internal/audience/gaps`: for whom would these template variables be empty?
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapsQuery {
    pub query: AudienceQuery,
    /// Dotted paths below `lead.`, such as `first_name` or `attributes.plan`.
    pub variables: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gap {
    pub variable: String,
    /// How many sendable recipients have no value for it.
    pub missing: i64,
    /// One of them, to look at.
    pub sample: Option<LeadId>,
}
