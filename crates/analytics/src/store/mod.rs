//! Queries, on a connection in this service's schema.

pub mod batches;
pub mod bursts;
pub mod events;
pub mod ids;
pub mod partitions;
pub mod reports;
pub mod visits;
