//! The ways identity says no.

use actix_web::http::StatusCode;
use chassis::auth::Denied;
use chassis::error::{auth_kind, query_kind};
use chassis::{Fault, InvalidInput, Unavailable};
use common::auth::{AuthError, Role};
use common::{ApiKeyId, FieldError, InvitationId, RoleId, UserId};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// One sentence for an unknown address and for a wrong password.
    #[error("the email or the password is not right")]
    WrongCredentials,
    #[error("the code of the authenticator app is needed, or a recovery code")]
    CodeNeeded,
    #[error("the code is not right, or was used before")]
    CodeWrong,
    #[error("too many attempts; wait a while, or ask for a new password")]
    TooManyAttempts(u64),
    #[error("this link is not valid any more; ask for a new one")]
    LinkInvalid,
    #[error("this workspace does not take registrations")]
    WorkspaceNotOpen,
    #[error("they belong to this workspace already")]
    MemberAlready,
    #[error("invitation {0} does not exist")]
    InvitationNotFound(InvitationId),
    #[error("role {0} does not exist")]
    RoleNotFound(RoleId),
    #[error("a role of this name exists already")]
    RoleNameTaken,
    #[error("somebody has this role; give them another one first")]
    RoleInUse,
    #[error("there is no second factor to do this with")]
    NoSecondFactor,
    #[error("there is a second factor already; remove it first")]
    SecondFactorThere,
    #[error("somebody with this email address exists already")]
    EmailTaken,
    #[error("registration is closed; ask an owner to add you")]
    RegistrationClosed,
    #[error("the refresh token is not valid; sign in again")]
    RefreshInvalid,
    #[error("the API key or session is not valid")]
    CredentialInvalid,
    #[error("there is no session; sign in")]
    NoSession,
    #[error("the X-CSRF-Token header does not belong to this session")]
    CsrfMismatch,
    #[error("sign-in {0} is not one of yours, or has ended")]
    SessionNotFound(uuid::Uuid),
    #[error("your password is needed for this, or a code of your second factor")]
    ProofNeeded,
    #[error("the service secret is not right")]
    WrongServiceSecret,
    #[error("user {0} does not exist")]
    UserNotFound(UserId),
    #[error("API key {0} does not exist")]
    KeyNotFound(ApiKeyId),
    #[error("this workspace does not exist any more")]
    WorkspaceGone,
    #[error("a workspace needs an owner; make somebody else an owner first")]
    LastOwner,
    #[error("the role {0} is above your own")]
    AboveOwnRole(Role),
    #[error("only people can do this, not API keys")]
    PeopleOnly,
    #[error("only they themselves can change somebody's email or password")]
    NotYours,
    #[error("nobody else vouches for people here")]
    NoProvider,
    #[error("this sign-in was not begun in this browser, or too long ago; begin anew")]
    SignInLost,
    #[error("the identity provider does not let you in")]
    ProviderSaysNo,
    #[error("what the identity provider says of you cannot be believed; begin anew")]
    IdTokenWrong,
    #[error("the identity provider knows no verified email address of yours")]
    EmailNotVouchedFor,
    #[error("there is an account with your email address; sign in to it, and link it from there")]
    LinkFirst,
    #[error("what the identity provider knows you by is linked to another account")]
    LinkedElsewhere,
    #[error("link {0} is not one of yours")]
    LinkNotFound(uuid::Uuid),
    #[error("you would not get in any more; set a password first")]
    LastWayIn,
    #[error("somebody else has changed this meanwhile; read it again")]
    Edited,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("something went wrong on our side")]
    Query(#[from] diesel::result::Error),
    #[error("something went wrong on our side")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::WrongCredentials => (StatusCode::UNAUTHORIZED, "wrong_credentials"),
            Self::CodeNeeded => (StatusCode::UNAUTHORIZED, "code_needed"),
            Self::CodeWrong => (StatusCode::UNAUTHORIZED, "code_wrong"),
            Self::TooManyAttempts(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
            Self::LinkInvalid => (StatusCode::UNPROCESSABLE_ENTITY, "link_invalid"),
            Self::WorkspaceNotOpen => (StatusCode::FORBIDDEN, "workspace_not_open"),
            Self::MemberAlready => (StatusCode::CONFLICT, "member_already"),
            Self::InvitationNotFound(_) => (StatusCode::NOT_FOUND, "invitation_not_found"),
            Self::RoleNotFound(_) => (StatusCode::NOT_FOUND, "role_not_found"),
            Self::RoleNameTaken => (StatusCode::CONFLICT, "role_name_taken"),
            Self::RoleInUse => (StatusCode::CONFLICT, "role_in_use"),
            Self::NoSecondFactor => (StatusCode::CONFLICT, "no_second_factor"),
            Self::SecondFactorThere => (StatusCode::CONFLICT, "second_factor_there"),
            Self::EmailTaken => (StatusCode::CONFLICT, "email_taken"),
            Self::RegistrationClosed => (StatusCode::FORBIDDEN, "registration_closed"),
            Self::RefreshInvalid => (StatusCode::UNAUTHORIZED, "refresh_token_invalid"),
            Self::CredentialInvalid => (StatusCode::UNPROCESSABLE_ENTITY, "credential_invalid"),
            Self::NoSession => (StatusCode::UNAUTHORIZED, "session_missing"),
            Self::CsrfMismatch => (StatusCode::FORBIDDEN, "csrf_mismatch"),
            Self::SessionNotFound(_) => (StatusCode::NOT_FOUND, "session_not_found"),
            Self::ProofNeeded => (StatusCode::FORBIDDEN, "proof_needed"),
            Self::WrongServiceSecret => (StatusCode::UNAUTHORIZED, "service_secret_wrong"),
            Self::UserNotFound(_) => (StatusCode::NOT_FOUND, "user_not_found"),
            Self::KeyNotFound(_) => (StatusCode::NOT_FOUND, "api_key_not_found"),
            Self::WorkspaceGone => (StatusCode::NOT_FOUND, "workspace_not_found"),
            Self::LastOwner => (StatusCode::CONFLICT, "last_owner"),
            Self::AboveOwnRole(_) => (StatusCode::FORBIDDEN, "role_above_own"),
            Self::PeopleOnly => (StatusCode::FORBIDDEN, "people_only"),
            Self::NotYours => (StatusCode::FORBIDDEN, "not_yourself"),
            Self::NoProvider => (StatusCode::NOT_FOUND, "no_provider"),
            Self::SignInLost => (StatusCode::UNPROCESSABLE_ENTITY, "sign_in_lost"),
            Self::ProviderSaysNo => (StatusCode::UNAUTHORIZED, "provider_says_no"),
            Self::IdTokenWrong => (StatusCode::UNAUTHORIZED, "id_token_wrong"),
            Self::EmailNotVouchedFor => (StatusCode::FORBIDDEN, "email_not_vouched_for"),
            Self::LinkFirst => (StatusCode::CONFLICT, "link_first"),
            Self::LinkedElsewhere => (StatusCode::CONFLICT, "linked_elsewhere"),
            Self::LinkNotFound(_) => (StatusCode::NOT_FOUND, "link_not_found"),
            Self::LastWayIn => (StatusCode::CONFLICT, "last_way_in"),
            Self::Edited => (StatusCode::PRECONDITION_FAILED, "edited_meanwhile"),
            Self::Auth(error) => auth_kind(error),
            Self::Denied(error) => error.kind(),
            Self::Invalid(error) => error.kind(),
            Self::Unavailable(error) => error.kind(),
            Self::Query(error) => query_kind(error),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(error) => error.fields(),
            _ => Vec::new(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts(seconds) => Some(*seconds),
            _ => (self.kind().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }
}

chassis::respond_with_problem!(Error);
