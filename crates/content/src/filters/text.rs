use std::fmt::Write as _;

use minijinja::{AutoEscape, Environment, Error, State, Value};

use super::purse::charge;
use super::{as_text, is_missing, wrong};
use crate::entities;

pub(super) fn install(env: &mut Environment<'static>) {
    env.add_filter("default", default);
    env.add_filter("d", default);
    env.add_filter("escape", escape);
    env.add_filter("e", escape);
    env.add_filter("safe", safe);
    env.add_filter("upper", |state: &mut State<'_, '_>, value: &Value| {
        mapped(state, value, |text| text.to_uppercase())
    });
    env.add_filter("lower", |state: &mut State<'_, '_>, value: &Value| {
        mapped(state, value, |text| text.to_lowercase())
    });
    env.add_filter("title", |state: &mut State<'_, '_>, value: &Value| {
        mapped(state, value, title)
    });
    env.add_filter("capitalize", |state: &mut State<'_, '_>, value: &Value| {
        mapped(state, value, capitalize)
    });
    env.add_filter("trim", |state: &mut State<'_, '_>, value: &Value| {
        mapped(state, value, |text| text.trim().to_owned())
    });
    env.add_filter("urlencode", |state: &mut State<'_, '_>, value: &Value| {
        mapped(state, value, urlencode)
    });
    env.add_filter("truncate", truncate);
    env.add_filter("replace", replace);
}

/// How much longer than its input the result of `mapped` can be: `urlencode`
/// makes three bytes of one, and upper case of one code point may be three.
const GROWTH: usize = 4;

fn mapped(
    state: &mut State<'_, '_>,
    value: &Value,
    map: impl FnOnce(&str) -> String,
) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    let text = as_text(value)?;
    charge(state, text.len() * GROWTH)?;
    Ok(map(&text).into())
}

/// `default('there')`: replaces what is absent, null or an empty text.
///
/// An empty text counts because a lead's empty field is a missing one to the
/// person who wrote "Hi {{ lead.first_name|default('there') }}". Zero and
/// `false` are values. The second argument of Jinja changes nothing.
fn default(value: &Value, other: Option<Value>, _falsy: Option<bool>) -> Value {
    let empty = is_missing(value) || value.as_str().is_some_and(str::is_empty);
    match empty {
        true => other.unwrap_or_else(|| Value::from("")),
        false => value.clone(),
    }
}

/// Escapes for HTML now rather than when printed. Changes nothing in a text part,
/// because the text part made from an HTML one holds the same tags.
fn escape(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if is_missing(value) || value.is_safe() || !matches!(state.auto_escape(), AutoEscape::Html) {
        return Ok(value.clone());
    }
    let text = as_text(value)?;
    let mut escaped = String::new();
    charge(state, text.len() + entities::escaped_len(&text))?;
    entities::escape_into(&mut escaped, &text)?;
    Ok(Value::from_safe_string(escaped))
}

fn safe(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    let text = as_text(value)?;
    charge(state, text.len())?;
    Ok(Value::from_safe_string(text.into_owned()))
}

fn title(text: &str) -> String {
    let mut in_word = false;
    let mut result = String::with_capacity(text.len());
    for letter in text.chars() {
        match in_word {
            true => result.extend(letter.to_lowercase()),
            false => result.extend(letter.to_uppercase()),
        }
        in_word = letter.is_alphanumeric() || matches!(letter, '\'' | '’');
    }
    result
}

fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    first
        .to_uppercase()
        .chain(letters.flat_map(char::to_lowercase))
        .collect()
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn urlencode(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                result.push(byte.into());
            }
            _ => write!(result, "%{byte:02X}").expect("a String takes all that is written"),
        }
    }
    result
}

/// `truncate(80, true, '…')`: at most that many characters, the end mark included.
/// Cuts between words unless the second argument is true.
fn truncate(
    state: &mut State<'_, '_>,
    value: &Value,
    length: Option<usize>,
    inside_words: Option<bool>,
    end: Option<&str>,
) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    let (text, end, length) = (as_text(value)?, end.unwrap_or("…"), length.unwrap_or(255));
    charge(state, text.len() * 2 + end.len())?;
    if text.chars().count() <= length {
        return Ok(text.into_owned().into());
    }
    let keep = length.saturating_sub(end.chars().count());
    let cut = text
        .char_indices()
        .nth(keep)
        .map_or(text.len(), |(at, _)| at);
    let mut kept = &text[..cut];
    if !inside_words.unwrap_or(false) && !text[cut..].starts_with(char::is_whitespace) {
        kept = kept
            .rfind(char::is_whitespace)
            .map_or(kept, |space| &kept[..space]);
    }
    Ok(format!("{}{end}", kept.trim_end()).into())
}

fn replace(state: &mut State<'_, '_>, value: &Value, from: &str, to: &str) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    if from.is_empty() {
        return Err(wrong("`replace` needs a text to look for"));
    }
    let text = as_text(value)?;
    charge(state, text.len())?;
    let hits = text.matches(from).count();
    charge(
        state,
        text.len().saturating_add(hits.saturating_mul(to.len())),
    )?;
    Ok(text.replace(from, to).into())
}
