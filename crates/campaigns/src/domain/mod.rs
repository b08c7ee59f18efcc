//! Rules, as pure functions.

pub(crate) mod campaign;
pub(crate) mod content;
pub(crate) mod preflight;
pub(crate) mod schedule;
