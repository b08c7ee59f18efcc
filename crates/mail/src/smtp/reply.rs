//! Replies of a server (RFC 5321 §4.2), with enhanced status codes (RFC 2034).

use std::fmt;

/// Longest line we read; RFC 5321 §4.5.3.1.5 allows 512 octets, servers in the wild say more.
const MAX_LINE: usize = 2_048;
/// Most lines of one reply.
const MAX_LINES: usize = 128;
/// How much of a reply's text is kept.
const MAX_TEXT: usize = 512;

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// Class, subject, detail (RFC 3463).
    pub enhanced: Option<(u8, u16, u16)>,
    /// Its lines without codes, joined by spaces; printable characters only.
    pub text: String,
}

/// What came is not a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a line of more than {MAX_LINE} octets")]
    LongLine,
    #[error("a reply of more than {MAX_LINES} lines")]
    ManyLines,
    #[error("a line that does not begin with a reply code")]
    NoCode,
    #[error("lines of one reply with different codes")]
    Mixed,
    #[error("a reply that nobody asked for")]
    Unasked,
}

impl Reply {
    /// Reads one reply from the front of `bytes`: the reply and its length, or none while it is
    /// not complete.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let (mut code, mut text, mut at) = (None, Vec::new(), 0);
        for _ in 0..MAX_LINES {
            let Some(line) = next_line(&bytes[at..])? else {
                return Ok(None);
            };
            at += line.len();
            let (own, last, words) = split(line)?;
            if *code.get_or_insert(own) != own {
                return Err(Malformed::Mixed);
            }
            if text.len() < MAX_TEXT {
                if !text.is_empty() {
                    text.push(b' ');
                }
                text.extend_from_slice(words);
            }
            if last {
                return Ok(Some((Self::new(own, &text), at)));
            }
        }
        Err(Malformed::ManyLines)
    }

    fn new(code: u16, text: &[u8]) -> Self {
        let text: String = String::from_utf8_lossy(text)
            .chars()
            .filter(|letter| !letter.is_control())
            .take(MAX_TEXT)
            .collect();
        Self {
            code,
            enhanced: enhanced(&text).filter(|status| u16::from(status.0) == code / 100),
            text: text.trim().to_owned(),
        }
    }

    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The words of a line of an EHLO answer; `Reply` joins lines, so this reads them anew.
    pub(super) fn ehlo_keywords(bytes: &[u8]) -> impl Iterator<Item = String> {
        bytes
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.get(4..))
            .map(|line| String::from_utf8_lossy(line).trim().to_ascii_uppercase())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// The first line of `bytes` with its end.
fn next_line(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) if end > MAX_LINE => Err(Malformed::LongLine),
        Some(end) => Ok(Some(&bytes[..=end])),
        None if bytes.len() > MAX_LINE => Err(Malformed::LongLine),
        None => Ok(None),
    }
}

/// Code, whether it is the last line, and the words. A bare code is a last line.
fn split(line: &[u8]) -> Result<(u16, bool, &[u8]), Malformed> {
    let line = line.trim_ascii_end();
    let digits = line.get(..3).ok_or(Malformed::NoCode)?;
    let valid = matches!(digits, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    if !valid {
        return Err(Malformed::NoCode);
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match line.get(3) {
        None => Ok((code, true, &[])),
        Some(b' ') => Ok((code, true, &line[4..])),
        Some(b'-') => Ok((code, false, &line[4..])),
        Some(_) => Err(Malformed::NoCode),
    }
}

fn enhanced(text: &str) -> Option<(u8, u16, u16)> {
    let mut parts = text.split(' ').next()?.split('.');
    let status = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<(Reply, usize)>, Malformed> {
        Reply::parse(text.as_bytes())
    }

    #[test]
    fn lines_are_joined_and_what_follows_is_left() {
        let (reply, used) = parse("250-first\r\n250 second\r\n354 go\r\n")
            .expect("well-formed")
            .expect("complete");
        assert_eq!(
            (reply.code, reply.text.as_str(), used),
            (250, "first second", 23)
        );
        assert!(reply.is_positive());
    }

    #[test]
    fn an_enhanced_code_counts_only_when_it_agrees() {
        let status = |text| {
            parse(text)
                .expect("well-formed")
                .expect("complete")
                .0
                .enhanced
        };
        assert_eq!(status("550 5.1.1 unknown\r\n"), Some((5, 1, 1)));
        assert_eq!(status("550 2.1.1 unknown\r\n"), None);
        assert_eq!(status("550 10.0.0.1 is listed\r\n"), None);
        assert_eq!(status("550\r\n"), None);
    }

    #[test]
    fn half_a_reply_waits() {
        for half in ["", "25", "250-a\r\n", "250-a\r\n250 b"] {
            assert_eq!(parse(half), Ok(None), "{half:?}");
        }
    }

    #[test]
    fn what_is_not_a_reply_is_refused() {
        assert_eq!(parse("hello\r\n"), Err(Malformed::NoCode));
        assert_eq!(parse("\r\n"), Err(Malformed::NoCode));
        assert_eq!(parse("650 x\r\n"), Err(Malformed::NoCode));
        assert_eq!(parse("250x\r\n"), Err(Malformed::NoCode));
        assert_eq!(parse("250-a\r\n550 b\r\n"), Err(Malformed::Mixed));
        assert_eq!(parse(&"250-a\r\n".repeat(200)), Err(Malformed::ManyLines));
        assert_eq!(parse(&"x".repeat(3_000)), Err(Malformed::LongLine));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_keep_control_characters(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some((reply, used))) = Reply::parse(&bytes) {
                prop_assert!(used <= bytes.len());
                prop_assert!(!reply.text.chars().any(char::is_control));
            }
        }
    }
}
