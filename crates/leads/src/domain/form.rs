//! What a form asks, and what people may answer.

use std::collections::BTreeMap;

use common::FieldError;
use common::values::EmailAddress;
use serde::{Deserialize, Serialize};

/// Most fields of a form besides the address.
pub(crate) const MAX_FIELDS: usize = 20;
/// Most lists that a form leads to.
pub(crate) const MAX_LISTS: usize = 20;
/// Most origins of a form.
pub(crate) const MAX_ORIGINS: usize = 50;
/// The longest answer, in characters.
const MAX_ANSWER: usize = 200;
const MAX_PHONE: usize = 50;

/// What every form asks.
pub(crate) const EMAIL: &str = "email";
/// Agrees to the words of the form, by repeating them.
pub(crate) const CONSENT: &str = "consent";
/// A field that people do not see: whoever fills it in is a program.
pub(crate) const TRAP: &str = "website";
/// The visitor that the page around a form knows.
pub(crate) const ANONYMOUS_ID: &str = "anonymous_id";

/// One question of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Field {
    /// What it fills, see [`Part`].
    pub field: String,
    pub label: String,
    pub required: bool,
}

/// What somebody answered, by field.
pub(crate) type Answers = BTreeMap<String, String>;

/// What a field fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'f> {
    FirstName,
    LastName,
    Phone,
    Company,
    Attribute(&'f str),
}

impl<'f> Part<'f> {
    /// What `field` stands for; an attribute is `attributes.<name>`.
    pub(crate) fn of(field: &'f str) -> Option<Self> {
        match field {
            "first_name" => Some(Self::FirstName),
            "last_name" => Some(Self::LastName),
            "phone" => Some(Self::Phone),
            "company" => Some(Self::Company),
            _ => {
                let name = field.strip_prefix("attributes.")?;
                let sound = (1..=100).contains(&name.chars().count())
                    && !name.contains(|c: char| c == '.' || c.is_control());
                sound.then_some(Self::Attribute(name))
            }
        }
    }

    fn longest(self) -> usize {
        match self {
            Self::Phone => MAX_PHONE,
            _ => MAX_ANSWER,
        }
    }

    /// What a browser may fill in by itself.
    pub(crate) fn autocomplete(self) -> &'static str {
        match self {
            Self::FirstName => "given-name",
            Self::LastName => "family-name",
            Self::Phone => "tel",
            Self::Company => "organization",
            Self::Attribute(_) => "on",
        }
    }
}

/// A form that was filled in as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub email: EmailAddress,
    pub answers: Answers,
    pub anonymous_id: Option<String>,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Missing,
    NoAddress,
    TooLong(usize),
    Unprintable,
    NotAgreed,
}

/// A field whose answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub name: String,
    pub why: Why,
}

impl Wrong {
    /// For a program.
    pub(crate) fn told(&self, wording: &str) -> FieldError {
        let detail = match self.why {
            Why::Missing => "is needed".to_owned(),
            Why::NoAddress => "must be an email address".to_owned(),
            Why::TooLong(limit) => format!("must be at most {limit} characters long"),
            Why::Unprintable => "must not contain line breaks or control characters".to_owned(),
            Why::NotAgreed => format!("must be the words that are agreed to: {wording}"),
        };
        FieldError::new(format!("/{}", self.name), detail)
    }
}

/// Whether a program filled in what people do not see.
pub(crate) fn is_trapped(sent: &BTreeMap<String, String>) -> bool {
    sent.get(TRAP).is_some_and(|text| !text.is_empty())
}

/// What a program sent that the form does not ask.
pub(crate) fn unknown(fields: &[Field], sent: &BTreeMap<String, String>) -> Vec<FieldError> {
    let asked = |name: &str| {
        [EMAIL, CONSENT, TRAP, ANONYMOUS_ID].contains(&name)
            || fields.iter().any(|field| field.field == name)
    };
    let strangers = sent.keys().filter(|name| !asked(name));
    strangers
        .map(|name| FieldError::new(format!("/{name}"), "is not asked by this form"))
        .collect()
}

/// Reads what was sent; names everything in it that cannot be used. What the form does not ask is
/// passed over.
pub(crate) fn read(
    fields: &[Field],
    wording: &str,
    sent: &BTreeMap<String, String>,
) -> Result<Given, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let mut refuse = |name: &str, why: Why| {
        let name = name.to_owned();
        wrong.push(Wrong { name, why });
    };
    let text = |name: &str| sent.get(name).map_or("", |text| text.trim());
    let email = match text(EMAIL) {
        "" => Err(Why::Missing),
        text => EmailAddress::parse(text).map_err(|_| Why::NoAddress),
    };
    let email = email.map_err(|why| refuse(EMAIL, why)).ok();
    let mut answers = Answers::new();
    for field in fields {
        let longest = Part::of(&field.field).map_or(MAX_ANSWER, Part::longest);
        match line(text(&field.field), longest) {
            Ok("") if field.required => refuse(&field.field, Why::Missing),
            Ok("") => {}
            Ok(answer) => {
                answers.insert(field.field.clone(), answer.to_owned());
            }
            Err(why) => refuse(&field.field, why),
        }
    }
    if text(CONSENT) != wording {
        refuse(CONSENT, Why::NotAgreed);
    }
    let visitor = line(text(ANONYMOUS_ID), MAX_ANSWER).map_err(|why| refuse(ANONYMOUS_ID, why));
    let anonymous_id = visitor.ok().filter(|id| !id.is_empty()).map(str::to_owned);
    match (email, wrong.is_empty()) {
        (Some(email), true) => Ok(Given {
            email,
            answers,
            anonymous_id,
        }),
        _ => Err(wrong),
    }
}

