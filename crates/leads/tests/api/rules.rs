//! The compiled rules against an interpreter that is slow and obvious.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{get, given_lead, given_list, given_segment, id, join, marketer, start};

/// How many rules are tried.
const CASES: usize = 300;

struct World {
    now: DateTime<Utc>,
    list: String,
    segment: String,
    segment_rule: Value,
}

/// Whether `rule` describes `lead`, which is as the API shows it, with `engagement` and `lists`.
fn holds(world: &World, rule: &Value, lead: &Value) -> bool {
    if let Some(rules) = rule["all"].as_array() {
        return rules.iter().all(|rule| holds(world, rule, lead));
    }
    if let Some(rules) = rule["any"].as_array() {
        return rules.iter().any(|rule| holds(world, rule, lead));
    }
    if !rule["not"].is_null() {
        return !holds(world, &rule["not"], lead);
    }
    let (field, op) = (
        rule["field"].as_str().expect("a well-formed value"),
        rule["op"].as_str().expect("a well-formed value"),
    );
    let value = &rule["value"];
    if op == "ne" {
        let eq = json!({ "field": field, "op": "eq", "value": value });
        return !holds(world, &eq, lead);
    }
    if op == "exists" && value == false {
        let exists = json!({ "field": field, "op": "exists" });
        return !holds(world, &exists, lead);
    }
    if op == "in" {
        return value
            .as_array()
            .expect("a well-formed value")
            .iter()
            .any(|value| {
                holds(
                    world,
                    &json!({ "field": field, "op": "eq", "value": value }),
                    lead,
                )
            });
    }
    let found = field.split('.').fold(lead, |at, name| &at[name]);
    match field {
        "list" => {
            *value == json!(world.list)
                && lead["lists"]
                    .as_array()
                    .expect("a well-formed value")
                    .contains(value)
        }
        "segment" => *value == json!(world.segment) && holds(world, &world.segment_rule, lead),
        "email" => text(
            op,
            &found.as_str().expect("a well-formed value").to_lowercase(),
            &lower(value),
        ),
        "tags" => {
            let tags = found.as_array().expect("a well-formed value");
            if op == "exists" {
                !tags.is_empty()
            } else {
                tags.contains(value)
            }
        }
        "created_at" | "engagement.last_open_at" => moment(world, op, time(found), value),
        _ if field.starts_with("attributes.") => attribute(world, op, found, value),
        _ if found.is_null() => false,
        _ if op == "exists" => true,
        _ if found.is_number() => number(op, found.as_f64(), value),
        _ => text(op, found.as_str().expect("a well-formed value"), value),
    }
}

fn lower(value: &Value) -> Value {
    value
        .as_str()
        .map_or(Value::Null, |text| json!(text.to_lowercase()))
}

fn text(op: &str, found: &str, value: &Value) -> bool {
    let value = value.as_str().unwrap_or_default();
    let (folded, folded_value) = (found.to_lowercase(), value.to_lowercase());
    match op {
        "exists" => true,
        "eq" => found == value,
        "lt" => found < value,
        "lte" => found <= value,
        "gt" => found > value,
        "gte" => found >= value,
        "contains" => folded.contains(&folded_value),
        "starts_with" => folded.starts_with(&folded_value),
        other => panic!("{other}"),
    }
}

fn number(op: &str, found: Option<f64>, value: &Value) -> bool {
    let (Some(found), Some(value)) = (found, value.as_f64()) else {
        return false;
    };
    match op {
        "eq" => found == value,
        "lt" => found < value,
        "lte" => found <= value,
        "gt" => found > value,
        "gte" => found >= value,
        other => panic!("{other}"),
    }
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    let text = value.as_str()?;
    let day = || {
        text.parse::<NaiveDate>()
            .ok()
            .map(|day| day.and_time(Default::default()).and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
        .or_else(day)
}

fn moment(world: &World, op: &str, found: Option<DateTime<Utc>>, value: &Value) -> bool {
    let Some(found) = found else { return false };
    let ago =
        |value: &Value| world.now - Duration::days(value.as_i64().expect("a well-formed value"));
    match op {
        "exists" => true,
        "within_days" => found >= ago(value) && found <= world.now,
        "before_days" => found < ago(value),
        "eq" => Some(found) == time(value),
        "lt" => found < time(value).expect("a well-formed value"),
        "lte" => found <= time(value).expect("a well-formed value"),
        "gt" => found > time(value).expect("a well-formed value"),
        "gte" => found >= time(value).expect("a well-formed value"),
        other => panic!("{other}"),
    }
}

/// A value and its spelling as text are equal.
fn same(found: &Value, value: &Value) -> bool {
    let spelled = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    spelled(found).is_some() && spelled(found) == spelled(value)
}

fn attribute(world: &World, op: &str, found: &Value, value: &Value) -> bool {
    let plain = match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(found.to_string()),
        _ => None,
    };
    match op {
        "exists" => !found.is_null(),
        "eq" => same(found, value),
        "contains" => match found.as_array() {
            Some(items) => items.iter().any(|item| same(item, value)),
            None => value.is_string() && plain.is_some_and(|found| text(op, &found, value)),
        },
        "within_days" | "before_days" => moment(world, op, time(found), value),
        _ if value.is_number() => {
            let spelled = found.as_str().and_then(|text| text.parse().ok());
            number(op, found.as_f64().or(spelled), value)
        }
        _ => plain.is_some_and(|found| text(op, &found, value)),
    }
}

fn one_of(values: Vec<Value>) -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(values)
}

