//! identity through HTTP, on real Postgres and Redis.

mod accounts;
mod api_keys;
mod audit;
mod forgery;
mod invitations;
mod logs;
mod mails;
mod oidc;
mod passwords;
mod roles;
mod sealing;
mod second_factor;
mod sessions;
mod starting;
mod support;
mod timing;
mod tokens;
mod users;
mod workspaces;
