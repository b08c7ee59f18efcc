//! One message, whole.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use common::dto::dispatch::Mailbox;
use common::ids::MessageId;
use common::values::EmailAddress;

use super::attachment::Attachment;
use super::header::Head;
use super::quoted;

/// What a message says and to whom.
#[derive(Debug)]
pub struct Mail<'m> {
    pub id: MessageId,
    pub from: &'m Mailbox,
    pub to: &'m EmailAddress,
    pub reply_to: Option<&'m EmailAddress>,
    pub date: DateTime<Utc>,
    pub subject: &'m str,
    pub text: &'m str,
    pub html: Option<&'m str>,
    pub bulk: Bulk<'m>,
    pub attachments: &'m [Attachment<'m>],
}

/// Whether it goes to many.
#[derive(Debug)]
pub enum Bulk<'m> {
    /// One mail that a program sends to one person (RFC 3834 §5).
    Automatic,
    /// Part of a campaign.
    Campaign {
        unsubscribe: Unsubscribe<'m>,
        /// `Feedback-ID`, from the most special to the most general part.
        feedback: [&'m str; 3],
        list_name: &'m str,
        list_id: &'m str,
    },
}

/// How a person leaves.
#[derive(Debug)]
pub struct Unsubscribe<'m> {
    pub url: &'m str,
    /// Where a mail takes its sender off the list too (RFC 2369 §3.2), if mail is taken in.
    pub mailto: Option<&'m str>,
}

/// The message as octets: seven-bit (but for international addresses), lines within 998 octets,
/// ended by CRLF.
pub fn build(mail: &Mail<'_>) -> Vec<u8> {
    let body = mail.text.len() + mail.html.map_or(0, str::len);
    let files: usize = mail.attachments.iter().map(Attachment::size).sum();
    let mut out = Vec::with_capacity(body + body / 4 + 2048 + files);
    head(mail, &mut out);
    match mail.attachments {
        [] => words(mail, &mut out),
        files => mixed(mail, files, &mut out),
    }
    out
}

/// What is read: a text, or a text and its like in HTML.
fn words(mail: &Mail<'_>, out: &mut Vec<u8>) {
    match mail.html {
        None => {
            out.extend_from_slice(
                b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
            );
            quoted::encode(mail.text, out);
        }
        Some(html) => alternative(mail, html, out),
    }
}