fn words() -> Vec<Value> {
    ["", "a", "A", "ab", "Ab%", "b_", "30", "3", "true", "\\"]
        .map(Value::from)
        .to_vec()
}

fn scalars() -> Vec<Value> {
    let mut scalars = words();
    scalars.extend([json!(3), json!(30), json!(2.5), json!(true), json!(false)]);
    scalars
}

fn times(now: DateTime<Utc>) -> Vec<Value> {
    let text = |days: i64| json!((now - Duration::days(days)).to_rfc3339());
    vec![
        text(0),
        text(3),
        text(30),
        json!("2020-01-31"),
        json!("1999-12-31"),
    ]
}

fn condition(now: DateTime<Utc>, list: String, segment: String) -> impl Strategy<Value = Value> {
    let test = |field: &'static [&'static str], op: &'static [&'static str], values: Vec<Value>| {
        let parts = (
            prop::sample::select(field),
            prop::sample::select(op),
            one_of(values),
        );
        parts.prop_map(|(field, op, value)| json!({ "field": field, "op": op, "value": value }))
    };
    let several = |field: &'static [&'static str], values: Vec<Value>| {
        let parts = (
            prop::sample::select(field),
            prop::collection::vec(one_of(values), 1..4),
        );
        parts.prop_map(|(field, values)| json!({ "field": field, "op": "in", "value": values }))
    };
    const TEXTS: &[&str] = &["first_name", "company", "source", "email"];
    const ATTRIBUTES: &[&str] = &["attributes.a", "attributes.b.c", "attributes.none"];
    const NUMBERS: &[&str] = &["score", "engagement.opens", "engagement.clicks"];
    const TIMES: &[&str] = &["created_at", "engagement.last_open_at"];
    const ORDER: &[&str] = &["eq", "ne", "lt", "lte", "gt", "gte"];
    const TEXT_OPS: &[&str] = &[
        "eq",
        "ne",
        "lt",
        "lte",
        "gt",
        "gte",
        "contains",
        "starts_with",
    ];
    const DAYS: &[&str] = &["within_days", "before_days"];
    let numbers = vec![json!(0), json!(3), json!(30), json!(2.5), json!(-1)];
    let fields = [TEXTS, ATTRIBUTES, NUMBERS, TIMES, &["tags"]].concat();
    let exists = (prop::sample::select(fields), any::<bool>())
        .prop_map(|(field, value)| json!({ "field": field, "op": "exists", "value": value }));
    let days = vec![json!(0), json!(3), json!(10), json!(4000)];
    prop_oneof![
        test(TEXTS, TEXT_OPS, words()),
        several(TEXTS, words()),
        test(ATTRIBUTES, TEXT_OPS, words()),
        test(ATTRIBUTES, &["eq", "ne", "contains"], scalars()),
        test(ATTRIBUTES, &["lt", "lte", "gt", "gte"], numbers.clone()),
        several(ATTRIBUTES, scalars()),
        test(NUMBERS, ORDER, numbers.clone()),
        several(NUMBERS, numbers),
        test(TIMES, ORDER, times(now)),
        test(
            &[
                "created_at",
                "engagement.last_open_at",
                "attributes.a",
                "attributes.b.c"
            ],
            DAYS,
            days
        ),
        test(&["tags"], &["eq", "ne", "contains"], words()),
        several(&["tags"], words()),
        exists,
        test(
            &["status"],
            &["eq", "ne"],
            vec![json!("new"), json!("lost")]
        ),
        test(&["list"], &["eq", "ne"], vec![json!(list)]),
        test(&["segment"], &["eq", "ne"], vec![json!(segment)]),
    ]
}

fn rule(now: DateTime<Utc>, list: String, segment: String) -> impl Strategy<Value = Value> {
    condition(now, list, segment).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|rules| json!({ "all": rules })),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|rules| json!({ "any": rules })),
            inner.prop_map(|rule| json!({ "not": rule })),
        ]
    })
}

