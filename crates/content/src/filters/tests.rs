use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};

use super::{is_missing, wrong};

pub(super) fn install(env: &mut Environment<'static>) {
    // Null is what an empty field of a lead looks like, so it is not defined.
    env.add_test("defined", |value: &Value| !is_missing(value));
    env.add_test("undefined", is_missing);
    env.add_test("none", is_missing);
    env.add_test("string", |value: &Value| value.kind() == ValueKind::String);
    env.add_test("number", |value: &Value| value.kind() == ValueKind::Number);
    env.add_test("odd", |value: &Value| divides(value, 2).map(|even| !even));
    env.add_test("even", |value: &Value| divides(value, 2));
    env.add_test("divisibleby", divides);
    env.add_test("startingwith", |value: &Value, start: &str| {
        value.as_str().is_some_and(|text| text.starts_with(start))
    });
    env.add_test("endingwith", |value: &Value, end: &str| {
        value.as_str().is_some_and(|text| text.ends_with(end))
    });
}

fn divides(value: &Value, by: i64) -> Result<bool, Error> {
    let whole = value.as_i64().filter(|_| value.is_integer());
    let whole =
        whole.ok_or_else(|| wrong(format!("expected a whole number, found {}", value.kind())))?;
    whole
        .checked_rem(by)
        .map(|rest| rest == 0)
        .ok_or_else(|| wrong("nothing is divisible by zero"))
}
