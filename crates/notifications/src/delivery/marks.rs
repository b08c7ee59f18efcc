//! What a provider gives back with what it tells, for those that keep nothing else of ours.

use std::borrow::Cow;

use common::ids::MessageId;

/// Postmark gives a mail another Message-ID and another return path, but tells the metadata that
/// came with it (names of at most 20 octets, values of at most 80).
const POSTMARK: &str = "X-PM-Metadata-clarion-message";

/// What a mail server is given with each mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    Nothing,
    Postmark,
}

impl Marks {
    /// What the server on this host is given.
    pub(super) fn of(host: &str) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match host == "postmarkapp.com" || host.ends_with(".postmarkapp.com") {
            true => Self::Postmark,
            false => Self::Nothing,
        }
    }

    /// The content as it goes there.
    pub(super) fn put_on(self, message: MessageId, content: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Nothing => content.into(),
            Self::Postmark => [line(message).as_bytes(), content].concat().into(),
        }
    }

    /// How many octets that are.
    pub(super) fn size_with(self, message: MessageId, content: &[u8]) -> usize {
        match self {
            Self::Nothing => content.len(),
            Self::Postmark => line(message).len() + content.len(),
        }
    }
}

fn line(message: MessageId) -> String {
    format!("{POSTMARK}: {message}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_postmark_is_told_the_message() {
        let id = MessageId::new();
        let content = b"Subject: x\r\n\r\nx\r\n";
        for host in ["smtp.postmarkapp.com", "SMTP-broadcasts.PostmarkApp.com."] {
            let marks = Marks::of(host);
            let marked = marks.put_on(id, content);
            let expected =
                format!("X-PM-Metadata-clarion-message: {id}\r\nSubject: x\r\n\r\nx\r\n");
            assert_eq!(String::from_utf8_lossy(&marked), expected, "{host}");
            assert_eq!(marks.size_with(id, content), expected.len(), "{host}");
        }
        for host in [
            "mail.example",
            "notpostmarkapp.com",
            "postmarkapp.com.mail.example",
        ] {
            let marks = Marks::of(host);
            assert_eq!(marks.put_on(id, content), &content[..], "{host}");
            assert_eq!(marks.size_with(id, content), content.len(), "{host}");
        }
    }
}
