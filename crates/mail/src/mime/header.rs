//! Header fields: folding, encoded words, display names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where a line is folded when it can be (RFC 5322 §2.1.1).
const SOFT_LINE: usize = 76;
/// Octets of text in one encoded word; with its frame it is at most 75 characters (RFC 2047 §2).
const WORD: usize = 45;

/// Writes fields into the head of a message.
pub(super) struct Head<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Head<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A field of unstructured text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        let value = one_line(value);
        self.begin(name);
        let mut column = name.len() + 2;
        if is_plain(&value) {
            self.fold(&value, &mut column);
        } else {
            self.encoded(&value, &mut column);
        }
        self.end();
    }

    /// A field whose value we made ourselves: tokens, dates, ids. Controls are dropped all the
    /// same.
    pub(super) fn token(&mut self, name: &str, value: &str) {
        self.begin(name);
        let octets = value.bytes().filter(|byte| !byte.is_ascii_control());
        self.out.extend(octets);
        self.end();
    }

    /// A field of one address with a display name.
    pub(super) fn mailbox(&mut self, name: &str, display: &str, address: &str) {
        self.named(name, display, address);
    }

    /// `List-Id: description <id>` has the shape of a mailbox (RFC 2919 §2).
    pub(super) fn list_id(&mut self, description: &str, id: &str) {
        self.named("List-Id", description, id);
    }

    fn named(&mut self, name: &str, display: &str, inner: &str) {
        let display = one_line(display);
        self.begin(name);
        let mut column = name.len() + 2;
        if display.is_empty() {
            self.angle_or_bare(name, inner, column);
            return self.end();
        }
        if is_plain(&display) && display.len() <= 60 {
            let quoted = quote(&display);
            column += quoted.len();
            self.out.extend_from_slice(quoted.as_bytes());
        } else {
            self.encoded(&display, &mut column);
        }
        let separator = if column + inner.len() + 3 > SOFT_LINE {
            "\r\n <"
        } else {
            " <"
        };
        self.out.extend_from_slice(separator.as_bytes());
        self.address(inner);
        self.out.push(b'>');
        self.end();
    }

    fn angle_or_bare(&mut self, name: &str, inner: &str, column: usize) {
        let bracketed = name == "List-Id";
        if column + inner.len() + 2 > 900 {
            self.out.extend_from_slice(b"\r\n ");
        }
        if bracketed {
            self.out.push(b'<');
        }
        self.address(inner);
        if bracketed {
            self.out.push(b'>');
        }
    }

    fn address(&mut self, address: &str) {
        let octets = address.bytes().filter(|byte| !byte.is_ascii_control());
        self.out.extend(octets);
    }

    fn begin(&mut self, name: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
    }

    fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// Plain text, folded at spaces.
    fn fold(&mut self, value: &str, column: &mut usize) {
        for (index, word) in value.split(' ').enumerate() {
            let fits = *column + word.len() < SOFT_LINE;
            if index > 0 {
                // A fold must leave something on the line before it and after it.
                if !fits && !word.is_empty() {
                    self.out.extend_from_slice(b"\r\n");
                    *column = 0;
                }
                self.out.push(b' ');
                *column += 1;
            }
            self.out.extend_from_slice(word.as_bytes());
            *column += word.len();
        }
    }

    /// Encoded words, split between characters (RFC 2047 §5).
    fn encoded(&mut self, value: &str, column: &mut usize) {
        let mut rest = value;
        while !rest.is_empty() {
            let room = SOFT_LINE.saturating_sub(*column + 12) / 4 * 3;
            let take = if room < 9 {
                0
            } else {
                floor(rest, room.min(WORD))
            };
            if take == 0 {
                self.out.extend_from_slice(b"\r\n ");
                *column = 1;
                continue;
            }
            let (word, after) = rest.split_at(take);
            let encoded = STANDARD.encode(word);
            self.out.extend_from_slice(b"=?utf-8?B?");
            self.out.extend_from_slice(encoded.as_bytes());
            self.out.extend_from_slice(b"?=");
            *column += encoded.len() + 12;
            rest = after;
            if !rest.is_empty() {
                // White space between encoded words is not shown.
                self.out.extend_from_slice(b"\r\n ");
                *column = 1;
            }
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// Runs of white space and control characters become one space.
fn one_line(value: &str) -> std::borrow::Cow<'_, str> {
    let bad = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    if !value.contains(bad) && value.trim().len() == value.len() {
        return value.into();
    }
    let words = value.split(|letter: char| bad(letter) || letter.is_whitespace());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").into()
}

/// Whether text can stand in a head as it is: printable ASCII that nobody takes for an encoded
/// word, in words that can be folded, without runs of spaces that folding could lose.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && !value.contains("=?")
        && !value.contains("  ")
        && value.split(' ').all(|word| word.len() <= 60)
}

