//! Queries. Each one filters by workspace.

pub(crate) mod campaigns;
pub(crate) mod dispatches;
pub(crate) mod templates;
