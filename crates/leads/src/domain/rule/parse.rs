//! JSON to [`Rule`], naming everything that is wrong with it.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use common::FieldError;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    AttributeTest, Condition, MAX_DEPTH, MAX_NODES, MAX_VALUES, NumberField, NumberTest, Order,
    Rule, Scalar, TagTest, TextField, TextTest, TimeField, TimeTest,
};
use crate::domain::lead;

/// Longest text that a rule may compare with, in characters.
const MAX_TEXT: usize = 1_000;
/// Most days in `within_days` and `before_days`.
const MAX_DAYS: f64 = 36_500.0;

/// Parses a rule that stands at `pointer` in the body; every problem is named.
pub(crate) fn parse(rule: &Value, pointer: &str) -> Result<Rule, Vec<FieldError>> {
    let mut parser = Parser::default();
    let parsed = parser.rule(rule, pointer, 1);
    if parser.nodes > MAX_NODES {
        parser.refuse(pointer, format!("has more than {MAX_NODES} parts"));
    }
    match parsed {
        Some(rule) if parser.problems.is_empty() => Ok(rule),
        _ => Err(parser.problems),
    }
}

#[derive(Default)]
struct Parser {
    problems: Vec<FieldError>,
    nodes: usize,
}

/// A condition before its field is known.
struct Raw<'a> {
    pointer: &'a str,
    op: &'a str,
    value: Option<&'a Value>,
}

