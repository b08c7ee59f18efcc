use minijinja::value::ValueKind;
use minijinja::{Environment, Error, State, Value};

use super::purse::charge;
use super::{as_text, is_missing, wrong};

pub(super) fn install(env: &mut Environment<'static>) {
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_filter("first", first);
    env.add_filter("last", last);
    env.add_filter("join", join);
}

/// Nothing has no length: a missing list counts 0, so `lead.tags|length > 0` is a safe test.
fn length(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(0.into());
    }
    if let Some(text) = value.as_str() {
        charge(state, text.len())?;
        return Ok(text.chars().count().into());
    }
    value
        .len()
        .map(Value::from)
        .ok_or_else(|| wrong(format!("{} has no length", value.kind())))
}

fn items(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Seq => Ok(value.len().unwrap_or(0)),
        kind => Err(wrong(format!("expected a list, found {kind}"))),
    }
}

fn first(value: &Value) -> Result<Value, Error> {
    if is_missing(value) || items(value)? == 0 {
        return Ok(Value::UNDEFINED);
    }
    value.get_item_by_index(0)
}

fn last(value: &Value) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(Value::UNDEFINED);
    }
    match items(value)? {
        0 => Ok(Value::UNDEFINED),
        count => value.get_item_by_index(count - 1),
    }
}

/// `join(', ')` of texts and numbers.
fn join(state: &mut State<'_, '_>, value: &Value, between: Option<&str>) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    items(value)?;
    let between = between.unwrap_or("");
    let mut joined = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        let text = as_text(&item)?;
        charge(state, text.len() + between.len())?;
        if index > 0 {
            joined.push_str(between);
        }
        joined.push_str(&text);
    }
    Ok(joined.into())
}
