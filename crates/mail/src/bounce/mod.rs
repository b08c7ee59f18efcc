//! What a mail that came back says. So far only what states its fields plainly is understood: a
//! delivery status notification (RFC 3464) about one recipient, an abuse report (RFC 5965), and an
//! automatic answer (RFC 3834).

/// What a mail says about others.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub recipients: Vec<Verdict>,
    /// The Message-ID of the mail that it is about.
    pub original_message_id: Option<String>,
}

/// What became of the mail to one recipient.
#[derive(Clone, Debug)]
pub struct Verdict {
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

/// Reads a mail that came back; a mail that is not understood has no recipients.
pub fn read(raw: &[u8]) -> Report {
    let text = String::from_utf8_lossy(raw).into_owned();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
    };
    let status = field("Status:");
    let class = if text.contains("Feedback-Type: abuse") {
        Class::Complaint
    } else if text.contains("Auto-Submitted: auto-replied") && status.is_none() {
        Class::AutoReply
    } else {
        match status.as_deref().and_then(|status| status.chars().next()) {
            Some('5') => Class::Hard,
            Some('4') => Class::Soft,
            Some('2') => Class::Delivered,
            _ => return Report::default(),
        }
    };
    let address = field("Final-Recipient: rfc822;").or_else(|| field("Original-Rcpt-To:"));
    Report {
        recipients: vec![Verdict {
            address: address.unwrap_or_default(),
            class,
            status,
            diagnostic: field("Diagnostic-Code: smtp;"),
            reason: "its fields",
        }],
        original_message_id: text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("Message-ID:"))
            .map(|id| id.trim().to_owned()),
    }
}
