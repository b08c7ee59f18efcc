//! The filters and tests that a mail may use; there are no others.
//!
//! A missing value (absent or null) passes through a filter untouched, so
//! `lead.first_name|title|default('there')` means what it says, and printing it
//! without a `default` names the variable.

mod date;
mod lists;
mod money;
mod numbers;
mod purse;
mod tests;
mod text;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};

pub(crate) const NAMES: &[&str] = &[
    "abs",
    "capitalize",
    "count",
    "d",
    "date",
    "default",
    "e",
    "escape",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "money",
    "replace",
    "round",
    "safe",
    "title",
    "trim",
    "truncate",
    "upper",
    "urlencode",
];

/// Filters whose result is a number or an error.
pub(crate) const NUMERIC: &[&str] = &["abs", "count", "float", "int", "length", "round"];

pub(crate) const TESTS: &[&str] = &[
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "none",
    "number",
    "odd",
    "startingwith",
    "string",
    "undefined",
];

pub(crate) fn install(env: &mut Environment<'static>) {
    text::install(env);
    numbers::install(env);
    lists::install(env);
    tests::install(env);
    env.add_filter("date", date::date);
    env.add_filter("money", money::money);
}

/// Absent or null: what `default` replaces and what cannot be printed.
pub(crate) fn is_missing(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Undefined | ValueKind::None)
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The value as text. A list or a map has none, so that no filter can print one.
fn as_text(value: &Value) -> Result<std::borrow::Cow<'_, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(text.into()),
        None => match value.kind() {
            ValueKind::Number | ValueKind::Bool => Ok(value.to_string().into()),
            kind => Err(wrong(format!("expected text, found {kind}"))),
        },
    }
}
