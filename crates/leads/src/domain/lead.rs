//! What may be said of a person. The API and imports share these rules.

use std::str::FromStr;

use serde_json::{Map, Value};

/// Statuses a lead can have, in the order of a sale.
pub(crate) const STATUSES: [&str; 5] = ["new", "contacted", "qualified", "customer", "lost"];
/// Most tags on one lead.
pub(crate) const MAX_TAGS: usize = 100;
/// Most bytes of attributes on one lead, as JSON.
pub(crate) const MAX_ATTRIBUTES: usize = 64 * 1024;
/// How deep attributes may be nested.
const MAX_DEPTH: usize = 8;

/// Everything about a person that people may say; what analytics counts is not here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Profile {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub phone: Option<String>,
    pub company: Option<String>,
    pub status: Option<String>,
    pub score: Option<i32>,
    pub source: Option<String>,
    pub timezone: Option<String>,
    pub locale: Option<String>,
    pub tags: Vec<String>,
    pub attributes: Map<String, Value>,
}

/// Text of one line, at most `limit` characters. Empty text is no value.
pub(crate) fn line(text: &str, limit: usize) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.contains('\0') {
        return Err("must not contain a NUL character".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain line breaks or control characters".into());
    }
    if text.chars().count() > limit {
        return Err(format!("must be at most {limit} characters long"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// One of [`STATUSES`].
pub(crate) fn status(text: &str) -> Result<Option<String>, String> {
    match text.trim() {
        "" => Ok(None),
        text if STATUSES.contains(&text) => Ok(Some(text.to_owned())),
        _ => Err(format!("must be one of {}", STATUSES.join(", "))),
    }
}

/// An IANA time zone, such as `Europe/Berlin`.
pub(crate) fn timezone(text: &str) -> Result<Option<String>, String> {
    match text.trim() {
        "" => Ok(None),
        text => chrono_tz::Tz::from_str(text)
            .map(|zone| Some(zone.name().to_owned()))
            .map_err(|_| "must be an IANA time zone such as Europe/Berlin".to_owned()),
    }
}

/// A language tag, such as `de-AT`.
pub(crate) fn locale(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    let sound = text.len() <= 35
        && text.split(['-', '_']).all(|part| {
            (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())
        });
    match text {
        "" => Ok(None),
        text if sound => Ok(Some(text.to_owned())),
        _ => Err("must be a language tag such as de-AT".into()),
    }
}

/// Tags without repetition, in the order they were given.
pub(crate) fn tags<'a>(given: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in given {
        match line(tag, 100).map_err(|why| format!("a tag {why}"))? {
            Some(tag) if !tags.contains(&tag) => tags.push(tag),
            _ => {}
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(format!("must be at most {MAX_TAGS} tags"));
    }
    Ok(tags)
}

/// Checks attributes as a whole: their size, their depth and their names.
pub(crate) fn check_attributes(attributes: &Map<String, Value>) -> Result<(), String> {
    fn walk(members: &Map<String, Value>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("must be nested at most {MAX_DEPTH} deep"));
        }
        members.iter().try_for_each(|(name, value)| {
            if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
                return Err(
                    "must have names of 1 to 100 characters, none of them a control character"
                        .into(),
                );
            }
            inner(value, depth)
        })
    }
    fn inner(value: &Value, depth: usize) -> Result<(), String> {
        match value {
            Value::Object(members) => walk(members, depth + 1),
            Value::Array(_) if depth > MAX_DEPTH => {
                Err(format!("must be nested at most {MAX_DEPTH} deep"))
            }
            Value::Array(items) => items.iter().try_for_each(|item| inner(item, depth + 1)),
            Value::String(text) if text.contains('\0') => {
                Err("must not contain a NUL character".into())
            }
            _ => Ok(()),
        }
    }
    walk(attributes, 1)?;
    let size = serde_json::to_vec(attributes).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX_ATTRIBUTES {
        return Err(format!("must be at most {MAX_ATTRIBUTES} bytes as JSON"));
    }
    Ok(())
}

/// Merges `patch` into `target`: null removes, objects merge, anything else replaces (RFC 7396).
pub(crate) fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (target.get_mut(&name), value) {
            (_, Value::Null) => {
                target.remove(&name);
            }
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, Value::Object(patch)) => {
                let mut inner = Map::new();
                merge(&mut inner, patch);
                target.insert(name, Value::Object(inner));
            }
            (_, value) => {
                target.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_line_has_no_breaks_and_an_empty_one_is_no_value() {
        assert_eq!(line("  ", 10), Ok(None));
        assert_eq!(line(" Ada ", 10), Ok(Some("Ada".into())));
        assert!(line("Ada\r\nBcc: eve@example.com", 100).is_err());
        assert!(line("a\0b", 100).expect_err("a NUL").contains("NUL"));
        assert!(line("abc", 2).expect_err("too long").contains("at most 2"));
    }

    #[test]
    fn closed_sets_are_closed() {
        assert!(status("Customer").is_err());
        assert!(timezone("Mars/Olympus").is_err());
        assert_eq!(locale("pt_BR"), Ok(Some("pt_BR".into())));
        assert!(locale("English (US)").is_err());
    }

    #[test]
    fn tags_are_said_once() {
        assert_eq!(tags(["a", " b", "a", ""]), Ok(vec!["a".into(), "b".into()]));
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        assert!(tags(many.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn attributes_are_bounded() {
        let deep = (0..20).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(
            check_attributes(&object(deep))
                .expect_err("too deep")
                .contains("nested")
        );
        let arrays = (0..20).fold(json!(1), |inner, _| json!([inner]));
        assert!(check_attributes(&object(json!({ "a": arrays }))).is_err());
        let large = json!({ "a": "x".repeat(MAX_ATTRIBUTES) });
        assert!(
            check_attributes(&object(large))
                .expect_err("too large")
                .contains("bytes")
        );
        assert!(check_attributes(&object(json!({ "": 1 }))).is_err());
        assert!(check_attributes(&object(json!({ "a": ["\0"] }))).is_err());
        assert_eq!(
            check_attributes(&object(json!({ "plan": { "name": "pro" } }))),
            Ok(())
        );
    }

    #[test]
    fn a_merge_removes_with_null() {
        let mut target = object(json!({ "a": 1, "b": { "c": 2, "d": 3 } }));
        merge(
            &mut target,
            object(json!({ "a": null, "b": { "c": 4 }, "e": { "f": null } })),
        );
        assert_eq!(
            Value::Object(target),
            json!({ "b": { "c": 4, "d": 3 }, "e": {} })
        );
    }
}
