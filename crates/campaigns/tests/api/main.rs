//! The campaigns service through HTTP, with real Postgres and Redis and stand-ins for its peers.

mod bad_input;
mod drafts;
mod lifecycle;
mod preview;
mod reports;
mod stage;
mod templates;
