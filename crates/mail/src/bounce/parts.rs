//! The parts of a mail that matter here.

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders, PartType};

use super::MOST;
use super::text::beginning;

/// Most enclosed mails looked into.
const DEPTH: usize = 4;
/// Most octets of what is written for people. Servers say why before they quote the original.
const PROSE: usize = 64 << 10;
/// Most octets of HTML that are made into prose.
const HTML: usize = 256 << 10;

/// A mail that falls apart level by level: mails can enclose each other deeper than the stack is.
struct Mail<'m>(Message<'m>);

impl<'m> Mail<'m> {
    fn parse(raw: &'m [u8]) -> Option<Self> {
        MessageParser::default().parse(raw).map(Self)
    }
}

impl Drop for Mail<'_> {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.0.parts);
        while let Some(part) = left.pop() {
            if let PartType::Message(mut inner) = part.body {
                left.append(&mut inner.parts);
            }
        }
    }
}

/// A mail that came back, taken apart.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) subject: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Vec<String>,
    /// `X-Failed-Recipients`, in whatever field a server keeps them.
    pub(super) failed: Vec<String>,
    /// `message/delivery-status` and its kin.
    pub(super) status: Vec<String>,
    /// `message/feedback-report`.
    pub(super) feedback: Option<String>,
    /// Whose complaint it is, where the report has no part of its own: Microsoft marks the enclosed
    /// mail instead.
    pub(super) complained: Option<String>,
    /// What is written for people, without what is quoted of the original.
    pub(super) prose: String,
    /// Whether there is a word in it: only then HTML that says the same is left out.
    pub(super) worded: bool,
    pub(super) original_to: Vec<String>,
    pub(super) original_from: Option<String>,
    pub(super) original_message_id: Option<String>,
    pub(super) automatic: bool,
}

impl Parts {
    pub(super) fn of(raw: &[u8]) -> Option<Self> {
        let mail = Mail::parse(raw)?;
        let message = &mail.0;
        let mut parts = Self {
            subject: message.subject().map(str::to_owned),
            from: first(message.from()),
            to: all(message.to()),
            automatic: says_automatic(message),
            ..Self::default()
        };
        parts.failed = header(message, "X-Failed-Recipients")
            .unwrap_or_default()
            .split([',', ' '])
            .filter_map(address)
            .take(MOST)
            .collect();
        parts.gather(message, 0);
        parts.take_written_status();
        if !parts.prose.contains("notificationType") {
            parts.leave_out_the_original();
        }
        Some(parts)
    }

    fn gather(&mut self, message: &Message<'_>, depth: usize) {
        for part in &message.parts {
            let kind = part.content_type().map(|kind| {
                let subtype = kind.subtype().unwrap_or_default();
                format!("{}/{subtype}", kind.ctype()).to_lowercase()
            });
            let kind = kind.unwrap_or_default();
            match (&part.body, kind.as_str()) {
                (_, "message/delivery-status" | "message/global-delivery-status") => {
                    self.status.push(text(part.contents()));
                }
                (_, "message/feedback-report") => {
                    self.feedback = Some(text(part.contents()));
                }
                (PartType::Message(inner), _) => self.enclosed(inner, depth),
                (_, "text/rfc822-headers" | "message/rfc822-headers" | "message/rfc822") => {
                    if let Some(inner) = Mail::parse(part.contents()) {
                        self.original(&inner.0);
                    }
                }
                (PartType::Text(body), _) => self.write(body),
                (PartType::Html(body), _) if !self.worded => {
                    let body = beginning(body, HTML);
                    self.write(&mail_parser::decoders::html::html_to_text(body));
                }
                _ => {}
            }
        }
    }

    fn write(&mut self, text: &str) {
        let text = beginning(text, PROSE.saturating_sub(self.prose.len()));
        self.worded |= !text.trim().is_empty();
        self.prose.push_str(text);
        self.prose.push('\n');
    }

    /// Who is meant where a notification names nobody.
    pub(super) fn likely(&self) -> Option<String> {
        let likely = self.failed.first().or(self.original_to.first());
        likely.cloned()
    }

