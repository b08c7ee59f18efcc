//! Background work.

pub(crate) mod import;
pub(crate) mod sweep;
