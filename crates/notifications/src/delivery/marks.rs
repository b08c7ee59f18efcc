//! What a provider gives back with what it tells, for those that keep nothing else of ours.

use std::borrow::Cow;

use common::ids::MessageId;

/// Postmark gives a mail another Message-ID and another return path, but tells the metadata that
/// came with it (names of at most 20 octets, values of at most 80).
const POSTMARK: &str = "X-PM-Metadata-clarion-message";

/// The content as it goes to this host.
pub(super) fn marked<'c>(host: &str, message: MessageId, content: &'c [u8]) -> Cow<'c, [u8]> {
    match is_postmark(host) {
        true => [format!("{POSTMARK}: {message}\r\n").as_bytes(), content]
            .concat()
            .into(),
        false => content.into(),
    }
}

fn is_postmark(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "postmarkapp.com" || host.ends_with(".postmarkapp.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_postmark_is_told_the_message() {
        let id = MessageId::new();
        let content = b"Subject: x\r\n\r\nx\r\n";
        for host in ["smtp.postmarkapp.com", "SMTP-broadcasts.PostmarkApp.com."] {
            let marked = marked(host, id, content);
            let expected =
                format!("X-PM-Metadata-clarion-message: {id}\r\nSubject: x\r\n\r\nx\r\n");
            assert_eq!(String::from_utf8_lossy(&marked), expected, "{host}");
        }
        for host in [
            "mail.example",
            "notpostmarkapp.com",
            "postmarkapp.com.mail.example",
        ] {
            assert_eq!(marked(host, id, content), &content[..], "{host}");
        }
    }
}
