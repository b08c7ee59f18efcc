//! Messages read: a few headers when they arrive, everything when somebody looks.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use lol_html::{RewriteStrSettings, element, rewrite_str};
use mail_parser::{
    Address, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType,
};
use serde::Serialize;
use uuid::Uuid;

use crate::store::Summary;

/// Longest header text kept in a summary, in octets.
const MAX_TEXT: usize = 1000;

/// A message opened.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    #[serde(flatten)]
    pub summary: Summary,
    /// Name and value as sent, unfolded, in order.
    pub headers: Vec<(String, String)>,
    /// The text/plain part.
    pub text: Option<String>,
    /// The text/html part.
    pub html: Option<String>,
    /// Where the links of the HTML part lead, in order.
    pub links: Vec<String>,
    /// What the images of the HTML part load, in order.
    pub images: Vec<String>,
    pub attachments: Vec<Attachment>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Attachment {
    pub name: Option<String>,
    pub content_type: String,
    pub size: usize,
}

/// Reads the headers that a list shows.
pub(crate) fn summarise(
    mail_from: String,
    rcpt_to: Vec<String>,
    raw: &[u8],
    received_at: DateTime<Utc>,
) -> Summary {
    let parser = MessageParser::new()
        .header_text(HeaderName::Subject)
        .header_address(HeaderName::From)
        .header_address(HeaderName::To)
        .header_id(HeaderName::MessageId)
        .default_header_ignore();
    let message = parser.parse_headers(raw);
    let message = message.as_ref();
    let header = |name| message.and_then(|message| find(message, name));
    Summary {
        id: Uuid::now_v7(),
        received_at,
        mail_from,
        rcpt_to,
        subject: header(HeaderName::Subject)
            .and_then(HeaderValue::as_text)
            .map(short),
        from: header(HeaderName::From)
            .and_then(HeaderValue::as_address)
            .map(addresses),
        to: header(HeaderName::To)
            .and_then(HeaderValue::as_address)
            .map(addresses),
        message_id: header(HeaderName::MessageId)
            .and_then(HeaderValue::as_text)
            .map(short),
        size: raw.len() as u64,
    }
}

/// Opens a message.
pub(crate) fn open(summary: Summary, raw: &[u8]) -> Mail {
    let message = MessageParser::default().parse(raw).unwrap_or_default();
    let html = body(&message, true);
    let (links, images) = html.as_deref().map(references).unwrap_or_default();
    Mail {
        headers: headers(raw),
        text: body(&message, false),
        html,
        links,
        images,
        attachments: message.attachments().map(attachment).collect(),
        summary,
    }
}

fn find<'a>(message: &'a Message<'a>, name: HeaderName<'_>) -> Option<&'a HeaderValue<'a>> {
    let headers = &message.parts.first()?.headers;
    headers
        .iter()
        .rfind(|header| header.name == name)
        .map(|header| &header.value)
}

fn short(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT.min(text.len()));
    text[..end].to_owned()
}

fn addresses(address: &Address<'_>) -> String {
    let each = address.iter().map(|one| {
        let address = one.address.as_deref().unwrap_or_default();
        match one.name.as_deref() {
            Some(name) => Cow::Owned(format!("{name} <{address}>")),
            None => Cow::Borrowed(address),
        }
    });
    short(&each.collect::<Vec<_>>().join(", "))
}

fn body(message: &Message<'_>, html: bool) -> Option<String> {
    let bodies = if html {
        &message.html_body
    } else {
        &message.text_body
    };
    let parts = bodies.iter().filter_map(|at| message.part(*at));
    let mut found = parts.filter_map(|part| match &part.body {
        PartType::Html(body) if html => Some(body.to_string()),
        PartType::Text(body) if !html => Some(body.to_string()),
        _ => None,
    });
    found.next()
}

/// What `a` and `img` elements point to. HTML that cannot be read points nowhere.
fn references(html: &str) -> (Vec<String>, Vec<String>) {
    let (mut links, mut images) = (Vec::new(), Vec::new());
    let handlers = vec![
        element!("a[href]", |link| {
            links.extend(link.get_attribute("href").map(|href| unescape(&href)));
            Ok(())
        }),
        element!("img[src]", |image| {
            images.extend(image.get_attribute("src").map(|src| unescape(&src)));
            Ok(())
        }),
    ];
    let settings = RewriteStrSettings {
        element_content_handlers: handlers,
        ..RewriteStrSettings::new()
    };
    if let Err(error) = rewrite_str(html, settings) {
        tracing::debug!(%error, "HTML that cannot be read");
    }
    (links, images)
}

