//! identity through HTTP, on real Postgres and Redis.

mod accounts;
mod api_keys;
mod forgery;
mod sessions;
mod starting;
mod support;
mod tokens;
mod users;
