//! What a user wrote.

pub use common::dto::dispatch::{Content as Source, ContentFormat as Format};

/// Everything of one mail that is a template.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub subject: &'a str,
    /// The line that mail clients show beside the subject.
    pub preheader: Option<&'a str>,
    pub source: &'a Source,
}
