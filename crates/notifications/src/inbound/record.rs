//! Writing down what came back, and what follows from it.

use chrono::{DateTime, Utc};
use common::events::{AddressBounced, AddressComplained};
use common::ids::{CampaignId, LeadId, MessageId, WorkspaceId};
use common::values::EmailAddress;
use diesel::{PgConnection, QueryResult};

use crate::domain::feedback::Class;
use crate::store::feedback::{self, Feedback};
use crate::store::messages::Message;

/// Longest words of a server that are kept, in characters.
const LONGEST: usize = 1000;

/// Whom and which mail it is about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) workspace: WorkspaceId,
    pub(crate) address: EmailAddress,
    /// Tells this mail from the others to the address.
    pub(crate) reference: String,
    pub(crate) message: Option<MessageId>,
    pub(crate) lead: Option<LeadId>,
    pub(crate) campaign: Option<CampaignId>,
}

impl About {
    /// None when the person was forgotten since.
    pub(crate) fn message(workspace: WorkspaceId, message: &Message) -> Option<Self> {
        Some(Self {
            workspace,
            address: EmailAddress::parse(&message.address).ok()?,
            reference: message.id.to_string(),
            message: Some(message.id),
            lead: message.lead_id,
            campaign: message.campaign_id,
        })
    }

    /// A mail that only the provider knows.
    pub(crate) fn unknown(workspace: WorkspaceId, address: EmailAddress, reference: &str) -> Self {
        Self {
            workspace,
            address,
            reference: cut(reference),
            message: None,
            lead: None,
            campaign: None,
        }
    }
}

/// What was told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) class: Class,
    pub(crate) status: Option<String>,
    pub(crate) diagnostic: Option<String>,
    /// Which rule saw this class in it.
    pub(crate) reason: String,
    pub(crate) at: DateTime<Utc>,
}

/// Writes it down and does what follows, once: false when it was told before. The message's
/// outcome stays what it is.
pub(crate) fn record(
    conn: &mut PgConnection,
    about: &About,
    told: &Told,
    source: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let key = about.address.key();
    let row = Feedback {
        workspace_id: about.workspace,
        address: key.clone(),
        reference: about.reference.clone(),
        class: told.class.as_str().to_owned(),
        message_id: about.message,
        source: source.to_owned(),
        status: told.status.as_deref().map(cut),
        diagnostic: told.diagnostic.as_deref().map(cut),
        reason: cut(&told.reason),
        at: told.at.min(now),
    };
    if !feedback::add(conn, &row)? {
        return Ok(false);
    }
    match told.class {
        Class::Hard => bounced(conn, about, said(&row))?,
        Class::Soft => bounced_softly(conn, about, &row, now)?,
        Class::Complaint => complained(conn, about, row.at)?,
        Class::AutoReply | Class::Delivered => {}
    }
    Ok(true)
}

/// What the server said, as far as it is known.
fn said(row: &Feedback) -> String {
    let said = row.diagnostic.as_ref().or(row.status.as_ref());
    said.unwrap_or(&row.reason).clone()
}

fn bounced(conn: &mut PgConnection, about: &About, reply: String) -> QueryResult<()> {
    let event = AddressBounced {
        address: about.address.as_str().to_owned(),
        lead_id: about.lead,
        message_id: about.message,
        reply,
    };
    chassis::outbox::push(conn, about.workspace, &event)
}

fn bounced_softly(
    conn: &mut PgConnection,
    about: &About,
    row: &Feedback,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (workspace, key) = (about.workspace, row.address.as_str());
    let score = feedback::lock_score(conn, workspace, key, now)?.and_one(now);
    if !score.is_enough() {
        return feedback::set_score(conn, workspace, key, score);
    }
    feedback::forget_score(conn, workspace, key)?;
    bounced(
        conn,
        about,
        format!("bounced softly again and again, last: {}", said(row)),
    )
}

fn complained(conn: &mut PgConnection, about: &About, at: DateTime<Utc>) -> QueryResult<()> {
    let event = AddressComplained {
        address: about.address.as_str().to_owned(),
        lead_id: about.lead,
        campaign_id: about.campaign,
        message_id: about.message,
        at,
    };
    chassis::outbox::push(conn, about.workspace, &event)
}

/// The beginning of a text that others wrote, as the database can keep it.
fn cut(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(LONGEST).collect()
}