impl Parser {
    fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        self.problems.push(FieldError::new(pointer, detail));
    }

    fn rule(&mut self, value: &Value, pointer: &str, depth: usize) -> Option<Rule> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            self.refuse(pointer, format!("is nested more than {MAX_DEPTH} deep"));
            return None;
        }
        if self.nodes > MAX_NODES {
            return None;
        }
        const SHAPES: &str = "must be {\"all\": […]}, {\"any\": […]}, {\"not\": rule} or {\"field\", \"op\", \"value\"}";
        let Some(members) = value.as_object() else {
            self.refuse(pointer, SHAPES);
            return None;
        };
        let only = |name: &str| members.get(name).filter(|_| members.len() == 1);
        if let Some(inner) = only("all") {
            return Some(Rule::All(self.rules(
                inner,
                &format!("{pointer}/all"),
                depth,
            )?));
        }
        if let Some(inner) = only("any") {
            return Some(Rule::Any(self.rules(
                inner,
                &format!("{pointer}/any"),
                depth,
            )?));
        }
        if let Some(inner) = only("not") {
            let inner = self.rule(inner, &format!("{pointer}/not"), depth + 1)?;
            return Some(Rule::Not(Box::new(inner)));
        }
        if !members.contains_key("field") {
            self.refuse(pointer, SHAPES);
            return None;
        }
        self.condition(members, pointer)
    }

    fn rules(&mut self, value: &Value, pointer: &str, depth: usize) -> Option<Vec<Rule>> {
        let Some(items) = value.as_array() else {
            self.refuse(pointer, "must be an array of rules");
            return None;
        };
        let rules = items.iter().enumerate();
        let rules: Vec<_> = rules
            .map(|(at, item)| self.rule(item, &format!("{pointer}/{at}"), depth + 1))
            .collect();
        rules.into_iter().collect()
    }

    fn condition(&mut self, members: &Map<String, Value>, pointer: &str) -> Option<Rule> {
        let known = ["field", "op", "value"];
        for name in members
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
        {
            self.refuse(&format!("{pointer}/{name}"), "is not part of a rule");
        }
        let field = members.get("field").and_then(Value::as_str);
        let op = members.get("op").and_then(Value::as_str);
        if field.is_none() {
            self.refuse(&format!("{pointer}/field"), "must be the name of a field");
        }
        if op.is_none() {
            self.refuse(&format!("{pointer}/op"), "must be the name of an operator");
        }
        let (field, op) = (field?, op?);
        // `ne` is the negation of `eq`, and `exists: false` that of `exists`.
        let value = members.get("value");
        let (op, negated) = match (op, value) {
            ("ne", _) => ("eq", true),
            ("exists", Some(Value::Bool(false))) => ("exists", true),
            _ => (op, false),
        };
        let raw = Raw { pointer, op, value };
        let rule = Rule::Where(self.of_field(field, &raw)?);
        Some(match negated {
            true => Rule::Not(Box::new(rule)),
            false => rule,
        })
    }

    fn of_field(&mut self, field: &str, raw: &Raw<'_>) -> Option<Condition> {
        let text = |field| Condition::of_text(field);
        match field {
            "id" => self.ids(raw).map(Condition::Id),
            "list" => self
                .ids(raw)
                .map(|ids| Condition::List(ids.into_iter().map(Into::into).collect())),
            "segment" => self
                .ids(raw)
                .map(|ids| Condition::Segment(ids.into_iter().map(Into::into).collect())),
            "email" => self.text(raw, true).map(text(TextField::Email)),
            "first_name" => self.text(raw, false).map(text(TextField::FirstName)),
            "last_name" => self.text(raw, false).map(text(TextField::LastName)),
            "phone" => self.text(raw, false).map(text(TextField::Phone)),
            "company" => self.text(raw, false).map(text(TextField::Company)),
            "status" => self.status(raw).map(text(TextField::Status)),
            "source" => self.text(raw, false).map(text(TextField::Source)),
            "timezone" => self.text(raw, false).map(text(TextField::Timezone)),
            "locale" => self.text(raw, false).map(text(TextField::Locale)),
            "tags" => self.tags(raw).map(Condition::Tags),
            "score" => self.number(NumberField::Score, raw),
            "engagement.opens" => self.number(NumberField::Opens, raw),
            "engagement.clicks" => self.number(NumberField::Clicks, raw),
            "engagement.orders" => self.number(NumberField::Orders, raw),
            "engagement.revenue" => self.number(NumberField::Revenue, raw),
            "created_at" => self.time(TimeField::Created, raw),
            "updated_at" => self.time(TimeField::Updated, raw),
            "engagement.last_open_at" => self.time(TimeField::LastOpen, raw),
            "engagement.last_click_at" => self.time(TimeField::LastClick, raw),
            _ => match field.strip_prefix("attributes.") {
                Some(path) => self.attribute(path, raw),
                None => {
                    let detail =
                        format!("names the field {}, which leads do not have", shown(field));
                    self.refuse(&format!("{}/field", raw.pointer), detail);
                    None
                }
            },
        }
    }

    fn text(&mut self, raw: &Raw<'_>, lower: bool) -> Option<TextTest> {
        let fold = |text: String| if lower { text.to_lowercase() } else { text };
        Some(match raw.op {
            "eq" => TextTest::In(vec![fold(self.string(raw)?)]),
            "in" => TextTest::In(self.strings(raw)?.into_iter().map(fold).collect()),
            "contains" => TextTest::Contains(self.string(raw)?),
            "starts_with" => TextTest::StartsWith(self.string(raw)?),
            "exists" => self.exists(raw).map(|()| TextTest::Exists)?,
            op => match order(op) {
                Some(order) => TextTest::Compare(order, fold(self.string(raw)?)),
                None => {
                    return self.no_op(
                        raw,
                        "eq, ne, lt, lte, gt, gte, in, contains, starts_with, exists",
                    );
                }
            },
        })
    }

    fn status(&mut self, raw: &Raw<'_>) -> Option<TextTest> {
        let test = match raw.op {
            "eq" | "in" | "exists" => self.text(raw, false)?,
            _ => return self.no_op(raw, "eq, ne, in, exists"),
        };
        if let TextTest::In(values) = &test
            && values
                .iter()
                .any(|value| !lead::STATUSES.contains(&value.as_str()))
        {
            self.bad_value(raw, format!("must be one of {}", lead::STATUSES.join(", ")));
            return None;
        }
        Some(test)
    }

    fn tags(&mut self, raw: &Raw<'_>) -> Option<TagTest> {
        Some(match raw.op {
            "eq" | "contains" => TagTest::AnyOf(vec![self.string(raw)?]),
            "in" => TagTest::AnyOf(self.strings(raw)?),
            "exists" => self.exists(raw).map(|()| TagTest::Exists)?,
            _ => return self.no_op(raw, "eq, ne, in, contains, exists"),
        })
    }

    fn number(&mut self, field: NumberField, raw: &Raw<'_>) -> Option<Condition> {
        let test = match raw.op {
            "eq" => NumberTest::In(vec![self.float(raw)?]),
            "in" => NumberTest::In(self.each(raw, |value| match value.as_f64() {
                Some(number) => Ok(number),
                None => Err(mismatch("a number", value)),
            })?),
            "exists" => self.exists(raw).map(|()| NumberTest::Exists)?,
            op => match order(op) {
                Some(order) => NumberTest::Compare(order, self.float(raw)?),
                None => return self.no_op(raw, "eq, ne, lt, lte, gt, gte, in, exists"),
            },
        };
        Some(Condition::Number(field, test))
    }

    fn time(&mut self, field: TimeField, raw: &Raw<'_>) -> Option<Condition> {
        let test = match raw.op {
            "eq" => TimeTest::Is(self.moment(raw)?),
            "within_days" => TimeTest::WithinDays(self.days(raw)?),
            "before_days" => TimeTest::BeforeDays(self.days(raw)?),
            "exists" => self.exists(raw).map(|()| TimeTest::Exists)?,
            op => match order(op) {
                Some(order) => TimeTest::Compare(order, self.moment(raw)?),
                None => {
                    return self.no_op(
                        raw,
                        "eq, ne, lt, lte, gt, gte, within_days, before_days, exists",
                    );
                }
            },
        };
        Some(Condition::Time(field, test))
    }

    fn attribute(&mut self, path: &str, raw: &Raw<'_>) -> Option<Condition> {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.len() > 8 || path.iter().any(|part| part.is_empty() || part.len() > 400) {
            let detail = "must be attributes.<name>, at most 8 names deep";
            self.refuse(&format!("{}/field", raw.pointer), detail);
            return None;
        }
        let test = match raw.op {
            "eq" => AttributeTest::In(vec![self.scalar(raw)?]),
            "in" => AttributeTest::In(self.each(raw, scalar)?),
            "contains" => AttributeTest::Contains(self.scalar(raw)?),
            "starts_with" => AttributeTest::StartsWith(self.string(raw)?),
            "within_days" => AttributeTest::WithinDays(self.days(raw)?),
            "before_days" => AttributeTest::BeforeDays(self.days(raw)?),
            "exists" => self.exists(raw).map(|()| AttributeTest::Exists)?,
            op => match (order(op), raw.value) {
                (Some(order), Some(Value::Number(_))) => {
                    AttributeTest::CompareNumber(order, self.float(raw)?)
                }
                (Some(order), _) => AttributeTest::CompareText(order, self.string(raw)?),
                (None, _) => {
                    let all = "eq, ne, lt, lte, gt, gte, in, contains, starts_with, exists, within_days, before_days";
                    return self.no_op(raw, all);
                }
            },
        };
        Some(Condition::Attribute(path, test))
    }

    fn ids(&mut self, raw: &Raw<'_>) -> Option<Vec<Uuid>> {
        let id = |value: &Value| {
            let parsed = value.as_str().and_then(|text| text.parse().ok());
            parsed.ok_or_else(|| mismatch("an id", value))
        };
        match raw.op {
            "eq" => self.one(raw, id).map(|id| vec![id]),
            "in" => self.each(raw, id),
            _ => self.no_op(raw, "eq, ne, in"),
        }
    }

    fn string(&mut self, raw: &Raw<'_>) -> Option<String> {
        self.one(raw, string)
    }

    fn strings(&mut self, raw: &Raw<'_>) -> Option<Vec<String>> {
        self.each(raw, string)
    }

    fn scalar(&mut self, raw: &Raw<'_>) -> Option<Scalar> {
        self.one(raw, scalar)
    }

    fn float(&mut self, raw: &Raw<'_>) -> Option<f64> {
        self.one(raw, |value| {
            value.as_f64().ok_or_else(|| mismatch("a number", value))
        })
    }

    fn moment(&mut self, raw: &Raw<'_>) -> Option<DateTime<Utc>> {
        self.one(raw, |value| {
            let parsed = value.as_str().and_then(moment);
            parsed.ok_or_else(|| mismatch("a time such as 2026-01-31T12:00:00Z, or a date", value))
        })
    }

    fn days(&mut self, raw: &Raw<'_>) -> Option<f64> {
        self.one(raw, |value| {
            let days = value
                .as_f64()
                .filter(|days| (0.0..=MAX_DAYS).contains(days));
            days.ok_or_else(|| mismatch("a number of days from 0 to 36500", value))
        })
    }

    /// `exists` needs no value; only true and false make sense.
    fn exists(&mut self, raw: &Raw<'_>) -> Option<()> {
        match raw.value {
            None | Some(Value::Null | Value::Bool(_)) => Some(()),
            Some(value) => {
                self.bad_value(raw, mismatch("true or false", value));
                None
            }
        }
    }

    fn one<T>(&mut self, raw: &Raw<'_>, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let Some(value) = raw.value else {
            self.bad_value(raw, "is missing".to_owned());
            return None;
        };
        read(value)
            .map_err(|detail| self.bad_value(raw, detail))
            .ok()
    }

    fn each<T>(
        &mut self,
        raw: &Raw<'_>,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = raw.value.and_then(Value::as_array);
        let Some(items) = items.filter(|items| (1..=MAX_VALUES).contains(&items.len())) else {
            self.bad_value(raw, format!("must be an array of 1 to {MAX_VALUES} values"));
            return None;
        };
        let mut read_all = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match read(item) {
                Ok(value) => read_all.push(value),
                Err(detail) => self.refuse(&format!("{}/value/{at}", raw.pointer), detail),
            }
        }
        (read_all.len() == items.len()).then_some(read_all)
    }

    fn bad_value(&mut self, raw: &Raw<'_>, detail: String) {
        self.refuse(&format!("{}/value", raw.pointer), detail);
    }

    fn no_op<T>(&mut self, raw: &Raw<'_>, allowed: &str) -> Option<T> {
        let detail = format!("is {}; this field takes {allowed}", shown(raw.op));
        self.refuse(&format!("{}/op", raw.pointer), detail);
        None
    }
}