/// Attribute values come as they are spelled; addresses hold hardly any other entity.
fn unescape(value: &str) -> String {
    let value = value
        .replace("&#x2f;", "/")
        .replace("&#x2F;", "/")
        .replace("&#47;", "/");
    value
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

fn attachment(part: &MessagePart<'_>) -> Attachment {
    let content_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        },
    );
    let name = part.attachment_name().map(str::to_owned);
    Attachment {
        name,
        content_type,
        size: part.len(),
    }
}

/// The header lines up to the first empty line. Not left to the parser, so that nothing that was
/// sent is hidden: folded lines are joined, and what is not UTF-8 is shown with marks.
fn headers(raw: &[u8]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in raw.split(|octet| *octet == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        } else {
            break;
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\n\
        To: Ann <ann@example.com>, bob@example.com\r\n\
        Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n \
        folded\r\n\
        Message-ID: <1@example.com>\r\n\
        List-Unsubscribe: <https://example.com/u/x>,\r\n\t<mailto:u@example.com>\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
        --a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n\
        --a\r\nContent-Type: text/html\r\n\r\n<p><a href=\"https://e.com/?a=1&amp;b=2\">rich</a><img src='x.gif'></p>\r\n--a--\r\n\
        --b\r\nContent-Type: application/pdf\r\n\
        Content-Disposition: attachment; filename=\"a.pdf\"\r\n\r\nPDF\r\n--b--\r\n";

    fn opened(raw: &str) -> Mail {
        let summary = summarise(String::new(), vec![], raw.as_bytes(), DateTime::UNIX_EPOCH);
        open(summary, raw.as_bytes())
    }

    #[test]
    fn a_mixed_message_is_taken_apart() {
        let mail = opened(MIXED);
        assert_eq!(mail.summary.subject.as_deref(), Some("Grüße folded"));
        assert_eq!(mail.summary.from.as_deref(), Some("Jürgen <j@example.com>"));
        assert_eq!(
            mail.summary.to.as_deref(),
            Some("Ann <ann@example.com>, bob@example.com")
        );
        assert_eq!(mail.summary.message_id.as_deref(), Some("1@example.com"));
        assert_eq!(mail.text.as_deref().map(str::trim), Some("plain"));
        assert!(mail.html.unwrap().starts_with("<p><a"));
        assert_eq!(mail.links, ["https://e.com/?a=1&b=2"]);
        assert_eq!(mail.images, ["x.gif"]);
        assert_eq!(mail.attachments.len(), 1);
        assert_eq!(mail.attachments[0].name.as_deref(), Some("a.pdf"));
        assert_eq!(mail.attachments[0].content_type, "application/pdf");
        let unsubscribe = "<https://example.com/u/x>, <mailto:u@example.com>";
        assert!(
            mail.headers
                .contains(&("List-Unsubscribe".into(), unsubscribe.into()))
        );
    }

    #[test]
    fn a_part_that_was_not_sent_is_not_made_up() {
        let plain = opened("Subject: a\r\n\r\nonly text\r\n");
        assert_eq!((plain.text.is_some(), plain.html), (true, None));
        let rich = opened("Content-Type: text/html\r\n\r\n<b>only html</b>\r\n");
        assert_eq!((rich.text, rich.html.is_some()), (None, true));
    }

    #[test]
    fn anything_at_all_can_be_opened() {
        for raw in [
            "",
            "\r\n",
            "no header at all",
            "\0\0",
            ": \r\n\r\n",
            " folded first\r\n\r\nx",
        ] {
            let mail = opened(raw);
            assert_eq!(mail.summary.subject, None, "{raw:?}");
        }
        let long = format!("Subject: {}\r\n\r\n", "ü".repeat(2000));
        assert_eq!(opened(&long).summary.subject.unwrap().len(), MAX_TEXT);
    }
}
