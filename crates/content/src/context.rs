use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use common::json::RawJson;
use minijinja::Value;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use crate::filters::is_missing;
use crate::limits::{MAX_CONTEXT, MAX_CONTEXT_DEPTH};

/// The links that a mail carries for its recipient. They are never rewritten:
/// they already are what they must be, and must work when tracking does not.
const RESERVED: [&str; 3] = ["unsubscribe_url", "preferences_url", "view_url"];

/// A value made ready for templates, to be shared by many contexts at no cost:
/// `campaign` and `workspace` are the same for every recipient.
#[derive(Debug, Clone)]
pub struct Prepared {
    value: Value,
    bytes: usize,
}

impl Prepared {
    /// Reads JSON, written or taken apart. What cannot be read is as good as too much.
    fn read<'de>(json: impl Deserializer<'de>) -> Self {
        let mut bytes = 0;
        let root = Reading {
            depth: 0,
            bytes: &mut bytes,
        };
        let value = root.deserialize(json);
        Self {
            value: value.unwrap_or_else(|_| {
                bytes = TOO_MUCH;
                Value::from(())
            }),
            bytes,
        }
    }
}

impl From<&Json> for Prepared {
    fn from(json: &Json) -> Self {
        Self::read(json)
    }
}

impl From<Json> for Prepared {
    fn from(json: Json) -> Self {
        Self::from(&json)
    }
}

impl From<&RawJson> for Prepared {
    fn from(json: &RawJson) -> Self {
        Self::read(&mut serde_json::Deserializer::from_str(json.as_str()))
    }
}

impl From<&Prepared> for Prepared {
    fn from(prepared: &Prepared) -> Self {
        prepared.clone()
    }
}

impl From<&str> for Prepared {
    fn from(text: &str) -> Self {
        Self {
            value: text.into(),
            bytes: text.len(),
        }
    }
}

impl From<String> for Prepared {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// More than any context may have.
const TOO_MUCH: usize = usize::MAX / 2;

/// Reads JSON straight into a value of templates.
struct Reading<'b> {
    depth: usize,
    bytes: &'b mut usize,
}

impl Reading<'_> {
    fn inner(&mut self) -> Reading<'_> {
        Reading {
            depth: self.depth + 1,
            bytes: self.bytes,
        }
    }

    fn text(&mut self, text: &str) {
        *self.bytes = self.bytes.saturating_add(text.len());
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.bytes = self.bytes.saturating_add(8);
        if self.depth > MAX_CONTEXT_DEPTH {
            // What deeper data would hold cannot be reached by a template.
            *self.bytes = TOO_MUCH;
            deserializer.deserialize_ignored_any(IgnoredAny)?;
            return Ok(Value::from(()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, whole: i64) -> Result<Value, E> {
        Ok(whole.into())
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Value, E> {
        Ok(i64::try_from(whole).map_or_else(|_| whole.into(), Value::from))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<Value, E> {
        self.text(text);
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self.inner())? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            self.text(&name);
            let value = fields.next_value_seed(self.inner())?;
            values.push((name, value));
        }
        let pairs = values.iter().map(|(name, value)| (&**name, value.clone()));
        Ok(Value::from_pairs(pairs))
    }
}

/// What one mail is rendered with: `lead`, `campaign`, `workspace`,
/// `unsubscribe_url` and so on. A template can read this and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Context {
    names: BTreeMap<String, Value>,
    bytes: usize,
}

impl Context {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one top-level name; the last value wins.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Prepared>) -> Self {
        self.set(name, value);
        self
    }

    pub fn set(&mut self, name: &str, value: impl Into<Prepared>) {
        let Prepared { value, bytes } = value.into();
        self.bytes = self.bytes.saturating_add(bytes);
        self.names.insert(name.to_owned(), value);
    }

    /// Whether a dotted path has something to print: it is not absent, not null
    /// and not an empty text.
    pub fn has(&self, path: &str) -> bool {
        self.find(path)
            .is_some_and(|value| !value.as_str().is_some_and(str::is_empty))
    }

    /// The value at a dotted path, unless absent or null.
    pub(crate) fn find(&self, path: &str) -> Option<Value> {
        let (root, rest) = path.split_once('.').unwrap_or((path, ""));
        let mut value = self.names.get(root)?.clone();
        for name in rest.split('.').filter(|name| !name.is_empty()) {
            value = value.get_attr(name).ok()?;
        }
        Some(value).filter(|value| !is_missing(value))
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.bytes > MAX_CONTEXT
    }

    pub(crate) fn root(&self) -> Value {
        Value::from_pairs(
            self.names
                .iter()
                .map(|(name, value)| (name.as_str(), value)),
        )
    }

    /// The recipient's own links, as far as they are set.
    pub(crate) fn reserved(&self) -> Vec<&str> {
        let links = RESERVED
            .iter()
            .filter_map(|name| self.names.get(*name)?.as_str());
        links.filter(|link| !link.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_null_and_empty_have_nothing_to_print_but_zero_and_false_do() {
        let lead = json!({"name": "", "plan": null, "score": 0, "vip": false, "a": {"b": "c"}});
        let context = Context::new().with("lead", lead);
        for path in [
            "lead.name",
            "lead.plan",
            "lead.nope",
            "lead.a.x",
            "lead.a.b.c",
            "nope",
        ] {
            assert!(!context.has(path), "{path}");
        }
        for path in ["lead.score", "lead.vip", "lead.a.b", "lead"] {
            assert!(context.has(path), "{path}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same_as_what_was_taken_apart() {
        let lead = json!({
            "a": [1, -2, 2.5, u64::MAX, null, true, "x \" é"],
            "b": { "c": { "d": "e" } },
        });
        let written = RawJson::from(&lead);
        let (one, other) = (Prepared::from(&lead), Prepared::from(&written));
        assert_eq!((&one.value, one.bytes), (&other.value, other.bytes));
        let kinds = |of: &Prepared| -> Vec<_> {
            let items = of.value.get_attr("a").and_then(|a| a.try_iter());
            items.expect("a list").map(|item| item.kind()).collect()
        };
        assert_eq!(kinds(&one), kinds(&other));
    }

    #[test]
    fn data_that_is_too_long_or_too_deep_is_noticed() {
        assert!(
            Context::new()
                .with("x", "a".repeat(MAX_CONTEXT + 1))
                .is_too_large()
        );
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let written = RawJson::from(&deep);
        assert!(Context::new().with("x", &written).is_too_large());
        assert!(Context::new().with("x", deep).is_too_large());
        assert!(
            !Context::new()
                .with("x", json!([1, 2.5, "c", u64::MAX]))
                .is_too_large()
        );
    }
}