impl Condition {
    fn of_text(field: TextField) -> impl Fn(TextTest) -> Self {
        move |test| Self::Text(field, test)
    }
}

fn order(op: &str) -> Option<Order> {
    Some(match op {
        "lt" => Order::Less,
        "lte" => Order::AtMost,
        "gt" => Order::Greater,
        "gte" => Order::AtLeast,
        _ => return None,
    })
}

fn string(value: &Value) -> Result<String, String> {
    match value.as_str() {
        None => Err(mismatch("text", value)),
        Some(text) if text.contains('\0') => Err("must not contain a NUL character".into()),
        Some(text) if text.chars().count() > MAX_TEXT => {
            Err(format!("must be at most {MAX_TEXT} characters long"))
        }
        Some(text) => Ok(text.to_owned()),
    }
}

fn scalar(value: &Value) -> Result<Scalar, String> {
    match value {
        Value::String(_) => string(value).map(Scalar::Text),
        Value::Number(number) => Ok(Scalar::Number(number.clone())),
        Value::Bool(flag) => Ok(Scalar::Bool(*flag)),
        _ => Err(mismatch("text, a number, true or false", value)),
    }
}

/// A moment, or the first moment of a day in UTC.
pub(super) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let day = || {
        text.parse::<NaiveDate>()
            .ok()
            .map(|day| day.and_time(NaiveTime::MIN).and_utc())
    };
    let sane = |time: &DateTime<Utc>| (1..=9999).contains(&chrono::Datelike::year(time));
    moment.ok().or_else(day).filter(sane)
}

