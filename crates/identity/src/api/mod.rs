//! identity's handlers.

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod services;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod users;
mod views;
pub(crate) mod workspaces;
