//! Files that go with a message: what they may be called, what they may be, and how much they may
//! weigh.

use chassis::InvalidInput;
use common::FieldError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest name, in bytes, as most file systems have it.
const MAX_NAME: usize = 255;

/// A file of a message, as it is noted there; its bytes are elsewhere, and only until the message
/// is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = notifications::Attachment)]
pub(crate) struct Attachment {
    pub(crate) id: Uuid,
    pub(crate) filename: String,
    pub(crate) content_type: String,
    pub(crate) size: u64,
}

impl Attachment {
    /// Those that a message's row lists.
    pub(crate) fn listed(column: Option<serde_json::Value>) -> Vec<Self> {
        let listed = column.map(serde_json::from_value);
        listed.and_then(Result::ok).unwrap_or_default()
    }
}

/// What a file is called and what is in it, both fit for a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) filename: String,
    pub(crate) content_type: String,
}

impl Label {
    /// Takes a label over, or says what is wrong with it; the file is the one at `index`.
    pub(crate) fn new(
        filename: &str,
        content_type: Option<&str>,
        index: usize,
    ) -> Result<Self, InvalidInput> {
        let mut wrong = Vec::new();
        if let Err(detail) = check_name(filename) {
            wrong.push(FieldError::new(
                format!("/attachments/{index}/filename"),
                detail,
            ));
        }
        let content_type = content_type.unwrap_or("application/octet-stream");
        if let Err(detail) = check_type(content_type) {
            wrong.push(FieldError::new(
                format!("/attachments/{index}/content_type"),
                detail,
            ));
        }
        match wrong.is_empty() {
            true => Ok(Self {
                filename: filename.to_owned(),
                content_type: content_type.to_owned(),
            }),
            false => Err(InvalidInput::fields(wrong)),
        }
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    // Marks that turn the direction of writing make `exe.pdf` of `fdp.exe`.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns(c);
    match name {
        "" => Err("must not be empty"),
        _ if name.len() > MAX_NAME => Err("is longer than 255 bytes"),
        "." | ".." => Err("is a folder"),
        _ if name.contains(['/', '\\']) => Err("must be a name and not a path"),
        _ if name.contains(breaks) => Err("must be one line without control characters"),
        _ if name.trim() != name => Err("must not begin or end with a space"),
        _ => Ok(()),
    }
}

/// `type/subtype` (RFC 6838 §4.2), with a charset at most.
fn check_type(text: &str) -> Result<(), &'static str> {
    let (essence, parameters) = match text.split_once(';') {
        Some((essence, parameters)) => (essence, Some(parameters.trim())),
        None => (text, None),
    };
    let token = |text: &str| {
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        first
            && text.len() <= 127
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let charset = parameters.map(|text| text.strip_prefix("charset=").unwrap_or_default());
    match essence.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => match kind {
            // These may not be written in base64 (RFC 2046 §5).
            "multipart" | "message" => {
                Err("cannot go in a file: send it as application/octet-stream")
            }
            _ if charset.is_some_and(|charset| !token(charset)) => {
                Err("may have a charset and nothing else")
            }
            _ => Ok(()),
        },
        _ => Err("must be of the form type/subtype"),
    }
}

/// How much a message may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of one file.
    pub(crate) each: u64,
    /// Bytes of all files.
    pub(crate) together: u64,
    pub(crate) files: usize,
}

/// A limit that was passed: its code, the field it is about, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) code: &'static str,
    pub(crate) field: FieldError,
}

/// What was taken in so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    limits: Limits,
    files: usize,
    this: u64,
    together: u64,
}

impl Tally {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            files: 0,
            this: 0,
            together: 0,
        }
    }

    /// How many files there are.
    pub(crate) fn files(&self) -> usize {
        self.files
    }

    /// Another file begins.
    pub(crate) fn begin(&mut self) -> Result<(), Exceeded> {
        (self.files, self.this) = (self.files + 1, 0);
        match self.files > self.limits.files {
            true => Err(too_large(
                "too_many_attachments",
                "/attachments".into(),
                format!("are more than {} files", self.limits.files),
            )),
            false => Ok(()),
        }
    }

    /// The last file has this many bytes more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exceeded> {
        (self.this, self.together) = (self.this + bytes as u64, self.together + bytes as u64);
        let Limits { each, together, .. } = self.limits;
        if self.this > each {
            let pointer = format!("/attachments/{}", self.files.saturating_sub(1));
            let detail = format!("is larger than {each} bytes");
            return Err(too_large("attachment_too_large", pointer, detail));
        }
        if self.together > together {
            let detail = format!("are larger than {together} bytes together");
            return Err(too_large(
                "attachments_too_large",
                "/attachments".into(),
                detail,
            ));
        }
        Ok(())
    }
}

fn too_large(code: &'static str, pointer: String, detail: String) -> Exceeded {
    Exceeded {
        code,
        field: FieldError::new(pointer, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path_in_one_line() {
        for name in [
            "invoice.pdf",
            "Rechnung für Zoë.pdf",
            ".profile",
            "a..b",
            "%00",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a\r\nBcc: x",
            "a\0",
            " a",
            "\u{202e}fdp.exe",
            &"x".repeat(256),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_type_is_two_tokens_and_perhaps_a_charset() {
        for text in [
            "application/pdf",
            "text/csv; charset=utf-8",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "image/svg+xml",
        ] {
            assert_eq!(check_type(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "pdf",
            "a/",
            "/b",
            "a/b/c",
            "a b/c",
            "a/b\r\nX: y",
            "multipart/mixed",
            "message/rfc822",
            "text/plain; name=x",
            "text/plain; charset=",
            "text/plain; charset=\"a\nb\"",
        ] {
            assert!(check_type(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_limit_is_named_where_it_is_passed() {
        let limits = Limits {
            each: 10,
            together: 15,
            files: 2,
        };
        let mut tally = Tally::new(limits);
        let code = |refused: Result<(), Exceeded>| {
            let refused = refused.expect_err("too much");
            (refused.code, refused.field.pointer)
        };
        assert!(tally.begin().is_ok() && tally.grow(10).is_ok());
        assert_eq!(
            code(tally.grow(1)),
            ("attachment_too_large", "/attachments/0".into())
        );
        let mut tally = Tally::new(limits);
        for _ in 0..2 {
            assert!(tally.begin().is_ok() && tally.grow(7).is_ok());
        }
        assert_eq!(
            code(tally.grow(2)),
            ("attachments_too_large", "/attachments".into())
        );
        assert_eq!(
            code(tally.begin()),
            ("too_many_attachments", "/attachments".into())
        );
    }
}
