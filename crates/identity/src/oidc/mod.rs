//! Signing in with an OpenID provider: authorization code with PKCE (RFC 6749, RFC 7636, OpenID
//! Connect Core 1.0 and Discovery 1.0).

mod flows;
mod id_token;
mod provider;

pub(crate) use flows::{Flow, Pending, Purpose};
pub(crate) use id_token::Claims;
pub(crate) use provider::Provider;
