//! What identity knows of: people, workspaces, keys; rules as pure functions.

mod api_key;
mod member;
mod text;

pub(crate) use api_key::ApiKey;
pub(crate) use member::{Actor, Member, User, Workspace};
pub(crate) use text::{Check, Name, Password};
