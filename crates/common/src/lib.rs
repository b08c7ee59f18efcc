//! The contract between Clarion's services: the types that more than one of them must agree on.
//!
//! Nothing here opens a socket, a file or a connection. Machinery lives in `chassis`.

pub mod auth;
pub mod dto;
pub mod error;
pub mod events;
pub mod ids;
pub mod json;
pub mod page;
pub mod return_path;
pub mod token;
pub mod values;

pub use error::{FieldError, Problem};
pub use ids::*;