fn lead(now: DateTime<Utc>) -> impl Strategy<Value = Value> {
    let maybe = |values: Vec<Value>| prop::option::of(one_of(values));
    let mut attributes = scalars();
    attributes.extend(times(now));
    attributes.extend([json!(["a", 3, "30"]), json!({ "c": "a" }), Value::Null]);
    // Postgres and Rust agree on the case of these letters in every locale.
    let names = ["a", "A", "ab", "aB%", "b_", "cab", "\\x", "%"]
        .map(Value::from)
        .to_vec();
    let tags = prop::collection::vec(one_of(words()), 0..3);
    let status = prop::sample::select(vec!["new", "lost", "customer"]);
    let (a, c) = (maybe(attributes.clone()), maybe(attributes));
    let (first, company) = (maybe(names.clone()), maybe(names));
    (first, company, status, -1..4i32, tags, a, c).prop_map(|(first, company, status, score, tags, a, c)| {
        json!({
            "first_name": first, "company": company, "status": status, "score": score, "tags": tags,
            "attributes": { "a": a, "b": { "c": c } },
        })
    })
}

#[actix_web::test]
async fn compiled_rules_mean_what_the_interpreter_says() {
    let app = start().await;
    let mut runner = TestRunner::deterministic();
    let now = app.clock.now();
    let list = given_list(&app, "News").await;
    let segment_rule = json!({ "any": [
        { "field": "score", "op": "gt", "value": 0 },
        { "field": "list", "op": "eq", "value": list },
    ]});
    let segment = given_segment(&app, segment_rule.clone()).await;
    let world = World {
        now,
        list: list.clone(),
        segment: segment.clone(),
        segment_rule,
    };
    let mut leads = Vec::new();
    for n in 0..60 {
        let mut body = lead(now)
            .new_tree(&mut runner)
            .expect("a well-formed value")
            .current();
        body["email"] = json!(format!("{}{n}@example.com", ["a", "Ab", "b_"][n % 3]));
        let mut made = given_lead(&app, body).await;
        made["lists"] = json!([]);
        if n % 4 == 0 {
            let status = if n % 8 == 0 {
                "confirmed"
            } else {
                "unsubscribed"
            };
            join(&app, &list, &made, status).await;
            made["lists"] = if n % 8 == 0 { json!([list]) } else { json!([]) };
        }
        leads.push(made);
    }
    engage(&app, &mut leads);

    for case in 0..CASES {
        let rule = rule(now, list.clone(), segment.clone())
            .new_tree(&mut runner)
            .expect("a well-formed value")
            .current();
        let mut expected: Vec<String> = leads
            .iter()
            .filter(|lead| holds(&world, &rule, lead))
            .map(id)
            .collect();
        expected.sort_unstable();
        assert_eq!(found(&app, &rule).await, expected, "case {case}: {rule}");
    }
}

/// Gives some leads opens and an age, past the API.
fn engage(app: &crate::support::App, leads: &mut [Value]) {
    use diesel::connection::SimpleConnection;
    let now = app.clock.now();
    for (n, lead) in leads.iter_mut().enumerate() {
        let (opens, days) = (n % 5, [0, 3, 5, 40][n % 4]);
        let (born, opened) = (now - Duration::days(days), now - Duration::days(days / 2));
        let open_at = if opens > 0 {
            format!("'{}'", opened.to_rfc3339())
        } else {
            "NULL".into()
        };
        let sql = format!(
            "UPDATE leads SET opens = {opens}, last_open_at = {open_at}, created_at = '{}' WHERE id = '{}'",
            born.to_rfc3339(),
            id(lead),
        );
        app.connect().batch_execute(&sql).expect("a good update");
        lead["created_at"] = json!(born.to_rfc3339());
        lead["engagement"] = json!({ "opens": opens, "clicks": 0 });
        if opens > 0 {
            lead["engagement"]["last_open_at"] = json!(opened.to_rfc3339());
        }
    }
}

/// The ids of the leads that the service finds, sorted.
async fn found(app: &crate::support::App, rule: &Value) -> Vec<String> {
    let body = json!({ "name": "Random", "rule": rule });
    let client = marketer(app);
    let made: Value = client
        .post("/api/v1/segments")
        .json(&body)
        .send()
        .await
        .assert_status(201)
        .json();
    let page = get(
        app,
        &format!("/api/v1/leads?limit=500&segment_id={}", id(&made)),
    )
    .await;
    client
        .delete(format!("/api/v1/segments/{}", id(&made)))
        .send()
        .await
        .assert_status(204);
    let mut ids: Vec<String> = page["items"]
        .as_array()
        .expect("a well-formed value")
        .iter()
        .map(id)
        .collect();
    ids.sort_unstable();
    ids
}