fn mismatch(expected: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    match found == expected {
        true => format!("must be {expected}"),
        false => format!("must be {expected}, not {found}"),
    }
}

/// A caller's word in our sentence, cut to size.
fn shown(word: &str) -> String {
    word.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(rule: Value) -> Vec<(String, String)> {
        let problems = parse(&rule, "/rule").expect_err("a bad rule");
        problems
            .into_iter()
            .map(|p| (p.pointer, p.detail))
            .collect()
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let found = problems(json!({ "all": [
            { "field": "shoe_size", "op": "eq", "value": 1 },
            { "field": "score", "op": "gt", "value": "ten" },
            { "field": "company", "op": "eq", "value": 5 },
            { "field": "created_at", "op": "contains", "value": "2026" },
            { "any": { "field": "score" } },
            { "field": "status", "op": "eq", "value": "hot" },
            { "field": "tags", "op": "in", "value": [] },
            { "field": "list", "op": "eq", "value": "mine" },
            { "field": "created_at", "op": "gt", "value": "yesterday" },
            { "field": "created_at", "op": "within_days", "value": -1 },
            { "field": "email", "op": "eq", "value": "a@b.de", "case": true },
            { "not": 7 },
            { "field": "score", "op": "in", "value": [1, "2"] },
            { "field": "score", "op": "eq" },
        ]}));
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/rule/all/0/field",
                "/rule/all/1/value",
                "/rule/all/2/value",
                "/rule/all/3/op",
                "/rule/all/4/any",
                "/rule/all/5/value",
                "/rule/all/6/value",
                "/rule/all/7/value",
                "/rule/all/8/value",
                "/rule/all/9/value",
                "/rule/all/10/case",
                "/rule/all/11/not",
                "/rule/all/12/value/1",
                "/rule/all/13/value",
            ]
        );
        assert_eq!(found[1].1, "must be a number, not text");
        assert_eq!(found[2].1, "must be text, not a number");
    }

    #[test]
    fn a_rule_is_bounded() {
        let deep = (0..40).fold(
            json!({ "field": "score", "op": "exists" }),
            |inner, _| json!({ "not": inner }),
        );
        assert!(problems(deep)[0].1.contains("32 deep"));
        let wide = json!({ "any": vec![json!({ "field": "score", "op": "exists" }); 1_001] });
        assert!(problems(wide)[0].1.contains("1000 parts"));
    }

    #[test]
    fn ne_is_the_negation_of_eq() {
        let ne = parse(&json!({ "field": "score", "op": "ne", "value": 1 }), "").expect("a rule");
        let eq = parse(&json!({ "field": "score", "op": "eq", "value": 1 }), "").expect("a rule");
        assert_eq!(ne, Rule::Not(Box::new(eq)));
    }

    #[test]
    fn a_date_is_its_first_moment() {
        let (date, time) = (moment("2026-01-31"), moment("2026-01-31T02:00:00+02:00"));
        assert!(date.is_some());
        assert_eq!(date, time);
        assert_eq!(moment("2026-02-31"), None);
    }
}
