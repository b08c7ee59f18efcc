//! What the ways of saying no have in common.

use actix_web::http::StatusCode;
use common::FieldError;
use common::auth::AuthError;
use diesel::result::{DatabaseErrorKind, Error as QueryError};

/// An error that knows how it is answered.
pub trait Fault: std::error::Error {
    /// The status for tools, and the stable code clients branch on.
    fn kind(&self) -> (StatusCode, &'static str);

    /// The fields that were refused.
    fn fields(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// When a client may try again, in seconds.
    fn retry_after_s(&self) -> Option<u64> {
        (self.kind().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

/// Answers a [`Fault`] as `application/problem+json` wherever actix wants a `ResponseError`.
#[macro_export]
macro_rules! respond_with_problem {
    ($error:ty) => {
        impl actix_web::ResponseError for $error {
            fn status_code(&self) -> actix_web::http::StatusCode {
                $crate::Fault::kind(self).0
            }

            fn error_response(&self) -> actix_web::HttpResponse {
                $crate::http::problem(self)
            }
        }
    };
}

/// A part we need does not answer; trying again later may help.
#[derive(Debug, thiserror::Error)]
#[error("{part} does not answer at the moment")]
pub struct Unavailable {
    pub part: String,
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Unavailable {
    pub fn new(part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            cause: None,
        }
    }

    pub fn because(
        part: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            part: part.into(),
            cause: Some(cause.into()),
        }
    }
}

impl Fault for Unavailable {
    fn kind(&self) -> (StatusCode, &'static str) {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    }
}

respond_with_problem!(Unavailable);

/// A request whose fields cannot be used; all of them are named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(.fields))]
pub struct InvalidInput {
    pub status: StatusCode,
    pub code: &'static str,
    pub fields: Vec<FieldError>,
}

impl InvalidInput {
    /// The input was understood, but these fields are not acceptable.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "invalid_input",
            fields,
        }
    }

    /// One field that is not acceptable.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(pointer, detail)])
    }
}

fn sentence(fields: &[FieldError]) -> String {
    let parts: Vec<_> = fields
        .iter()
        .map(|field| match field.pointer.as_str() {
            "" => field.detail.clone(),
            pointer => format!("{} {}", pointer.trim_start_matches('/'), field.detail),
        })
        .collect();
    parts.join("; ")
}

impl Fault for InvalidInput {
    fn kind(&self) -> (StatusCode, &'static str) {
        (self.status, self.code)
    }

    fn fields(&self) -> Vec<FieldError> {
        self.fields.clone()
    }
}

respond_with_problem!(InvalidInput);

/// How a refused caller is answered.
pub fn auth_kind(error: &AuthError) -> (StatusCode, &'static str) {
    let (status, code) = error.kind();
    (
        StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED),
        code,
    )
}

/// How a failed query is answered: 503 when Postgres is away, 500 when it is our mistake.
pub fn query_kind(error: &QueryError) -> (StatusCode, &'static str) {
    if is_away(error) {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "internal")
    }
}

/// Whether Postgres is gone, going or coming, rather than the query wrong.
pub fn is_away(error: &QueryError) -> bool {
    const SIGNS: [&str; 7] = [
        "server closed the connection",
        "connection to server",
        "terminating connection",
        "the database system is",
        "no connection to the server",
        "could not receive data from server",
        // Somebody holds a row for long; the same request may succeed in a moment.
        "canceling statement due to lock timeout",
    ];
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
        | QueryError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, _)
        | QueryError::BrokenTransactionManager => true,
        QueryError::DatabaseError(_, info) => {
            SIGNS.iter().any(|sign| info.message().contains(sign))
        }
        QueryError::RollbackErrorOnCommit {
            rollback_error,
            commit_error,
        } => is_away(rollback_error) || is_away(commit_error),
        _ => false,
    }
}

/// Whether a query broke a unique constraint, and which.
pub fn violated_unique(error: &QueryError) -> Option<&str> {
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
            info.constraint_name()
        }
        _ => None,
    }
}
