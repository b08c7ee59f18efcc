//! `identity`'s internal requests: service tokens and the exchange of credentials.

use serde::{Deserialize, Serialize};

use crate::auth::Service;

/// `POST /internal/service-token`: a service proves itself by the installation's secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTokenRequest {
    pub service: Service,
    pub secret: String,
}

/// `POST /internal/exchange`: the gateway turns a credential into an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// An API key, `clk_…`.
    ApiKey(String),
    /// The value of the session cookie.
    Session(String),
}

/// An access token and the seconds it stays valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedToken {
    pub access_token: String,
    pub expires_in: i64,
    /// For a session: the token that writes must repeat in `X-CSRF-Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}
