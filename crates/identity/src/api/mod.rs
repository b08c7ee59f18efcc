//! identity's handlers.

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod emails;
pub(crate) mod invitations;
pub(crate) mod oidc;
pub(crate) mod pages;
pub(crate) mod passwords;
pub(crate) mod roles;
pub(crate) mod second_factor;
pub(crate) mod services;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod users;
mod views;
pub(crate) mod workspaces;
