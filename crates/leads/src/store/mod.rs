//! Queries. Each takes a connection whose search path is this service's schema.

pub(crate) mod audience;
pub(crate) mod consents;
pub(crate) mod forms;
pub(crate) mod imports;
pub(crate) mod leads;
pub(crate) mod lists;
pub(crate) mod members;
pub(crate) mod rule_sql;
pub(crate) mod segments;
pub(crate) mod staging;
pub(crate) mod statement;
pub(crate) mod submissions;
pub(crate) mod suppressions;
