//! Facts that one service tells the others, in CloudEvents 1.0 shape.
//!
//! A producer writes an event in the transaction of its fact; consumers read it from the
//! producer's feed, in commit order. Each payload below is one `type`.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dto::dispatch::Outcome;
use crate::dto::template::TemplateCopy;
use crate::ids::{
    CampaignId, FormId, ImportId, LeadId, ListId, MessageId, TemplateId, UserId, WebhookId,
    WorkspaceId,
};

/// A payload with its name.
pub trait Event: Serialize + DeserializeOwned {
    /// The CloudEvents `type`, `noun.happened`.
    const KIND: &'static str;

    /// The CloudEvents `subject`: the id of what it happened to.
    fn subject(&self) -> String;
}

/// One event on the wire (CloudEvents 1.0, JSON format §3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    pub specversion: String,
    pub id: Uuid,
    /// `/services/<name>`.
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    pub time: DateTime<Utc>,
    /// Extension attribute: the tenant.
    pub workspaceid: WorkspaceId,
    /// Extension attribute (Distributed Tracing): the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    pub data: serde_json::Value,
}

impl Envelope {
    /// The payload, if this is an event of type `E`.
    pub fn read<E: Event>(&self) -> Option<Result<E, serde_json::Error>> {
        (self.kind == E::KIND).then(|| E::deserialize(&self.data))
    }
}

/// An event with its place in the producer's feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Positioned {
    pub position: i64,
    pub event: Envelope,
}

/// The answer of `GET /internal/events?after=<position>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedPage {
    pub items: Vec<Positioned>,
    /// The position that the page reaches to, those passed over included; that of the last item
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<i64>,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $kind:literal of $subject:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
    })+) => {
        /// The `type` of every event below.
        pub const KINDS: &[&str] = &[$($kind),+];
    $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

        impl Event for $name {
            const KIND: &'static str = $kind;

            fn subject(&self) -> String {
                self.$subject.to_string()
            }
        }
    )+};
}

events! {
    /// A person registered or was added.
    UserCreated = "user.created" of user_id { user_id: UserId, email: String }
    /// A workspace exists, with this name.
    WorkspaceCreated = "workspace.created" of workspace_id { workspace_id: WorkspaceId, name: String }
    /// A workspace goes by another name.
    WorkspaceRenamed = "workspace.renamed" of workspace_id { workspace_id: WorkspaceId, name: String }

    LeadCreated = "lead.created" of lead_id { lead_id: LeadId, email: String }
    LeadUpdated = "lead.updated" of lead_id { lead_id: LeadId, email: String }
    /// The person's data is to be forgotten.
    LeadDeleted = "lead.deleted" of lead_id { lead_id: LeadId, email: String }
    /// An import ended; one event instead of one per row.
    LeadsImported = "leads.imported" of import_id {
        import_id: ImportId, created: i64, updated: i64, rejected: i64
    }
    /// A person agreed to get mails about these lists, by a form; with a confirmation by mail where
    /// one was asked for.
    LeadSubscribed = "lead.subscribed" of lead_id {
        lead_id: LeadId,
        email: String,
        list_ids: Vec<ListId>,
        form_id: FormId,
        /// What the form is called by those who made it.
        form: String,
        /// The visitor that the page with the form knew, if it said so.
        anonymous_id: Option<String>,
        at: DateTime<Utc>,
    }
    /// A person withdrew consent; `campaign_id` and `message_id` say which mail led to it.
    LeadUnsubscribed = "lead.unsubscribed" of lead_id {
        lead_id: LeadId,
        email: String,
        list_ids: Vec<ListId>,
        campaign_id: Option<CampaignId>,
        message_id: Option<MessageId>,
        at: DateTime<Utc>,
    }
    /// Nothing may be sent to this address any more.
    SuppressionAdded = "suppression.added" of address { address: String, reason: String }
    SuppressionRemoved = "suppression.removed" of address { address: String }

    /// A template as it is from now on.
    TemplateSaved = "template.saved" of template_id { template_id: TemplateId, template: TemplateCopy }
    TemplateDeleted = "template.deleted" of template_id { template_id: TemplateId }

    CampaignStarted = "campaign.started" of campaign_id { campaign_id: CampaignId, name: String }
    CampaignPaused = "campaign.paused" of campaign_id { campaign_id: CampaignId }
    CampaignResumed = "campaign.resumed" of campaign_id { campaign_id: CampaignId }
    CampaignCancelled = "campaign.cancelled" of campaign_id { campaign_id: CampaignId }
    CampaignFinished = "campaign.finished" of campaign_id { campaign_id: CampaignId }

    /// Messages of one campaign (or transactional ones) got their outcome; one event per batch.
    MessagesSettled = "message.settled" of batch_id {
        batch_id: Uuid, campaign_id: Option<CampaignId>, items: Vec<SettledMessage>
    }
    /// Every message of the campaign has an outcome.
    CampaignSettled = "campaign.settled" of campaign_id { campaign_id: CampaignId }
    /// No sender takes anything of the campaign; it goes on by itself.
    CampaignHeld = "campaign.held" of campaign_id {
        campaign_id: CampaignId, reason: String, since: DateTime<Utc>
    }
    /// The campaign is held no more.
    CampaignReleased = "campaign.released" of campaign_id { campaign_id: CampaignId }
    /// Mail to this address does not arrive: a server said that it does not exist, or it bounced too
    /// often. `message_id` is absent when the mail cannot be named.
    AddressBounced = "address.bounced" of address {
        address: String, lead_id: Option<LeadId>, message_id: Option<MessageId>, reply: String
    }
    /// The person behind this address called a mail spam.
    AddressComplained = "address.complained" of address {
        address: String,
        lead_id: Option<LeadId>,
        campaign_id: Option<CampaignId>,
        message_id: Option<MessageId>,
        at: DateTime<Utc>,
    }

    /// Somebody wrote to the address in a mail that unsubscribes.
    MessageDeclined = "message.declined" of message_id {
        message_id: MessageId, lead_id: LeadId, campaign_id: Option<CampaignId>, at: DateTime<Utc>
    }

    /// Nothing is delivered to this webhook any more, because of its answers.
    WebhookDisabled = "webhook.disabled" of webhook_id {
        webhook_id: WebhookId, url: String, reason: String, at: DateTime<Utc>
    }

    /// People opened or clicked; machines are not in it.
    EngagementRecorded = "engagement.recorded" of batch_id { batch_id: Uuid, items: Vec<Engagement> }
}

/// One message in [`MessagesSettled`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettledMessage {
    pub message_id: MessageId,
    pub lead_id: Option<LeadId>,
    pub outcome: Outcome,
    pub at: DateTime<Utc>,
}

/// One human open or click in [`EngagementRecorded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engagement {
    pub lead_id: LeadId,
    pub campaign_id: Option<CampaignId>,
    pub kind: EngagementKind,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngagementKind {
    Open,
    Click,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_as_its_own_type_only() {
        let campaign_id = CampaignId::new();
        let event = CampaignSettled { campaign_id };
        let envelope = Envelope {
            specversion: "1.0".into(),
            id: Uuid::now_v7(),
            source: "/services/notifications".into(),
            kind: CampaignSettled::KIND.into(),
            subject: event.subject(),
            time: Utc::now(),
            workspaceid: WorkspaceId::new(),
            traceparent: None,
            data: serde_json::to_value(&event).expect("a plain struct serialises"),
        };
        assert!(matches!(envelope.read::<CampaignSettled>(), Some(Ok(read)) if read == event));
        assert!(envelope.read::<CampaignFinished>().is_none());
    }
}
