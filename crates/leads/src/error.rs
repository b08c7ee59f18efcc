//! The ways this service says no.

use actix_web::http::StatusCode;
use chassis::error::{auth_kind, query_kind};
use chassis::{Fault, InvalidInput, Unavailable, respond_with_problem};
use common::auth::AuthError;
use common::{FieldError, FormId, ImportId, LeadId, ListId, SegmentId};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("lead {0} does not exist")]
    LeadNotFound(LeadId),
    #[error("no lead has the address {0}")]
    AddressNotFound(String),
    #[error("a lead with the address {0} exists already")]
    LeadExists(String),
    #[error("list {0} does not exist")]
    ListNotFound(ListId),
    #[error("list {0} is used by the segment \"{1}\"")]
    ListInUse(ListId, String),
    #[error("list {0} is used by the form \"{1}\"")]
    ListInForm(ListId, String),
    #[error("form {0} does not exist")]
    FormNotFound(FormId),
    #[error("there is no form at this address")]
    NoForm,
    #[error("form {0} takes nobody at the moment")]
    FormClosed(FormId),
    #[error("pages of this origin may not send this form")]
    OriginNotAllowed,
    #[error("a form is sent as application/x-www-form-urlencoded or application/json")]
    NotAForm,
    #[error("lead {0} is not a member of this list")]
    MemberNotFound(LeadId),
    #[error("segment {0} does not exist")]
    SegmentNotFound(SegmentId),
    #[error("segment {0} is used by the segment \"{1}\"")]
    SegmentInUse(SegmentId, String),
    #[error("import {0} does not exist")]
    ImportNotFound(ImportId),
    #[error("import {0} has already ended")]
    ImportEnded(ImportId),
    #[error("nothing is suppressed under {0}")]
    SuppressionNotFound(String),
    #[error("it was changed by somebody else in the meantime; read it again")]
    VersionMismatch,
    #[error(transparent)]
    Input(#[from] InvalidInput),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::LeadNotFound(_) | Self::AddressNotFound(_) => {
                (StatusCode::NOT_FOUND, "lead_not_found")
            }
            Self::LeadExists(_) => (StatusCode::CONFLICT, "lead_exists"),
            Self::ListNotFound(_) => (StatusCode::NOT_FOUND, "list_not_found"),
            Self::ListInUse(..) | Self::ListInForm(..) => (StatusCode::CONFLICT, "list_in_use"),
            Self::FormNotFound(_) | Self::NoForm => (StatusCode::NOT_FOUND, "form_not_found"),
            Self::FormClosed(_) => (StatusCode::GONE, "form_closed"),
            Self::OriginNotAllowed => (StatusCode::FORBIDDEN, "origin_not_allowed"),
            Self::NotAForm => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "no_form"),
            Self::MemberNotFound(_) => (StatusCode::NOT_FOUND, "member_not_found"),
            Self::SegmentNotFound(_) => (StatusCode::NOT_FOUND, "segment_not_found"),
            Self::SegmentInUse(..) => (StatusCode::CONFLICT, "segment_in_use"),
            Self::ImportNotFound(_) => (StatusCode::NOT_FOUND, "import_not_found"),
            Self::ImportEnded(_) => (StatusCode::CONFLICT, "import_ended"),
            Self::SuppressionNotFound(_) => (StatusCode::NOT_FOUND, "suppression_not_found"),
            Self::VersionMismatch => (StatusCode::PRECONDITION_FAILED, "version_mismatch"),
            Self::Input(refused) => refused.kind(),
            Self::Auth(denied) => auth_kind(denied),
            Self::Unavailable(away) => away.kind(),
            Self::Query(error) => query_kind(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Input(refused) => refused.fields(),
            _ => Vec::new(),
        }
    }
}

respond_with_problem!(Error);
