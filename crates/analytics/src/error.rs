//! The ways this service says no.

use actix_web::http::StatusCode;
use chassis::error::{auth_kind, query_kind};
use chassis::{Fault, InvalidInput, Unavailable};
use common::auth::AuthError;
use common::{FieldError, GoalId, ShareId, WriteKeyId};

use crate::pipeline::NotStored;
use crate::store::goals::MOST;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Input(#[from] InvalidInput),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("share {0} does not exist")]
    ShareNotFound(ShareId),
    #[error("this link does not exist, or no longer")]
    LinkNotFound,
    #[error("goal {0} does not exist")]
    GoalNotFound(GoalId),
    #[error("there are {MOST} goals already; delete one first")]
    TooManyGoals,
    #[error("write key {0} does not exist")]
    WriteKeyNotFound(WriteKeyId),
    #[error(transparent)]
    NotStored(#[from] NotStored),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Input(error) => error.kind(),
            Self::Auth(denied) => auth_kind(denied),
            Self::ShareNotFound(_) => (StatusCode::NOT_FOUND, "share_not_found"),
            Self::LinkNotFound => (StatusCode::NOT_FOUND, "link_not_found"),
            Self::GoalNotFound(_) => (StatusCode::NOT_FOUND, "goal_not_found"),
            Self::TooManyGoals => (StatusCode::CONFLICT, "too_many_goals"),
            Self::WriteKeyNotFound(_) => (StatusCode::NOT_FOUND, "write_key_not_found"),
            Self::NotStored(NotStored::Full) => (StatusCode::TOO_MANY_REQUESTS, "queue_full"),
            Self::NotStored(NotStored::Away) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::NotStored(NotStored::Failed) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::Unavailable(error) => error.kind(),
            Self::Query(error) => query_kind(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Input(error) => error.fields.clone(),
            _ => Vec::new(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        let later = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        later.contains(&self.kind().0).then_some(1)
    }
}

chassis::respond_with_problem!(Error);
