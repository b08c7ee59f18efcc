use serde::{Deserialize, Serialize};

/// How the body of a mail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Html,
    Mjml,
    Markdown,
    Text,
}

/// What a user wrote as the content of a mail; the wire shape of `content`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Source {
    pub format: Format,
    pub body: String,
    /// The plain-text part. Made from the HTML when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Everything of one mail that is a template.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub subject: &'a str,
    /// The line that mail clients show beside the subject.
    pub preheader: Option<&'a str>,
    pub source: &'a Source,
}
