//! Makes a client's JSON fit for `jsonb`, without building it in memory in the usual case.
//!
//! Postgres refuses some JSON that is well-formed: NUL characters, lone surrogates, numbers out
//! of range, very deep nesting. One such value would fail the whole batch it is copied with.

use serde_json::Value;

use crate::domain::event::RawJson;

/// The most bytes of `properties`.
pub const MAX_BYTES: usize = 32 * 1024;
/// How deep objects and arrays may nest.
pub const MAX_DEPTH: usize = 32;
/// Longer texts take the careful way: a number in them could be longer than Postgres takes.
const SHORT: usize = 4096;

/// `text` must be well-formed JSON.
pub fn checked(text: &str) -> Result<RawJson, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("must be at most 32768 bytes of JSON");
    }
    if !text.starts_with('{') {
        return Err("must be an object");
    }
    let seen = scan(text.as_bytes());
    if seen.depth > MAX_DEPTH {
        return Err("must not be nested more than 32 deep");
    }
    if seen.plain && text.len() <= SHORT {
        return Ok(RawJson(text.to_owned()));
    }
    careful(text)
}

struct Seen {
    depth: usize,
    /// No `\u` escape and no exponent: nothing that Postgres reads more strictly than we.
    plain: bool,
}

fn scan(text: &[u8]) -> Seen {
    let (mut depth, mut deepest, mut plain, mut in_string) = (0usize, 0, true, false);
    let mut at = 0;
    while at < text.len() {
        match (in_string, text[at]) {
            (true, b'\\') => {
                at += 1;
                plain &= text.get(at) != Some(&b'u');
            }
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            // `true` and `false` have an `e` as well, behind a letter.
            (false, b'e' | b'E') if text[at - 1].is_ascii_digit() => plain = false,
            _ => {}
        }
        at += 1;
    }
    Seen {
        depth: deepest,
        plain,
    }
}

/// Reads and writes the value again, which leaves only what both sides understand.
fn careful(text: &str) -> Result<RawJson, &'static str> {
    let value: Value = serde_json::from_str(text)
        .map_err(|_| "holds a number out of range or half of a surrogate pair")?;
    if has_nul(&value) {
        return Err("must not contain a NUL character");
    }
    Ok(RawJson(value.to_string()))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(key, item)| key.contains('\0') || has_nul(item)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_properties_pass_unchanged() {
        let text = r#"{"a":[1,2.5,-3,true,false,null],"b":{"c":"é \" \\ x"}}"#;
        assert_eq!(checked(text), Ok(RawJson(text.to_owned())));
    }

    #[test]
    fn what_jsonb_refuses_is_refused_here() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for text in [
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e400}"#,
            r#"{"a":-1E999999}"#,
            "[1]",
            "7",
            &deep,
        ] {
            assert!(checked(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_and_exponents_survive_the_careful_way() {
        let kept = |text: &str| checked(text).map(|json| json.0);
        assert_eq!(kept(r#"{"a":"\u00e9"}"#), Ok(r#"{"a":"é"}"#.into()));
        assert_eq!(kept(r#"{"a":"\\u0000"}"#), Ok(r#"{"a":"\\u0000"}"#.into()));
        assert_eq!(kept(r#"{"a":"\ud83d\ude00"}"#), Ok(r#"{"a":"😀"}"#.into()));
        assert!(kept(r#"{"a":1e-20000}"#).is_ok(), "too small is zero");
        assert!(kept(&format!(r#"{{"a":"{}"}}"#, "x".repeat(30_000))).is_ok());
    }

    #[test]
    fn too_large_is_refused() {
        assert!(checked(&format!(r#"{{"a":"{}"}}"#, "x".repeat(40_000))).is_err());
    }
}
