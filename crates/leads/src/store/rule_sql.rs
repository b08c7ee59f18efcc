//! Rules as SQL over `leads l`: every word of a caller becomes a bound value.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use common::{SegmentId, WorkspaceId};
use serde_json::{Map, Value, json};

use super::statement::Statement;
use crate::domain::rule::{
    AttributeTest, Condition, NumberField, NumberTest, Order, Rule, Scalar, TagTest, TextField,
    TextTest, TimeField, TimeTest,
};

/// What a rule's words mean: whose leads, what time it is, and the segments it names.
#[derive(Debug)]
pub(crate) struct Terms {
    pub workspace: WorkspaceId,
    pub now: DateTime<Utc>,
    /// Every segment that can be reached, without cycles.
    pub segments: HashMap<SegmentId, Rule>,
}

impl Terms {
    /// A boolean expression over `l` that is true for the leads that `rule` describes.
    pub(crate) fn compile(&self, rule: &Rule) -> Statement {
        let mut out = Statement::default();
        self.write(rule, false, &mut out);
        out
    }

    /// Negation is carried down to the conditions: only there can SQL's NULL come up, and the
    /// conditions that stand unnegated can still use an index.
    fn write(&self, rule: &Rule, negated: bool, out: &mut Statement) {
        match rule {
            Rule::All(rules) => self.join(rules, negated, !negated, out),
            Rule::Any(rules) => self.join(rules, negated, negated, out),
            Rule::Not(rule) => self.write(rule, !negated, out),
            Rule::Where(Condition::Segment(ids)) => {
                let rules = ids.iter().filter_map(|id| self.segments.get(id));
                let rules: Vec<Rule> = rules.cloned().collect();
                self.join(&rules, negated, negated, out);
            }
            Rule::Where(condition) => {
                out.sql("(");
                self.condition(condition, out);
                out.sql(if negated { ") IS NOT TRUE" } else { ")" });
            }
        }
    }

    fn join(&self, rules: &[Rule], negated: bool, all: bool, out: &mut Statement) {
        if rules.is_empty() {
            out.sql(if all { "TRUE" } else { "FALSE" });
            return;
        }
        out.sql("(");
        for (at, rule) in rules.iter().enumerate() {
            if at > 0 {
                out.sql(if all { " AND " } else { " OR " });
            }
            self.write(rule, negated, out);
        }
        out.sql(")");
    }

    fn condition(&self, condition: &Condition, out: &mut Statement) {
        match condition {
            Condition::Id(ids) => {
                out.sql("l.id = ANY(").bind(ids.clone()).sql(")");
            }
            Condition::Text(field, test) => text(*field, test, out),
            Condition::Number(field, test) => number(*field, test, out),
            Condition::Time(field, test) => self.time(*field, test, out),
            Condition::Tags(TagTest::AnyOf(tags)) => {
                out.sql("l.tags && ").bind(tags.clone());
            }
            Condition::Tags(TagTest::Exists) => {
                out.sql("l.tags <> '{}'");
            }
            Condition::Attribute(path, test) => self.attribute(path, test, out),
            Condition::List(ids) => {
                out.sql("EXISTS (SELECT 1 FROM list_members m WHERE m.workspace_id = ")
                    .bind(self.workspace)
                    .sql(" AND m.list_id = ANY(")
                    .bind(&ids[..])
                    .sql(") AND m.lead_id = l.id AND m.status <> 'unsubscribed')");
            }
            Condition::Segment(_) => {
                out.sql("FALSE");
            }
        }
    }

    fn ago(&self, days: f64) -> DateTime<Utc> {
        self.now - Duration::milliseconds((days * 86_400_000.0) as i64)
    }

    fn time(&self, field: TimeField, test: &TimeTest, out: &mut Statement) {
        let column = match field {
            TimeField::Created => "l.created_at",
            TimeField::Updated => "l.updated_at",
            TimeField::LastOpen => "l.last_open_at",
            TimeField::LastClick => "l.last_click_at",
        };
        out.sql(column);
        match test {
            TimeTest::Is(moment) => out.sql(" = ").bind(*moment),
            TimeTest::Compare(order, moment) => out.sql(sign(*order)).bind(*moment),
            TimeTest::WithinDays(days) => self.within(*days, out),
            TimeTest::BeforeDays(days) => out.sql(" < ").bind(self.ago(*days)),
            TimeTest::Exists => out.sql(" IS NOT NULL"),
        };
    }

    fn within<'a>(&self, days: f64, out: &'a mut Statement) -> &'a mut Statement {
        out.sql(" BETWEEN ")
            .bind(self.ago(days))
            .sql(" AND ")
            .bind(self.now)
    }

    fn attribute(&self, path: &[String], test: &AttributeTest, out: &mut Statement) {
        match test {
            AttributeTest::In(values) => equals_any(path, values, out),
            AttributeTest::CompareText(order, value) => {
                text_at(path, out);
                out.sql(" COLLATE \"C\"")
                    .sql(sign(*order))
                    .bind(value.as_str());
            }
            AttributeTest::CompareNumber(order, value) => {
                out.sql("attribute_number(");
                value_at(path, out);
                out.sql(")").sql(sign(*order)).bind(*value);
            }
            AttributeTest::Contains(value) => contains(path, value, out),
            AttributeTest::StartsWith(value) => {
                text_at(path, out);
                out.sql(" ILIKE ").bind(format!("{}%", escape_like(value)));
            }
            AttributeTest::WithinDays(days) => {
                out.sql("attribute_time(");
                value_at(path, out);
                out.sql(")");
                self.within(*days, out);
            }
            AttributeTest::BeforeDays(days) => {
                out.sql("attribute_time(");
                value_at(path, out);
                out.sql(") < ").bind(self.ago(*days));
            }
            AttributeTest::Exists => {
                out.sql("jsonb_typeof(");
                value_at(path, out);
                out.sql(") <> 'null'");
            }
        }
    }
}