/// What is read, and the files that go with it.
fn mixed(mail: &Mail<'_>, files: &[Attachment<'_>], out: &mut Vec<u8>) {
    // Base64 never makes `=_` either, and no other boundary begins with this one.
    let boundary = format!("=_files_{}", mail.id.0.simple());
    out.extend_from_slice(
        format!("Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\n").as_bytes(),
    );
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    words(mail, out);
    for file in files {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        file.write(out);
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

fn head(mail: &Mail<'_>, out: &mut Vec<u8>) {
    let mut head = Head::new(out);
    head.mailbox("From", &mail.from.name, &spelled(&mail.from.email));
    head.mailbox("To", "", &spelled(mail.to));
    if let Some(reply_to) = mail.reply_to {
        head.mailbox("Reply-To", "", &spelled(reply_to));
    }
    head.text("Subject", mail.subject);
    head.token("Date", &date(mail.date));
    head.token(
        "Message-ID",
        &format!("<{}@{}>", mail.id, ascii_domain(&mail.from.email)),
    );
    match &mail.bulk {
        Bulk::Automatic => head.token("Auto-Submitted", "auto-generated"),
        Bulk::Campaign {
            unsubscribe,
            feedback,
            list_name,
            list_id,
        } => {
            head.token("List-Unsubscribe", &ways(unsubscribe));
            head.token("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
            head.list_id(list_name, list_id);
            let [campaign, workspace, kind] = feedback;
            head.token(
                "Feedback-ID",
                &format!("{campaign}:{workspace}:{kind}:clarion"),
            );
        }
    }
    head.token("MIME-Version", "1.0");
}

/// The ways to leave, the one of RFC 8058 first.
fn ways(unsubscribe: &Unsubscribe<'_>) -> String {
    match unsubscribe.mailto {
        Some(address) => format!("<{}>, <mailto:{address}>", unsubscribe.url),
        None => format!("<{}>", unsubscribe.url),
    }
}

/// RFC 5322 §3.3.
fn date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// The sender's domain as it stands in an id.
pub fn ascii_domain(address: &EmailAddress) -> String {
    let spelled = spelled(address);
    spelled
        .rsplit_once('@')
        .map(|(_, domain)| domain.to_lowercase())
        .unwrap_or_default()
}

/// The address with its domain in ASCII (RFC 5891); a foreign local part stays (RFC 6532).
pub fn spelled(address: &EmailAddress) -> Cow<'_, str> {
    let text = address.as_str();
    let ascii = text
        .rsplit_once('@')
        .filter(|_| !text.is_ascii())
        .and_then(|(local, domain)| match url::Host::parse(domain) {
            Ok(url::Host::Domain(domain)) => Some(format!("{local}@{domain}")),
            _ => None,
        });
    ascii.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn alternative(mail: &Mail<'_>, html: &str, out: &mut Vec<u8>) {
    // Quoted-printable never makes `=_`, so no part can contain the boundary.
    let boundary = format!("=_{}", mail.id.0.simple());
    let open = |out: &mut Vec<u8>, kind: &str| {
        out.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            )
            .as_bytes(),
        );
    };
    out.extend_from_slice(
        format!("Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n")
            .as_bytes(),
    );
    open(out, "text/plain");
    quoted::encode(mail.text, out);
    open(out, "text/html");
    quoted::encode(html, out);
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};

    use super::*;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).expect("an address")
    }

    fn built(subject: &str, text: &str, html: Option<&str>) -> Vec<u8> {
        let from = Mailbox {
            name: "Ada, Countess".into(),
            email: address("ada@lovelace.example"),
        };
        let unsubscribe = Unsubscribe {
            url: "https://clarion.example/u/abc",
            mailto: Some("leave@clarion.example"),
        };
        build(&Mail {
            id: MessageId::new(),
            from: &from,
            to: &address("bob@example.com"),
            reply_to: Some(&address("reply@lovelace.example")),
            date: DateTime::from_timestamp(1_790_000_000, 0).expect("a time"),
            subject,
            text,
            html,
            bulk: Bulk::Campaign {
                unsubscribe,
                feedback: ["c", "w", "campaign"],
                list_name: "Müller",
                list_id: "w.lovelace.example",
            },
            attachments: &[],
        })
    }

    #[test]
    fn a_parser_reads_back_what_was_put_in() {
        let html = "<p>Grüße, größer als 3 &lt; 4</p>\n<p>.</p>";
        let raw = built("Grüße €", "Grüße\n.\nFrom here", Some(html));
        let mail = MessageParser::default().parse(&raw).expect("a message");
        assert_eq!(mail.subject(), Some("Grüße €"));
        assert_eq!(
            mail.body_text(0).as_deref(),
            Some("Grüße\r\n.\r\nFrom here")
        );
        let read = mail.body_html(0).expect("an HTML part");
        assert_eq!(read.replace("\r\n", "\n").trim_end(), html);
        assert_eq!(mail.text_body_count(), 1);
        let kind = mail.content_type().expect("a content type");
        assert_eq!(
            (kind.ctype(), kind.subtype()),
            ("multipart", Some("alternative"))
        );
        let from = mail.from().and_then(|from| from.first()).expect("a sender");
        assert_eq!(from.name(), Some("Ada, Countess"));
        assert_eq!(from.address(), Some("ada@lovelace.example"));
    }

    #[test]
    fn files_come_back_as_they_were() {
        let from = Mailbox {
            name: String::new(),
            email: address("ada@lovelace.example"),
        };
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let file = |filename, content| Attachment {
            filename,
            content_type: "application/pdf",
            content,
        };
        let files = [file("Rechnung für Zoë.pdf", &bytes), file("empty.pdf", &[])];
        let raw = build(&Mail {
            id: MessageId::new(),
            from: &from,
            to: &from.email,
            reply_to: None,
            date: Utc::now(),
            subject: "Files",
            text: "See the file.",
            html: Some("<p>See the file.</p>"),
            bulk: Bulk::Automatic,
            attachments: &files,
        });
        let mail = MessageParser::default().parse(&raw).expect("a message");
        assert_eq!(mail.body_text(0).as_deref(), Some("See the file."));
        assert_eq!(mail.attachment_count(), 2);
        let first = mail.attachment(0).expect("a file");
        assert_eq!(first.attachment_name(), Some("Rechnung für Zoë.pdf"));
        assert_eq!(first.contents(), bytes);
        assert_eq!(mail.attachment(1).expect("a file").contents(), b"");
    }

    #[test]
    fn the_head_carries_what_bulk_mail_needs() {
        let raw = String::from_utf8(built("Hi", "text", None)).expect("ASCII");
        for line in [
            "List-Unsubscribe: <https://clarion.example/u/abc>, <mailto:leave@clarion.example>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "Feedback-ID: c:w:campaign:clarion\r\n",
            "Reply-To: reply@lovelace.example\r\n",
            "To: bob@example.com\r\n",
            "MIME-Version: 1.0\r\n",
            "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n",
            "List-Id: =?utf-8?B?TcO8bGxlcg==?= <w.lovelace.example>\r\n",
        ] {
            assert!(raw.contains(line), "{line} in {raw}");
        }
        assert!(
            raw.contains("@lovelace.example>\r\n"),
            "a Message-ID of the sender's domain"
        );
    }

    #[test]
    fn a_foreign_domain_is_ascii_in_every_header() {
        let from = Mailbox {
            name: String::new(),
            email: address("info@müller.example"),
        };
        let raw = build(&Mail {
            id: MessageId::new(),
            from: &from,
            to: &address("Ada@bücher.example"),
            reply_to: Some(&from.email),
            date: Utc::now(),
            subject: "Hi",
            text: "Hi",
            html: None,
            bulk: Bulk::Automatic,
            attachments: &[],
        });
        let raw = String::from_utf8(raw).expect("ASCII");
        assert!(raw.is_ascii(), "{raw}");
        assert!(raw.contains("To: Ada@xn--bcher-kva.example\r\n"), "{raw}");
        assert!(raw.contains("@xn--mller-kva.example>\r\n"), "{raw}");
        assert!(raw.contains("Auto-Submitted: auto-generated\r\n"), "{raw}");
    }

    #[test]
    fn lines_are_short_and_end_in_crlf_only() {
        let long = "ü".repeat(5_000);
        let raw = built(&long, &long, Some(&long));
        for line in raw.split(|byte| *byte == b'\n') {
            assert!(line.len() <= 998);
            assert!(line.is_empty() || line.ends_with(b"\r"));
        }
        assert!(raw.ends_with(b"\r\n"));
        assert!(!raw.windows(3).any(|window| window == b"\n.\r"));
    }
}
