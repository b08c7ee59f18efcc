//! What a transactional message may be made from.

use chassis::InvalidInput;
use common::FieldError;
use common::dto::dispatch::Content;
use common::dto::template::TemplateCopy;
use common::ids::TemplateId;
use serde_json::{Map, Value};

/// The most data a message may bring, in bytes of JSON.
pub(crate) const MAX_DATA: usize = 64 << 10;

/// Where a message's words come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Content(Content),
    Template(TemplateId),
}

impl Origin {
    /// Exactly one of the two, a subject unless a template may have one, and not too much data;
    /// everything that is wrong is named.
    pub(crate) fn of(
        content: Option<Content>,
        template_id: Option<TemplateId>,
        subject: Option<&str>,
        data: &Map<String, Value>,
    ) -> Result<Self, InvalidInput> {
        let mut wrong = Vec::new();
        if subject.is_none() && template_id.is_none() {
            wrong.push(FieldError::new("/subject", "must be given"));
        }
        let size = serde_json::to_vec(data).map_or(usize::MAX, |json| json.len());
        if size > MAX_DATA {
            let detail = format!("is larger than {MAX_DATA} bytes");
            wrong.push(FieldError::new("/data", detail));
        }
        let origin = match (content, template_id) {
            (Some(content), None) => Ok(Self::Content(content)),
            (None, Some(template)) => Ok(Self::Template(template)),
            (None, None) => Err(FieldError::new(
                "/content",
                "must be given, or a template_id",
            )),
            (Some(_), Some(_)) => Err(FieldError::new(
                "/template_id",
                "cannot be given together with content",
            )),
        };
        match origin {
            Ok(origin) if wrong.is_empty() => Ok(origin),
            Ok(_) => Err(InvalidInput::fields(wrong)),
            Err(neither) => {
                wrong.push(neither);
                Err(InvalidInput::fields(wrong))
            }
        }
    }
}

/// What a message says, before it is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) subject: String,
    pub(crate) preheader: String,
    pub(crate) content: Content,
}

impl Words {
    /// A content under its own subject.
    pub(crate) fn inline(subject: Option<String>, content: Content) -> Self {
        Self {
            subject: subject.unwrap_or_default(),
            preheader: String::new(),
            content,
        }
    }

    /// A template under the subject given, or its own.
    pub(crate) fn of_template(
        subject: Option<String>,
        template: TemplateCopy,
    ) -> Result<Self, InvalidInput> {
        let own = Some(template.subject).filter(|subject| !subject.trim().is_empty());
        let subject = subject.or(own).ok_or_else(|| {
            InvalidInput::field("/subject", "must be given: the template has none")
        })?;
        Ok(Self {
            subject,
            preheader: template.preheader,
            content: template.content,
        })
    }
}

/// Problems of a content in a message that names a template: all but the subject given are the
/// template's, wherever they are in it.
pub(crate) fn in_template(invalid: InvalidInput, subject_given: bool) -> InvalidInput {
    let blame = |field: FieldError| match field.pointer.as_str() {
        "/subject" if subject_given => field,
        "/subject" | "/preheader" | "/content/body" | "/content/text" => FieldError::new(
            "/template_id",
            format!(
                "{}: {}",
                field.pointer.trim_start_matches('/'),
                field.detail
            ),
        ),
        _ => field,
    };
    InvalidInput {
        fields: invalid.fields.into_iter().map(blame).collect(),
        ..invalid
    }
}

#[cfg(test)]
mod tests {
    use common::dto::dispatch::ContentFormat;
    use serde_json::json;

    use super::*;

    fn content() -> Content {
        Content {
            format: ContentFormat::Text,
            body: "Hi".into(),
            text: None,
        }
    }

    fn pointers(refused: &InvalidInput) -> Vec<&str> {
        refused
            .fields
            .iter()
            .map(|field| field.pointer.as_str())
            .collect()
    }

    #[test]
    fn exactly_one_origin_is_wanted() {
        let (none, id) = (Map::new(), TemplateId::new());
        let of = |content, id, subject| Origin::of(content, id, subject, &none);
        assert_eq!(of(None, Some(id), None), Ok(Origin::Template(id)));
        assert_eq!(
            of(Some(content()), None, Some("s")),
            Ok(Origin::Content(content()))
        );
        let refused = of(None, None, None).expect_err("nothing to say");
        assert_eq!(pointers(&refused), ["/subject", "/content"]);
        let refused = of(Some(content()), Some(id), None).expect_err("which of them");
        assert_eq!(pointers(&refused), ["/template_id"]);
    }

    #[test]
    fn data_has_a_bound() {
        let data = |length: usize| {
            let data = json!({ "x": "a".repeat(length) });
            data.as_object().cloned().expect("an object")
        };
        let of = |length| Origin::of(Some(content()), None, Some("s"), &data(length));
        assert!(of(MAX_DATA - 8).is_ok());
        assert_eq!(pointers(&of(MAX_DATA).expect_err("too much")), ["/data"]);
    }

    #[test]
    fn a_template_brings_its_subject_unless_one_is_given() {
        let template = |subject: &str| TemplateCopy {
            version: 1,
            subject: subject.into(),
            preheader: "p".into(),
            content: content(),
        };
        let subject = |given: Option<&str>, own| {
            Words::of_template(given.map(Into::into), template(own)).map(|words| words.subject)
        };
        assert_eq!(subject(None, "own").as_deref(), Ok("own"));
        assert_eq!(subject(Some("given"), "own").as_deref(), Ok("given"));
        let refused = subject(None, " ").expect_err("none at all");
        assert_eq!(pointers(&refused), ["/subject"]);
    }

    #[test]
    fn what_is_wrong_in_a_template_is_said_of_the_template() {
        let invalid = InvalidInput::fields(vec![
            FieldError::new("/subject", "a"),
            FieldError::new("/content/body", "b"),
            FieldError::new("/from/name", "c"),
        ]);
        let given = in_template(invalid.clone(), true);
        assert_eq!(pointers(&given), ["/subject", "/template_id", "/from/name"]);
        assert_eq!(given.fields[1].detail, "content/body: b");
        assert_eq!(pointers(&in_template(invalid, false))[0], "/template_id");
    }
}
