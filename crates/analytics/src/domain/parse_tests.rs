//! Bodies and what is read from them.

use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Result<Parsed, InvalidInput> {
    body(text.as_bytes(), WorkspaceId::new(), Utc::now())
}

fn refusal(text: &str) -> (u16, String, String) {
    let error = parsed(text).expect_err(text);
    let field = &error.fields[0];
    (
        error.status.as_u16(),
        field.pointer.clone(),
        field.detail.clone(),
    )
}

#[test]
fn one_event_and_many_are_read() {
    let one = parsed(r#"{"type":"view","url":"https://a.example/é","properties":{"a":1}}"#);
    let one = one.expect("a good event").events.remove(0);
    assert_eq!(one.url.as_deref(), Some("https://a.example/é"));
    assert!(!one.id_given);
    let many = parsed(r#"{"events":[{"type":"view"},{"type":"goal","id":"order-1"}]}"#);
    let many = many.expect("good events").events;
    assert_eq!(many.len(), 2);
    assert!(many[1].id_given);
    assert_eq!(many[1].id, given_id("order-1"));
}

#[test]
fn a_bad_event_names_its_field_and_costs_no_other() {
    let result = parsed(
        r#"{"events":[{"type":"view"},{"type":7},{"kind":"view"},{"type":"view","x":1},
           {"type":"a b","url":"","occurred_at":"2990-01-01T00:00:00Z"},5,
           {"type":"view","lead_id":"nobody"},{"type":"view","properties":[]}]}"#,
    )
    .expect("the request can be used");
    assert_eq!(result.events.len(), 1);
    let details: Vec<_> = result.rejected.iter().map(Refused::detail).collect();
    assert!(
        details[0].starts_with("events/1/type invalid type"),
        "{details:?}"
    );
    assert!(details[1].contains("unknown field `kind`"), "{details:?}");
    assert!(details[2].contains("unknown field `x`"), "{details:?}");
    for part in ["events/4/type", "events/4/url", "events/4/occurred_at"] {
        assert!(details[3].contains(part), "{details:?}");
    }
    assert!(
        details[4].starts_with("events/5 invalid type"),
        "{details:?}"
    );
    assert!(details[5].starts_with("events/6/lead_id"), "{details:?}");
    assert!(details[6].starts_with("events/7/properties"), "{details:?}");
    let indexes: Vec<_> = result
        .rejected
        .iter()
        .map(|refused| refused.index)
        .collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_list_of_values_is_no_event() {
    let values = r#"["1","view",null,null,null,null,null,null,null,null]"#;
    assert_eq!(refusal(values).0, 422);
    let rejected = parsed(&format!(r#"{{"events":[{values}]}}"#)).expect("the request can be used");
    assert!(rejected.events.is_empty());
    assert_eq!(rejected.rejected[0].detail(), "events/0 must be an object");
}

#[test]
fn a_body_that_is_no_json_is_a_400() {
    for text in [
        "",
        "{",
        "{\"type\":\"view\"} x",
        "{\"events\":[{]}",
        "\u{0}",
    ] {
        assert_eq!(refusal(text).0, 400, "{text:?}");
    }
    let error = body(b"{\"type\":\"\xff\"}", WorkspaceId::new(), Utc::now());
    assert_eq!(error.expect_err("not UTF-8").status.as_u16(), 400);
}

#[test]
fn a_body_of_another_shape_is_a_422() {
    assert_eq!(refusal("[]").0, 422);
    assert_eq!(refusal("7").0, 422);
    assert_eq!(refusal(r#"{"events":7}"#).1, "/events");
    assert_eq!(refusal(r#"{"type":"view","events":[]}"#).0, 422);
    assert!(refusal(r#"{"events":[],"x":1}"#).2.contains("`x`"));
    assert_eq!(
        refusal(r#"{"id":"a"}"#),
        (422, "/type".into(), "is missing".into())
    );
    let many = vec![r#"{"type":"view"}"#; MAX_EVENTS + 1].join(",");
    assert_eq!(refusal(&format!(r#"{{"events":[{many}]}}"#)).1, "/events");
}

#[test]
fn strings_that_cannot_be_stored_are_refused() {
    let long = "x".repeat(2049);
    for (field, value) in [
        ("url", long.as_str()),
        ("url", "a\\u0000b"),
        ("anonymous_id", "\\u0007"),
        ("id", ""),
    ] {
        let (status, pointer, _) = refusal(&format!(r#"{{"type":"view","{field}":"{value}"}}"#));
        assert_eq!((status, pointer), (422, format!("/{field}")));
    }
}

proptest! {
    #[test]
    fn no_input_panics(text in "\\PC{0,200}") {
        parsed(&text).ok();
        parsed(&format!(r#"{{"events":[{text}]}}"#)).ok();
    }

    #[test]
    fn texts_come_through_unchanged(name in "[^\\p{Cc}\"\\\\]{1,60}") {
        let json = serde_json::json!({ "type": "view", "anonymous_id": name });
        let parsed = parsed(&json.to_string()).expect("a good event");
        prop_assert_eq!(parsed.events[0].anonymous_id.as_deref(), Some(name.as_str()));
    }
}