    /// A mail inside: the original, or a bounce that somebody passed on.
    fn enclosed(&mut self, inner: &Message<'_>, depth: usize) {
        let bounce = inner.parts.iter().any(|part| {
            let report = |kind: &mail_parser::ContentType<'_>| {
                matches!(kind.subtype(), Some("delivery-status" | "feedback-report"))
            };
            part.content_type().is_some_and(report)
        });
        if bounce && depth < DEPTH {
            self.gather(inner, depth + 1);
        } else {
            self.original(inner);
        }
    }

    fn original(&mut self, original: &Message<'_>) {
        if self.complained.is_none() {
            self.complained = header(original, "X-HmXmrOriginalRecipient")
                .as_deref()
                .and_then(address);
        }
        if self.original_message_id.is_none() {
            self.original_message_id = original.message_id().map(str::to_owned);
        }
        if self.original_from.is_none() {
            self.original_from = first(original.from());
        }
        if self.original_to.is_empty() {
            self.original_to = all(original.to());
        }
    }

    /// A status notification that was pasted into a text, or lost its parts on the way.
    fn take_written_status(&mut self) {
        let begins = |line: &str| {
            let name = line.split_once(':').map(|(name, _)| name.trim_end());
            name.is_some_and(|name| name.eq_ignore_ascii_case("final-recipient"))
        };
        if self.status.is_empty() && self.prose.lines().any(begins) {
            self.status.push(self.prose.clone());
        }
    }

    /// Servers that do not enclose the original as a part write it below their words.
    fn leave_out_the_original(&mut self) {
        let lower = self.prose.to_ascii_lowercase();
        let at = ORIGINAL.iter().filter_map(|mark| lower.find(mark)).min();
        let Some(at) = at.filter(|at| *at > 0) else {
            return;
        };
        let Some(below) = self.prose.get(at..).map(str::to_owned) else {
            return;
        };
        self.prose.truncate(at);
        // Its head begins with the first line that is a field.
        let mut head = String::new();
        for line in below
            .lines()
            .skip(1)
            .map(|line| line.trim_start_matches(['>', '|', ' ']))
        {
            let is_field = line
                .split_once(':')
                .is_some_and(|(name, _)| !name.is_empty() && !name.contains(' '));
            if is_field || (!head.is_empty() && !line.is_empty()) {
                head.push_str(line);
                head.push_str("\r\n");
            } else if !head.is_empty() {
                break;
            }
        }
        head.push_str("\r\n");
        if let Some(original) = Mail::parse(head.as_bytes()) {
            self.original(&original.0);
        }
    }

    /// RFC 3834 §5, and what came before it. Mail servers mark their bounces in the same way.
    pub(super) fn is_automatic_answer(&self) -> bool {
        let from_daemon = self.from.as_deref().is_none_or(is_daemon);
        self.automatic && self.failed.is_empty() && !from_daemon
    }
}

/// Where servers begin to quote.
const ORIGINAL: [&str; 21] = [
    "--- below this line is a copy of the message",
    "--- the header of the original message",
    "------ this is a copy of the message",
    "--- original message follows",
    "----- original message",
    "-----original message",
    "--- message header follows",
    "--- returned message",
    "--- mail header",
    "----- unsent message",
    "--- undelivered message",
    "original message follows",
    "original message headers",
    "the following is the original",
    "following is a copy of the message",
    "message headers follow",
    "message header follows",
    "received: from ",
    "return-path: <",
    "your original message",
    "original-message:",
];

