//! What `campaigns` hands to `notifications`, and how it went.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::dto::audience::Recipient;
use crate::ids::{SenderId, WorkspaceId};
use crate::json::RawJson;

/// The visible sender of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    #[serde(default)]
    pub name: String,
    pub email: crate::values::EmailAddress,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentFormat {
    Html,
    Mjml,
    Markdown,
    Text,
}

/// What a mail says, before it is rendered for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Content {
    pub format: ContentFormat,
    pub body: String,
    /// The text part; made from the body when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What to do with a message whose fate a crash made unknowable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmbiguousPolicy {
    /// List it and wait for the operator.
    #[default]
    Hold,
    /// Send it again, with the same Message-ID.
    Resend,
}

/// What is added to the `http` and `https` links of a campaign's mails, where they do not say it
/// themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Utm {
    pub source: String,
    /// `email` when absent.
    #[serde(default = "email")]
    pub medium: String,
    /// The campaign's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

fn email() -> String {
    "email".to_owned()
}

/// `PUT /internal/campaigns/{id}`: the snapshot that every message of a campaign is made from.
/// Putting the same snapshot again changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignSnapshot {
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub subject: String,
    #[serde(default)]
    pub preheader: String,
    pub from: Mailbox,
    #[serde(default)]
    pub reply_to: Option<crate::values::EmailAddress>,
    pub content: Content,
    #[serde(default)]
    pub ambiguous: AmbiguousPolicy,
    /// The mail server to use rather than others, as long as it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<SenderId>,
    /// What is added to links; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm: Option<Utm>,
}

/// `POST /internal/campaigns/{id}/recipients`: one page of the audience. Handing the same lead
/// over twice changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    pub workspace_id: WorkspaceId,
    pub recipients: Vec<HandedRecipient>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedRecipient {
    pub recipient: Recipient,
    /// Not to be sent earlier (a schedule in the recipient's own zone).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// How many of them the ledger did not know yet.
    pub added: i64,
}

/// `POST /internal/campaigns/{id}/{complete|pause|resume|cancel}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignOrder {
    pub workspace_id: WorkspaceId,
}

/// `POST /internal/messages`: one mail of the installation itself (a reset, an invitation) to one
/// person. It belongs to no workspace, so nobody of any workspace sees it. The same key again
/// changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HouseMail {
    pub key: uuid::Uuid,
    pub to: crate::values::EmailAddress,
    pub subject: String,
    /// Plain text; what it prints stands in `data`.
    pub text: String,
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// `POST /internal/campaigns/test`: one mail of this content to each address, outside the ledger's
/// campaign count; `lead` is the person it is rendered for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSend {
    pub snapshot: CampaignSnapshot,
    pub to: Vec<crate::values::EmailAddress>,
    pub lead: RawJson,
}

/// The fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pending,
    /// The server answered 2xx to the message.
    Accepted,
    /// A final refusal.
    Rejected,
    /// Not sent because the person must not be mailed.
    Suppressed,
    /// Not sent for another reason: cancelled, or it could not be rendered.
    Skipped,
    /// The connection ended between the final dot and the reply.
    Ambiguous,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Suppressed => "suppressed",
            Self::Skipped => "skipped",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Where everybody of the audience is. `audience` is the sum of the next six.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Settlement {
    pub audience: i64,
    pub accepted: i64,
    pub rejected: i64,
    pub suppressed: i64,
    pub skipped: i64,
    pub ambiguous: i64,
    pub pending: i64,
    /// True when everybody was handed over and nobody is pending.
    pub settled: bool,
}

impl Settlement {
    /// The six outcomes together.
    pub fn sum(&self) -> i64 {
        self.accepted
            + self.rejected
            + self.suppressed
            + self.skipped
            + self.ambiguous
            + self.pending
    }
}

/// How fast a campaign is sent right now, and what keeps it from going faster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Speed {
    /// Messages per second that servers answered, over the last ten seconds.
    pub per_second: f64,
    /// Never empty: `nothing` when nothing limits it.
    pub limited_by: Vec<Limit>,
}

/// One thing that limits a campaign's speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Limit {
    pub kind: LimitKind,
    /// The name of the sender.
    pub sender: Option<String>,
    /// The destination domain.
    pub domain: Option<String>,
    /// For a person.
    pub detail: String,
    /// When it ends, where that is known.
    pub until: Option<DateTime<Utc>>,
}

/// What can limit a campaign's speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    SenderRate,
    DomainRate,
    WarmUp,
    SenderUnavailable,
    /// The database looks restored: nothing is sent without the operator's word.
    LedgerHeld,
    Paused,
    Nothing,
}
