//! Texts that are checked once, where they arrive.

use std::fmt::Display;

use chassis::InvalidInput;
use common::FieldError;
use common::values::Secret;

/// What a person, a workspace or a key is called: 1 to 200 characters, none of them invisible
/// controls, so that it can stand in a mail header or a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        match text.chars().count() {
            1..=200 if text.chars().any(char::is_control) => {
                Err("must not contain control characters")
            }
            1..=200 => Ok(Self(text.to_owned())),
            _ => Err("must be 1 to 200 characters long"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_inner(self) -> String {
        self.0
    }
}

/// A password that may be set: 8 to 128 characters, whatever they are, but none of those that are
/// guessed first (NIST SP 800-63B §5.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Password(Secret);

/// What a stranger thinks of first here.
const OUR_WORDS: [&str; 4] = ["clarion", "dashboard", "marketing", "newsletter"];

/// Whether a password is one of our words and a little around it.
fn is_our_word(text: &str) -> bool {
    let text = text.to_lowercase();
    let left = |word: &str| text.replacen(word, "", 1).chars().count();
    OUR_WORDS
        .iter()
        .any(|word| text.contains(word) && left(word) < 8)
}

impl Password {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        match text.chars().count() {
            8..=128 if is_our_word(text) => Err("is little more than a word that is used here"),
            8..=128 if super::common_passwords::contains(text) => {
                Err("is on the list of passwords that are guessed first")
            }
            8..=128 => Ok(Self(Secret::new(text))),
            _ => Err("must be 8 to 128 characters long"),
        }
    }

    pub(crate) fn into_secret(self) -> Secret {
        self.0
    }
}

/// Gathers what is wrong with a body, so that every bad field is named at once.
#[derive(Debug, Default)]
pub(crate) struct Check(Vec<FieldError>);

impl Check {
    /// The value, or nothing and a note about the field at `pointer`.
    pub(crate) fn take<T, E: Display>(&mut self, pointer: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|why| self.refuse(pointer, why)).ok()
    }

    pub(crate) fn refuse(&mut self, pointer: &str, why: impl Display) {
        self.0.push(FieldError::new(pointer, why.to_string()));
    }

    /// Fails if any field was refused.
    pub(crate) fn passed(&self) -> Result<(), InvalidInput> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(self.refusal()),
        }
    }

    pub(crate) fn refusal(&self) -> InvalidInput {
        InvalidInput::fields(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_on_one_line() {
        assert_eq!(
            Name::parse("  Ada Löve ").map(Name::into_inner),
            Ok("Ada Löve".into())
        );
        for text in ["", "   ", "a\r\nBcc: eve@example.com", "a\u{7f}"] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        assert!(Name::parse(&"ü".repeat(200)).is_ok());
        assert!(Name::parse(&"ü".repeat(201)).is_err());
    }

    #[test]
    fn a_word_that_is_used_here_is_no_password() {
        for text in [
            "Clarion2026!",
            "clarionclarion",
            "my-dashboard",
            "newsletter",
        ] {
            assert!(Password::parse(text).is_err(), "{text}");
        }
        assert!(Password::parse("a clarion call at dawn").is_ok());
    }

    #[test]
    fn a_password_is_measured_in_characters_and_nothing_else() {
        assert!(Password::parse("a b c d e").is_ok());
        assert!(Password::parse("aaaaaaaa").is_err(), "everybody's");
        assert!(Password::parse(&"ü".repeat(128)).is_ok());
        assert!(Password::parse("1234567").is_err());
        assert!(Password::parse(&"a".repeat(129)).is_err());
    }
}
