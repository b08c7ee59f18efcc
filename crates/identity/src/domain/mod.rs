//! What identity knows of: people, workspaces, keys; rules as pure functions.

mod api_key;
mod authenticator;
mod common_passwords;
mod member;
mod role;
mod text;

pub(crate) use api_key::ApiKey;
pub(crate) use authenticator::{accepted_step, otpauth_uri};
pub(crate) use member::{Actor, Member, User, Workspace};
pub(crate) use role::{CustomRole, Standing, scopes_of};
pub(crate) use text::{Check, Name, Password};
