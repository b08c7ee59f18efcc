//! Rules as pure functions: no HTTP, no queries.

pub(crate) mod batch;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod form;
pub(crate) mod lead;
pub(crate) mod rule;
pub(crate) mod words;
