//! HTTP as every service speaks it: one server set-up, one shape of errors, strict extractors.

pub mod context;
pub mod download;
mod extract;
mod language;
mod origin;
pub mod page;
mod problem;
pub(crate) mod server;

pub use extract::{Body, Form, IfMatch, Json, Path, Query, Valid, idempotency_key, parse_json};
pub use language::Language;
pub use origin::Origin;
pub use problem::{not_found, problem};
pub use server::etag;
