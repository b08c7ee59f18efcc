//! A step of a funnel: which events count as it.

use serde::{Deserialize, Serialize};

/// Events of a type, or of those only that have a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = analytics::Step)]
#[serde(deny_unknown_fields)]
pub struct Step {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Reads steps as a query holds them: `view,track:Signed Up,goal`, or as JSON where a name has a
/// comma in it.
pub fn read(text: &str) -> Result<Vec<Step>, String> {
    let steps: Vec<Step> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(text)
            .map_err(|error| format!("is not a list of steps: {error}"))?,
        false => text.split(',').map(one).collect(),
    };
    let bad = |step: &Step| {
        let name = step.name.as_deref().unwrap_or("x");
        [step.kind.as_str(), name]
            .iter()
            .any(|text| text.is_empty() || text.contains('\0') || text.chars().count() > 256)
    };
    match steps.iter().any(bad) {
        true => {
            Err("must be types of events, each with a name if need be: view,track:Signed Up".into())
        }
        false => Ok(steps),
    }
}

fn one(text: &str) -> Step {
    let (kind, name) = match text.split_once(':') {
        Some((kind, name)) => (kind, Some(name.trim().to_owned())),
        None => (text, None),
    };
    let kind = kind.trim().to_owned();
    Step { kind, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_types_and_names() {
        let step = |kind: &str, name: Option<&str>| Step {
            kind: kind.into(),
            name: name.map(Into::into),
        };
        let expected = vec![step("view", None), step("track", Some("Signed Up: now"))];
        assert_eq!(read("view, track:Signed Up: now"), Ok(expected));
        let json = r#"[{"type":"track","name":"a,b"},{"type":"goal"}]"#;
        assert_eq!(
            read(json),
            Ok(vec![step("track", Some("a,b")), step("goal", None)])
        );
        for text in [
            "",
            "view,,goal",
            "view:",
            "[1]",
            "[{\"type\":\"x\",\"y\":1}]",
            "a\0",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
