//! The ways this service says no.

use actix_web::http::StatusCode;
use chassis::client::PeerError;
use chassis::error::{auth_kind, query_kind};
use chassis::{Fault, InvalidInput, Unavailable, respond_with_problem};
use common::auth::AuthError;
use common::{CampaignId, FieldError, TemplateId};

use crate::domain::campaign::Status;
use crate::domain::preflight::Check;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("campaign {0} does not exist")]
    NotFound(CampaignId),
    #[error("template {0} does not exist")]
    TemplateNotFound(TemplateId),
    #[error("a campaign that is {status} cannot be {verb}")]
    WrongStatus { status: Status, verb: &'static str },
    #[error("somebody else has changed it since you read it (version {0} now); read it again")]
    Changed(i64),
    #[error("the pre-flight found errors: {}", sentences(.0))]
    PreflightFailed(Vec<Check>),
    #[error("the pre-flight has warnings; repeat with accept_warnings to start all the same: {}", sentences(.0))]
    PreflightWarns(Vec<Check>),
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
}

fn sentences(checks: &[Check]) -> String {
    let details: Vec<_> = checks.iter().map(|check| check.detail.as_str()).collect();
    details.join("; ")
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "campaign_not_found"),
            Self::TemplateNotFound(_) => (StatusCode::NOT_FOUND, "template_not_found"),
            Self::WrongStatus { .. } => (StatusCode::CONFLICT, "wrong_status"),
            Self::Changed(_) => (StatusCode::PRECONDITION_FAILED, "changed_meanwhile"),
            Self::PreflightFailed(_) => (StatusCode::UNPROCESSABLE_ENTITY, "preflight_failed"),
            Self::PreflightWarns(_) => (StatusCode::CONFLICT, "preflight_warnings"),
            Self::Invalid(error) => error.kind(),
            Self::Auth(error) => auth_kind(error),
            Self::Peer(error) => error.kind(),
            Self::Unavailable(error) => error.kind(),
            Self::Query(error) => query_kind(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(error) => error.fields(),
            Self::Peer(error) => error.fields(),
            Self::PreflightFailed(checks) | Self::PreflightWarns(checks) => checks
                .iter()
                .map(|check| FieldError::new(format!("preflight/{}", check.name), &check.detail))
                .collect(),
            _ => Vec::new(),
        }
    }
}

respond_with_problem!(Error);
