//! Handlers: who may, what changes, what is answered.

pub(crate) mod campaigns;
pub(crate) mod lifecycle;
pub(crate) mod preview;
pub(crate) mod reports;
pub(crate) mod templates;

use chassis::InvalidInput;
use common::values::Invalid;

/// A query parameter that cannot be used.
fn bad_query(name: &str) -> impl FnOnce(Invalid) -> InvalidInput + '_ {
    move |invalid| InvalidInput::field(format!("query/{name}"), invalid.to_string())
}
