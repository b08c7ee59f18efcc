//! One recorded fact.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use common::events::EngagementKind;
use common::{CampaignId, EventId, LeadId, MessageId, WorkspaceId, WriteKeyId};

use crate::domain::money::Amount;
use crate::domain::rules;
use crate::domain::utm::Utm;
use crate::domain::verdict::{Judgement, Verdict};
use crate::domain::visitor::Visitor;

/// An event on its way into the database, as one row of `events`.
#[derive(Clone, Debug)]
pub struct Event {
    pub workspace_id: WorkspaceId,
    pub id: EventId,
    pub kind: Cow<'static, str>,
    pub occurred_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub campaign_id: Option<CampaignId>,
    pub lead_id: Option<LeadId>,
    pub message_id: Option<MessageId>,
    pub anonymous_id: Option<String>,
    pub url: Option<String>,
    pub link: Option<i32>,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
    pub verdict: Verdict,
    pub reasons: Vec<&'static str>,
    pub rules_version: i16,
    pub properties: Option<RawJson>,
    pub name: Option<String>,
    pub user_id: Option<String>,
    pub visitor: Option<Visitor>,
    pub source_id: Option<WriteKeyId>,
    pub context: Option<RawJson>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub device: Option<&'static str>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub order_id: Option<String>,
    /// Two letters.
    pub country: Option<String>,
    /// What it says about who is who.
    pub said: Option<Box<Said>>,
    /// Whether the sender gave the id, so that the event may be a repetition.
    pub id_given: bool,
}

impl Event {
    /// An event of `kind` that happened when it was received, with an id of our own, by a human.
    pub fn new(
        workspace_id: WorkspaceId,
        kind: impl Into<Cow<'static, str>>,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self {
            workspace_id,
            id: EventId::new(),
            kind: kind.into(),
            occurred_at: received_at,
            received_at,
            campaign_id: None,
            lead_id: None,
            message_id: None,
            anonymous_id: None,
            url: None,
            link: None,
            user_agent: None,
            ip: None,
            verdict: Verdict::Human,
            reasons: Vec::new(),
            rules_version: rules::VERSION,
            properties: None,
            name: None,
            user_id: None,
            visitor: None,
            source_id: None,
            context: None,
            utm_source: None,
            utm_medium: None,
            utm_campaign: None,
            device: None,
            amount: None,
            currency: None,
            order_id: None,
            country: None,
            said: None,
            id_given: false,
        }
    }

    /// Says who it was by the best of the ids it carries: lead, user, or anonymous.
    pub fn recognise(&mut self) {
        let workspace = self.workspace_id;
        let lead = self.lead_id.map(|id| Visitor::lead(workspace, id));
        let user = || Some(Visitor::user(workspace, self.user_id.as_deref()?));
        let anonymous = || Some(Visitor::anonymous(workspace, self.anonymous_id.as_deref()?));
        self.visitor = lead.or_else(user).or_else(anonymous);
    }

    pub fn came_by(&mut self, utm: Utm) {
        self.utm_source = utm.source;
        self.utm_medium = utm.medium;
        self.utm_campaign = utm.campaign;
    }

    pub fn brought(&mut self, amount: Option<Amount>) {
        if let Some(amount) = amount {
            self.amount = Some(amount.minor);
            self.currency = Some(amount.currency);
            self.order_id = amount.order_id;
        }
    }

    pub fn judged(mut self, judgement: Judgement) -> Self {
        self.verdict = judgement.verdict;
        self.reasons = judgement.reasons;
        self
    }

    /// Takes the event for a scanner's, because of the hits around it.
    pub fn accuse(&mut self, reason: &'static str) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
        if self.verdict == Verdict::Human {
            self.verdict = Verdict::Scanner;
        }
    }

    /// Where this click sits among those of its message: for finding bursts.
    pub fn place(&self) -> Option<(MessageId, i32)> {
        match (self.kind.as_ref(), self.message_id, self.link) {
            (CLICK | CANARY, Some(message), Some(link)) => Some((message, link)),
            _ => None,
        }
    }

    /// Who engaged and how, if a person did of whom it is known who it is.
    pub fn engagement(&self) -> Option<(LeadId, EngagementKind)> {
        let kind = match (self.verdict, self.kind.as_ref()) {
            (Verdict::Human, OPEN) => EngagementKind::Open,
            (Verdict::Human, CLICK) => EngagementKind::Click,
            _ => return None,
        };
        Some((self.lead_id?, kind))
    }
}

/// What an event says about who is who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// These are one person, who has this address.
    Identified {
        anonymous: Option<Visitor>,
        user: Option<Visitor>,
        lead: Option<LeadId>,
        /// In lower case.
        email: Option<String>,
    },
    /// Whoever was known by the former is now known by the latter.
    Renamed { former: [Visitor; 2], user: Visitor },
}

pub const CLICK: &str = "click";
pub const OPEN: &str = "open";
/// A mail's link that nobody sees was followed: no click, but a sign of who clicks.
pub const CANARY: &str = "canary";
pub const UNSUBSCRIBE: &str = "unsubscribe";
pub const VIEW: &str = "view";
/// Somebody did what they were hoped to do.
pub const GOAL: &str = "goal";
pub const IDENTIFY: &str = "identify";
/// What takes back what an order brought.
pub const REFUND: &str = "refund";

/// JSON text that [`crate::domain::json`] found fit for a `jsonb` column; it is passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(pub String);
