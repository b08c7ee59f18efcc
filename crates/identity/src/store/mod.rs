//! Queries on identity's tables.

pub(crate) mod api_keys;
pub(crate) mod audit_log;
pub(crate) mod authenticators;
pub(crate) mod external_identities;
pub(crate) mod invitations;
pub(crate) mod mail_tokens;
pub(crate) mod members;
pub(crate) mod refresh_tokens;
pub(crate) mod revocations;
pub(crate) mod roles;
pub(crate) mod signing_keys;
pub(crate) mod workspaces;