fn text(field: TextField, test: &TextTest, out: &mut Statement) {
    let column = match field {
        TextField::Email => "l.email_key",
        TextField::FirstName => "l.first_name",
        TextField::LastName => "l.last_name",
        TextField::Phone => "l.phone",
        TextField::Company => "l.company",
        TextField::Status => "l.status",
        TextField::Source => "l.source",
        TextField::Timezone => "l.timezone",
        TextField::Locale => "l.locale",
    };
    out.sql(column);
    match test {
        TextTest::In(values) => out.sql(" = ANY(").bind(values.clone()).sql(")"),
        TextTest::Compare(order, value) => out
            .sql(" COLLATE \"C\"")
            .sql(sign(*order))
            .bind(value.as_str()),
        // Keys are in lower case already, and LIKE can use their index.
        TextTest::Contains(value) if field == TextField::Email => out
            .sql(" LIKE ")
            .bind(format!("%{}%", escape_like(&value.to_lowercase()))),
        TextTest::Contains(value) => out.sql(" ILIKE ").bind(format!("%{}%", escape_like(value))),
        TextTest::StartsWith(value) if field == TextField::Email => out
            .sql(" LIKE ")
            .bind(format!("{}%", escape_like(&value.to_lowercase()))),
        TextTest::StartsWith(value) => out.sql(" ILIKE ").bind(format!("{}%", escape_like(value))),
        TextTest::Exists => out.sql(" IS NOT NULL"),
    };
}

fn number(field: NumberField, test: &NumberTest, out: &mut Statement) {
    out.sql(match field {
        NumberField::Score => "l.score",
        NumberField::Opens => "l.opens",
        NumberField::Clicks => "l.clicks",
        NumberField::Orders => "l.orders",
        NumberField::Revenue => "l.revenue",
    });
    match test {
        NumberTest::In(values) => {
            out.sql(" IN (");
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.sql(", ");
                }
                out.bind(*value);
            }
            out.sql(")")
        }
        NumberTest::Compare(order, value) => out.sql(sign(*order)).bind(*value),
        NumberTest::Exists => out.sql(" IS NOT NULL"),
    };
}

/// Equality through containment, which the GIN index answers. A value and its spelling as text
/// are equal, because a CSV knows text only.
fn equals_any(path: &[String], values: &[Scalar], out: &mut Statement) {
    let forms = values.iter().flat_map(spellings);
    for (at, form) in forms.enumerate() {
        if at > 0 {
            out.sql(" OR ");
        }
        out.sql("l.attributes @> ").bind(nest(path, form));
    }
}

/// The JSON values that count as equal to `value`.
fn spellings(value: &Scalar) -> Vec<Value> {
    match value {
        Scalar::Number(number) => vec![json!(number), json!(number.to_string())],
        Scalar::Bool(flag) => vec![json!(flag), json!(flag.to_string())],
        Scalar::Text(text) => {
            let plain = serde_json::from_str::<Value>(text).ok();
            let plain = plain.filter(|value| value.is_number() || value.is_boolean());
            let spelled = plain.as_ref().map(Value::to_string);
            let other = plain.filter(|_| spelled.as_ref() == Some(text));
            std::iter::once(json!(text)).chain(other).collect()
        }
    }
}

fn nest(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, name| {
        Value::Object(Map::from_iter([(name.clone(), inner)]))
    })
}

fn contains(path: &[String], value: &Scalar, out: &mut Statement) {
    for (at, form) in spellings(value).into_iter().enumerate() {
        if at > 0 {
            out.sql(" OR ");
        }
        out.sql("l.attributes @> ").bind(nest(path, json!([form])));
    }
    if let Scalar::Text(text) = value {
        out.sql(" OR ");
        text_at(path, out);
        out.sql(" ILIKE ").bind(format!("%{}%", escape_like(text)));
    }
}

fn value_at(path: &[String], out: &mut Statement) {
    out.sql("l.attributes #> ").bind(path.to_vec());
}

/// The attribute as text; lists and objects have none.
fn text_at(path: &[String], out: &mut Statement) {
    out.sql("CASE WHEN jsonb_typeof(");
    value_at(path, out);
    out.sql(") IN ('string', 'number', 'boolean') THEN l.attributes #>> ")
        .bind(path.to_vec())
        .sql(" END");
}

fn sign(order: Order) -> &'static str {
    match order {
        Order::Less => " < ",
        Order::AtMost => " <= ",
        Order::Greater => " > ",
        Order::AtLeast => " >= ",
    }
}

/// `text` as itself inside a LIKE pattern.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_themselves() {
        assert_eq!(escape_like(r"50%_\"), r"50\%\_\\");
    }

    #[test]
    fn a_value_equals_its_spelling() {
        let text = |text: &str| spellings(&Scalar::Text(text.into()));
        assert_eq!(text("30"), [json!("30"), json!(30)]);
        assert_eq!(text("030"), [json!("030")]);
        assert_eq!(text("true"), [json!("true"), json!(true)]);
        assert_eq!(text("pro"), [json!("pro")]);
    }
}
