//! Reads the mails that come back and writes down what they say.

use bytes::Bytes;
use chassis::{Clock, Db, Unavailable};
use chrono::{DateTime, Utc};
use common::ids::{MessageId, WorkspaceId};
use common::return_path::ReturnPath;
use diesel::{PgConnection, QueryResult};
use mail::bounce::{self, Report, Verdict};

use super::leaving::leave;
use super::meters::Meters;
use super::record::{About, Told, record};
use super::session::Intake;
use crate::delivery::Links;
use crate::domain::feedback::Class;
use crate::store::feedback::find_message;
use crate::store::messages::Message;

/// The name of this way in.
const SOURCE: &str = "smtp";
/// Where mailbox providers send complaints (RFC 5965) to.
const COMPLAINTS: [&str; 2] = ["abuse", "fbl"];
/// Where people write to whoever runs a mail server (RFC 5321 §4.5.1), with a domain or without.
const POSTMASTER: &str = "postmaster";

/// Takes mails in.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    pub(crate) meters: Meters,
}

/// A mailbox of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipient {
    Returned(ReturnPath),
    /// A mail to it unsubscribes, whatever it says.
    Leaving(ReturnPath),
    Complaints,
    Postmaster,
}

#[derive(Debug, thiserror::Error)]
enum DeskError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Intake for Desk {
    type Recipient = Recipient;

    fn recipient(&self, address: &str) -> Option<Recipient> {
        if let Ok(path) = self.links.open_return_path(address, self.clock.now()) {
            return Some(Recipient::Returned(path));
        }
        if let Ok(path) = self.links.open_leaving_path(address, self.clock.now()) {
            return Some(Recipient::Leaving(path));
        }
        if address.eq_ignore_ascii_case(POSTMASTER) {
            return Some(Recipient::Postmaster);
        }
        let (local, domain) = address.rsplit_once('@')?;
        let is = |name: &str| local.eq_ignore_ascii_case(name);
        match self.links.is_bounce_domain(domain) {
            true if is(POSTMASTER) => Some(Recipient::Postmaster),
            true if COMPLAINTS.into_iter().any(is) => Some(Recipient::Complaints),
            _ => None,
        }
    }

    async fn take(&self, to: Vec<Recipient>, mail: Bytes) -> bool {
        let (now, links) = (self.clock.now(), self.links.clone());
        let written = self
            .db
            .transaction(move |conn| {
                let report = bounce::read(&mail);
                let mut outcomes = Vec::new();
                for recipient in to {
                    let outcome = match recipient {
                        Recipient::Returned(path) => returned(conn, path, &report, now)?,
                        Recipient::Leaving(path) => leave(conn, path, now)?,
                        Recipient::Complaints => complained(conn, &links, &mail, &report, now)?,
                        Recipient::Postmaster => Outcome::Postmaster,
                    };
                    outcomes.push(outcome);
                }
                Ok::<_, DeskError>(outcomes)
            })
            .await;
        match written {
            Ok(outcomes) => {
                outcomes
                    .into_iter()
                    .for_each(|outcome| self.meters.count(SOURCE, outcome));
                true
            }
            Err(error) => {
                tracing::warn!(%error, "what came back cannot be written down at the moment");
                false
            }
        }
    }
}

/// What became of a mail that came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Recorded(Class),
    Repeated,
    /// It unsubscribes somebody.
    Left,
    /// It says nothing that we understand.
    Unread,
    /// The message is not in the ledger, or its person was forgotten.
    Unmatched,
    /// A complaint that shows nothing that only the mail itself had.
    Unsigned,
    /// Somebody wrote to the postmaster.
    Postmaster,
}

/// It came to the return path of a message, and so is about that message.
fn returned(
    conn: &mut PgConnection,
    path: ReturnPath,
    report: &Report,
    now: DateTime<Utc>,
) -> QueryResult<Outcome> {
    let Some((workspace, message)) = find_message(conn, path.message_id, path.workspaces)? else {
        return Ok(Outcome::Unmatched);
    };
    match about(report, &message) {
        Some(verdict) => write(conn, workspace, &message, verdict, now),
        None => Ok(Outcome::Unread),
    }
}

/// What a report says about a message. Of several recipients it is the message's own; where none
/// is, the message was forwarded, and the worst of them tells what becomes of mail to its address.
fn about<'r>(report: &'r Report, message: &Message) -> Option<&'r Verdict> {
    let own = |verdict: &&Verdict| verdict.address.eq_ignore_ascii_case(&message.address);
    let worst = |verdict: &&Verdict| class(verdict);
    let verdicts = || report.recipients.iter();
    verdicts()
        .filter(own)
        .min_by_key(worst)
        .or_else(|| verdicts().min_by_key(worst))
}

/// A complaint proves that it is about a mail of ours by what we signed in it: its return path, or
/// the link in its `List-Unsubscribe`. A Message-ID is no proof: whoever learned it could have
/// others suppressed.
fn complained(
    conn: &mut PgConnection,
    links: &Links,
    mail: &[u8],
    report: &Report,
    now: DateTime<Utc>,
) -> QueryResult<Outcome> {
    let complaint = |verdict: &&Verdict| class(verdict) == Class::Complaint;
    let Some(verdict) = report.recipients.iter().find(complaint) else {
        return Ok(Outcome::Unread);
    };
    let proven = match links.find_return_path(mail, now) {
        Some(path) => Some((path.message_id, path.workspaces)),
        None => links.find_unsubscribe(mail).map(|token| {
            let workspace = token.workspace_id;
            (token.message_id, (workspace, workspace))
        }),
    };
    let Some((id, workspaces)) = proven else {
        let claimed = report.original_message_id.as_deref().and_then(message_id);
        let claimed = claimed.map(tracing::field::display);
        tracing::info!(
            message.id = claimed,
            "a complaint shows nothing that we signed"
        );
        return Ok(Outcome::Unsigned);
    };
    match find_message(conn, id, workspaces)? {
        Some((workspace, message)) => write(conn, workspace, &message, verdict, now),
        None => Ok(Outcome::Unmatched),
    }
}

/// The message that a Message-ID of ours names.
pub(crate) fn message_id(text: &str) -> Option<MessageId> {
    let (id, _) = text.trim().trim_start_matches('<').split_once('@')?;
    id.parse().ok()
}

fn write(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    message: &Message,
    verdict: &Verdict,
    now: DateTime<Utc>,
) -> QueryResult<Outcome> {
    let Some(about) = About::message(workspace, message) else {
        return Ok(Outcome::Unmatched);
    };
    let told = Told {
        class: class(verdict),
        status: verdict.status.clone(),
        diagnostic: verdict.diagnostic.clone(),
        reason: verdict.reason.to_owned(),
        at: now,
    };
    Ok(match record(conn, &about, &told, SOURCE, now)? {
        true => Outcome::Recorded(told.class),
        false => Outcome::Repeated,
    })
}

fn class(verdict: &Verdict) -> Class {
    match verdict.class {
        bounce::Class::Hard => Class::Hard,
        bounce::Class::Soft => Class::Soft,
        bounce::Class::Complaint => Class::Complaint,
        bounce::Class::AutoReply => Class::AutoReply,
        bounce::Class::Delivered => Class::Delivered,
    }
}
