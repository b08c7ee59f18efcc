//! The ways the gateway says no.

use actix_web::http::StatusCode;
use chassis::auth::Denied;
use chassis::error::auth_kind;
use chassis::{Fault, Unavailable};
use common::auth::AuthError;

use crate::table::METHODS;
use crate::wire::{Broken, Malformed};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is nothing at this address")]
    NoRoute,
    #[error("the path must not contain dot segments, backslashes or NUL characters")]
    BadPath,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the request's head did not arrive in time")]
    HeadTooSlow,
    #[error("this method is not known here; use one of {METHODS}")]
    Method,
    #[error("this needs GET or HEAD")]
    ReadOnly,
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(u64),
    #[error("the body did not arrive in time")]
    BodyTooSlow,
    #[error("the body broke off")]
    BodyBroken,
    /// More requests than a rule allows; the seconds until the next one is.
    #[error("too many requests; the limit `{rule}` allows the next one in {seconds} s")]
    TooMany { rule: String, seconds: u64 },
    #[error("there is too much to do at the moment")]
    Overloaded,
    #[error("the request has more than one credential; send one")]
    TwoCredentials,
    #[error("the API key or session is not valid")]
    CredentialInvalid,
    #[error("the X-CSRF-Token header does not belong to this session")]
    CsrfMismatch,
    #[error("requests that change something cannot come from another site")]
    CrossSite,
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It cannot be reached: nothing has happened there.
    #[error(transparent)]
    Away(#[from] Unavailable),
    /// It was reached and did not answer as HTTP wants: nobody knows what happened there.
    #[error("{part} broke the connection off")]
    Broken {
        part: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{part} did not answer in time")]
    Late { part: String },
    #[error("the documents of two services use the same name: {0}")]
    Clash(String),
}

impl Error {
    pub(crate) fn broken(part: &str, cause: impl std::fmt::Display) -> Self {
        let cause = cause.to_string().into();
        let part = part.to_owned();
        Self::Broken { part, cause }
    }

    pub(crate) fn away(part: &str, cause: impl std::fmt::Display) -> Self {
        Unavailable::because(part, cause.to_string()).into()
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        Self::Denied(error.into())
    }
}

impl Fault for Error {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "route_not_found"),
            Self::BadPath => (StatusCode::BAD_REQUEST, "bad_path"),
            Self::Malformed(Malformed::UriTooLong) => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::Malformed(Malformed::TooLarge) => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head_too_large",
            ),
            Self::Malformed(Malformed::Version) => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "version_not_supported",
            ),
            Self::Malformed(Malformed::Length(_)) => (StatusCode::BAD_REQUEST, "ambiguous_length"),
            Self::Malformed(Malformed::Syntax(_)) => (StatusCode::BAD_REQUEST, "malformed_request"),
            Self::HeadTooSlow => (StatusCode::REQUEST_TIMEOUT, "head_too_slow"),
            Self::Method | Self::ReadOnly => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken"),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::TwoCredentials => (StatusCode::BAD_REQUEST, "two_credentials"),
            Self::CredentialInvalid => auth_kind(&AuthError::Invalid),
            Self::CsrfMismatch => (StatusCode::FORBIDDEN, "csrf_mismatch"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
            Self::Denied(error) => error.kind(),
            Self::Away(error) => error.kind(),
            Self::Broken { .. } => (StatusCode::BAD_GATEWAY, "bad_gateway"),
            Self::Late { .. } => (StatusCode::GATEWAY_TIMEOUT, "gateway_timeout"),
            Self::Clash(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany { seconds, .. } => Some(*seconds),
            _ => (self.kind().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Off | Broken::Malformed => Self::BodyBroken,
            Broken::Slow => Self::BodyTooSlow,
            Broken::TooLarge(limit) => Self::BodyTooLarge(limit),
        }
    }
}

chassis::respond_with_problem!(Error);