fn line(text: &str, limit: usize) -> Result<&str, Why> {
    if text.chars().any(char::is_control) {
        return Err(Why::Unprintable);
    }
    if text.chars().count() > limit {
        return Err(Why::TooLong(limit));
    }
    Ok(text)
}

/// Text of several lines, at most `limit` characters. Empty text is no value.
pub(crate) fn lines(text: &str, limit: usize) -> Result<Option<String>, String> {
    let text = text.trim().replace("\r\n", "\n");
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err("must not contain control characters".into());
    }
    if text.chars().count() > limit {
        return Err(format!("must be at most {limit} characters long"));
    }
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDING: &str = "Write to me once a month.";

    fn field(name: &str, required: bool) -> Field {
        Field {
            field: name.into(),
            label: "A label".into(),
            required,
        }
    }

    fn sent(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_field_fills_a_part_of_a_person() {
        assert_eq!(Part::of("first_name"), Some(Part::FirstName));
        assert_eq!(
            Part::of("attributes.plan b"),
            Some(Part::Attribute("plan b"))
        );
        let long = format!("attributes.{}", "x".repeat(101));
        for unknown in ["email", "status", "attributes.", "attributes.a.b", &long] {
            assert_eq!(Part::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_asked_is_read_and_the_rest_passed_over() {
        let fields = [field("first_name", true), field("attributes.plan", false)];
        let read = read(
            &fields,
            WORDING,
            &sent(&[
                ("email", " Ada@example.com "),
                ("first_name", " Ada "),
                ("attributes.plan", ""),
                ("status", "customer"),
                ("consent", WORDING),
                ("anonymous_id", "v1"),
            ]),
        );
        let given = read.expect("nothing is wrong");
        assert_eq!(given.email.as_str(), "Ada@example.com");
        assert_eq!(given.answers, sent(&[("first_name", "Ada")]));
        assert_eq!(given.anonymous_id.as_deref(), Some("v1"));
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let fields = [
            field("first_name", true),
            field("last_name", false),
            field("phone", false),
        ];
        let long = "1".repeat(51);
        let wrong = read(
            &fields,
            WORDING,
            &sent(&[
                ("email", "ada"),
                ("last_name", "a\nb"),
                ("phone", &long),
                ("consent", "on"),
                ("anonymous_id", "\0"),
            ]),
        );
        let wrong = wrong.expect_err("much is wrong");
        let told: Vec<_> = wrong.iter().map(|wrong| wrong.told(WORDING)).collect();
        let told: Vec<_> = told
            .iter()
            .map(|field| format!("{} {}", field.pointer, field.detail))
            .collect();
        assert_eq!(
            told,
            [
                "/email must be an email address",
                "/first_name is needed",
                "/last_name must not contain line breaks or control characters",
                "/phone must be at most 50 characters long",
                "/consent must be the words that are agreed to: Write to me once a month.",
                "/anonymous_id must not contain line breaks or control characters",
            ]
        );
        let nothing = read(&[], WORDING, &sent(&[])).expect_err("nothing was sent");
        assert_eq!(nothing[0].why, Why::Missing);
    }

    #[test]
    fn what_is_not_asked_is_known() {
        let fields = [field("company", false)];
        let unknown = unknown(
            &fields,
            &sent(&[
                ("email", ""),
                ("company", ""),
                ("status", "lost"),
                ("x", ""),
            ]),
        );
        let unknown: Vec<_> = unknown.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(unknown, ["/status", "/x"]);
    }

    #[test]
    fn a_program_fills_in_what_nobody_sees() {
        assert!(is_trapped(&sent(&[("website", "https://spam.example")])));
        assert!(!is_trapped(&sent(&[("website", "")])));
        assert!(!is_trapped(&sent(&[])));
    }

    #[test]
    fn a_text_may_have_lines_and_nothing_else_that_is_unseen() {
        assert_eq!(lines(" a\r\nb ", 10), Ok(Some("a\nb".into())));
        assert_eq!(lines(" \n", 10), Ok(None));
        assert!(lines("a\tb", 10).is_err());
        assert!(lines("abc", 2).expect_err("too long").contains("at most 2"));
    }
}