/// Fields are ASCII or UTF-8; Japanese servers write theirs in ISO-2022-JP, which begins with an
/// escape.
fn text(bytes: &[u8]) -> String {
    let japanese = memchr::memmem::find(bytes, b"\x1b$").is_some();
    let decode = charset_decoder(b"iso-2022-jp").filter(|_| japanese);
    match decode {
        Some(decode) => decode(bytes),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn header(message: &Message<'_>, name: &str) -> Option<String> {
    match message.header(name)? {
        HeaderValue::Text(text) => Some(text.to_string()),
        HeaderValue::TextList(texts) => Some(texts.join(" ")),
        other => message
            .header_raw(name)
            .map(str::trim)
            .map(str::to_owned)
            .or_else(|| other.as_text().map(str::to_owned)),
    }
}

fn says_automatic(message: &Message<'_>) -> bool {
    let field = |name| {
        message
            .header_raw(name)
            .unwrap_or_default()
            .trim()
            .to_lowercase()
    };
    let submitted = field("Auto-Submitted");
    let subject = message.subject().unwrap_or_default().trim().to_lowercase();
    submitted.starts_with("auto-replied")
        || submitted.starts_with("auto-generated") && is_answer(&subject)
        || !field("X-Autoreply").is_empty()
        || !field("X-Autorespond").is_empty()
        || !field("X-Auto-Reply-From").is_empty()
        || matches!(field("Precedence").as_str(), "auto_reply" | "auto-reply")
        || field("X-Auto-Response-Suppress").contains("all") && is_answer(&subject)
        || is_answer(&subject)
}

/// Subjects of automatic answers, in the languages that are met most.
fn is_answer(subject: &str) -> bool {
    const BEGINNINGS: [&str; 27] = [
        "auto:",
        "auto reply",
        "auto-reply",
        "autoreply",
        "automatic reply",
        "automatic response",
        "auto response",
        "autoresponse",
        "out of office",
        "out of the office",
        "out-of-office",
        "ooo:",
        "vacation",
        "on vacation",
        "away from",
        "abwesen",
        "automatische antwort",
        "réponse automatique",
        "respuesta automática",
        "automatisch antwoord",
        "risposta automatica",
        "resposta automática",
        "автоответ",
        "自動応答",
        "自動返信",
        "自动回复",
        "自動回覆",
    ];
    BEGINNINGS.iter().any(|start| subject.starts_with(start))
}

fn first(list: Option<&Address<'_>>) -> Option<String> {
    all(list).into_iter().next()
}

fn all(list: Option<&Address<'_>>) -> Vec<String> {
    let addresses = list.into_iter().flat_map(|list| list.iter());
    addresses
        .filter_map(|one| address(one.address()?))
        .take(MOST)
        .collect()
}

/// Whether nobody but a mail server writes from here.
pub(super) fn is_daemon(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default();
    [
        "mailer-daemon",
        "postmaster",
        "mail-daemon",
        "daemon",
        "abuse",
    ]
    .contains(&local)
}

/// The first address in a text, in lower case.
pub(super) fn address(text: &str) -> Option<String> {
    addresses(text).next()
}

/// Every address in a text, in lower case.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = String> + '_ {
    let outside = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "<>()[]{},;:\"'`|".contains(letter)
    };
    text.split(outside).filter_map(|word| {
        let word = word.trim_matches(['.', '=', '*', '?', '!', '/', '\\']);
        let (local, domain) = word.rsplit_once('@')?;
        let sound = !local.is_empty()
            && local.len() <= 64
            && domain.len() <= 253
            && domain.contains('.')
            && domain
                .chars()
                .all(|letter| letter.is_alphanumeric() || ".-_".contains(letter));
        sound.then(|| word.to_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_a_mail_has_limits() {
        let many: Vec<_> = (0..20_000).map(|n| format!("u{n}@x.example")).collect();
        let many = many.join(",\r\n ");
        let prose = "A word is enough.\r\n".repeat(20_000);
        let mail = format!(
            "To: {many}\r\nX-Failed-Recipients: {many}\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\n\r\n{prose}--b\r\n\r\n{prose}\
             --b\r\nContent-Type: message/rfc822\r\n\r\nTo: {many}\r\n\r\nx\r\n--b--\r\n"
        );
        let parts = Parts::of(mail.as_bytes()).expect("a mail");
        for list in [&parts.to, &parts.failed, &parts.original_to] {
            assert!((1..=MOST).contains(&list.len()), "{} addresses", list.len());
        }
        assert!(
            parts.prose.len() <= PROSE + 2,
            "{} octets",
            parts.prose.len()
        );
    }
}
