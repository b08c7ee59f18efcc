use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};

use super::{is_missing, wrong};

pub(super) fn install(env: &mut Environment<'static>) {
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("round", round);
    env.add_filter("abs", abs);
}

/// A number, or text that spells one. Missing stays missing; all else is an error.
fn number(value: &Value) -> Result<f64, Error> {
    let parsed = match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    parsed
        .filter(|number| number.is_finite())
        .ok_or_else(|| wrong(format!("expected a number, found {}", value.kind())))
}

fn int(value: &Value) -> Result<Value, Error> {
    if is_missing(value) || value.is_integer() {
        return Ok(value.clone());
    }
    if let Some(Ok(exact)) = value.as_str().map(|text| text.trim().parse::<i64>()) {
        return Ok(exact.into());
    }
    // The cast saturates, which is what a person who prints it expects of "too large".
    Ok((number(value)?.trunc() as i64).into())
}

fn float(value: &Value) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    number(value).map(Value::from)
}

/// `round(2)`; without digits the result is whole and prints without a point.
fn round(value: &Value, digits: Option<i32>) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    let number = number(value)?;
    let digits = digits.unwrap_or(0).clamp(0, 12);
    if digits == 0 {
        return Ok((number.round() as i64).into());
    }
    let scale = 10f64.powi(digits);
    Ok(((number * scale).round() / scale).into())
}

fn abs(value: &Value) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    match value.as_i64() {
        Some(whole) if value.is_integer() => Ok(whole.saturating_abs().into()),
        _ => number(value).map(|number| number.abs().into()),
    }
}