fn quote(display: &str) -> String {
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b" !#$%&'*+-/=?^_`{|}~".contains(&byte);
    if display.bytes().all(atom) {
        return display.to_owned();
    }
    let escaped = display.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: &str) -> String {
        let mut out = Vec::new();
        Head::new(&mut out).text("Subject", value);
        String::from_utf8(out).expect("a head is UTF-8")
    }

    fn mailbox(display: &str) -> String {
        let mut out = Vec::new();
        Head::new(&mut out).mailbox("From", display, "ada@example.com");
        String::from_utf8(out).expect("a head is UTF-8")
    }

    #[test]
    fn a_line_break_in_a_value_begins_no_header() {
        assert_eq!(
            text("Hi\r\nBcc: eve@example.com"),
            "Subject: Hi Bcc: eve@example.com\r\n"
        );
        let from = mailbox("Ada\r\nBcc: eve@example.com");
        assert_eq!(
            from,
            "From: \"Ada Bcc: eve@example.com\" <ada@example.com>\r\n"
        );
    }

    #[test]
    fn names_are_quoted_or_encoded_where_they_must_be() {
        assert_eq!(
            mailbox("Ada Lovelace"),
            "From: Ada Lovelace <ada@example.com>\r\n"
        );
        assert_eq!(
            mailbox("Lovelace, \"Ada\""),
            "From: \"Lovelace, \\\"Ada\\\"\" <ada@example.com>\r\n"
        );
        assert_eq!(mailbox(""), "From: ada@example.com\r\n");
        assert!(mailbox("Jörg").starts_with("From: =?utf-8?B?SsO2cmc=?= <"));
    }

    fn parsed(head: &str) -> Option<String> {
        let raw = format!("{head}From: a@b.example\r\n\r\n");
        let message = mail_parser::MessageParser::default().parse(raw.as_bytes())?;
        message.subject().map(str::to_owned)
    }

    #[test]
    fn text_that_looks_encoded_is_read_as_it_was_written() {
        for value in ["=?utf-8?B?SsO2cmc=?=", "two  spaces", &"x".repeat(300)] {
            assert_eq!(parsed(&text(value)).as_deref(), Some(value));
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_in_short_lines(value in "[^\\pC\\pZ]{1,40}( [^\\pC\\pZ]{1,40}){0,12}") {
            let head = text(&value);
            for line in head.split("\r\n") {
                prop_assert!(line.len() <= 78, "{line}");
                prop_assert!(!line.contains(['\r', '\n']));
            }
            prop_assert_eq!(parsed(&head), Some(value));
        }

        #[test]
        fn no_value_ends_the_head(value in "\\PC{0,20}[\\r\\n\\x00-\\x1f]{1,4}\\PC{0,20}") {
            for head in [text(&value), mailbox(&value)] {
                prop_assert_eq!(head.matches("\r\n").count(), head.matches("\r\n ").count() + 1);
                prop_assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
                prop_assert_eq!(head.matches('\r').count(), head.matches("\r\n").count());
            }
        }
    }
}
