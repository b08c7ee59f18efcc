//! The rules of delivery, as pure functions.

pub(crate) mod backoff;
pub(crate) mod state;
pub(crate) mod verdict;
