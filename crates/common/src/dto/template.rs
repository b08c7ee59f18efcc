//! What others keep of a template of `campaigns`.

use serde::{Deserialize, Serialize};

use super::dispatch::Content;

/// A template at one version; `GET /internal/templates/{id}?workspace_id=` answers it as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateCopy {
    /// Grows with each change: an older copy never replaces a newer one.
    pub version: i64,
    /// Empty when the template has none.
    pub subject: String,
    pub preheader: String,
    pub content: Content,
}
