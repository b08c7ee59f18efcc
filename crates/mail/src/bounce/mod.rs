//! What a mail that came back says: who did not get what we sent, and why.
//!
//! Read are delivery status notifications (RFC 3464), abuse reports (RFC 5965), automatic answers
//! (RFC 3834), and the prose of servers that keep to no standard. Whatever comes in, there is never
//! a panic, and the work grows with its size and with nothing else: lists are cut when they are
//! read, and every text is judged once, however many recipients share it.

mod fields;
mod notice;
mod parts;
mod prose;
mod rules;
mod text;
mod words;

use parts::Parts;
use rules::Told;

/// Most octets looked at.
const LONGEST: usize = 1 << 20;
/// Most recipients of one mail.
const MOST: usize = 100;
/// Most octets of what is said about one of them.
const SAID: usize = 4 << 10;

/// What a mail says about others.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub recipients: Vec<Verdict>,
    /// The Message-ID of the mail that it is about, without brackets.
    pub original_message_id: Option<String>,
}

/// What became of the mail to one recipient.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// In lower case; empty when nobody is named.
    pub address: String,
    pub class: Class,
    /// RFC 3463.
    pub status: Option<String>,
    /// What the server said.
    pub diagnostic: Option<String>,
    /// The rule that saw this class.
    pub reason: &'static str,
}

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Mail to this address will never arrive.
    Hard,
    /// This mail did not arrive, or not yet.
    Soft,
    /// The person called it spam.
    Complaint,
    /// A machine answered for the person.
    AutoReply,
    Delivered,
}

/// Reads a mail that came back; one that is not understood has no recipients.
pub fn read(raw: &[u8]) -> Report {
    let raw = &raw[..raw.len().min(LONGEST)];
    let Some(parts) = Parts::of(raw) else {
        return Report::default();
    };
    let told = Told::of(&parts.prose);
    let mut recipients = complaints(&parts);
    if recipients.is_empty() {
        recipients = fields::verdicts(&parts, &told);
    }
    if recipients.is_empty() {
        recipients = notice::verdicts(&parts, &told);
    }
    if recipients.is_empty() && parts.is_automatic_answer() {
        recipients.extend(parts.from.clone().map(|address| Verdict {
            address,
            class: Class::AutoReply,
            status: None,
            diagnostic: parts.subject.clone(),
            reason: "automatic answer",
        }));
    }
    if recipients.is_empty() {
        recipients = prose::verdicts(&parts, &told);
    }
    Report {
        recipients,
        original_message_id: parts.original_message_id.clone(),
    }
}

/// RFC 5965: the recipients that the report names, else those of the mail that it encloses.
fn complaints(parts: &Parts) -> Vec<Verdict> {
    let (mut addresses, kind) = match (&parts.feedback, &parts.complained) {
        (Some(report), _) => {
            let named = fields::values(report, "original-rcpt-to");
            let named = named.iter().filter_map(|text| parts::address(text));
            let kind = fields::values(report, "feedback-type");
            (named.collect(), kind.into_iter().next())
        }
        (None, Some(address)) => (vec![address.clone()], None),
        (None, None) => return Vec::new(),
    };
    if addresses.is_empty() {
        addresses = parts.original_to.clone();
    }
    if addresses.is_empty() {
        addresses.push(String::new());
    }
    addresses.dedup();
    let complaint = |address| Verdict {
        address,
        class: Class::Complaint,
        status: None,
        diagnostic: kind.clone(),
        reason: "abuse report",
    };
    addresses.into_iter().map(complaint).collect()
}
