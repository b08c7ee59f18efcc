//! What came back about a message, as it is shown with it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::feedback::Class;
use crate::store::feedback::Feedback;

/// Something that was told about a message after it was handed over.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Feedback)]
pub(crate) struct FeedbackView {
    class: Class,
    /// Who told: `smtp` or a provider.
    source: String,
    address: String,
    /// The status code of RFC 3463.
    status: Option<String>,
    /// What the server said.
    diagnostic: Option<String>,
    /// What it was seen by.
    reason: String,
    at: DateTime<Utc>,
}

impl From<Feedback> for FeedbackView {
    fn from(row: Feedback) -> Self {
        Self {
            // The database lets no other class in.
            class: Class::parse(&row.class).unwrap_or(Class::Soft),
            source: row.source,
            address: row.address,
            status: row.status,
            diagnostic: row.diagnostic,
            reason: row.reason,
            at: row.at,
        }
    }
}
