//! Queries, on a connection in this service's schema.

pub mod answers;
pub mod batches;
pub mod bursts;
pub mod counted;
pub mod days;
pub mod erasures;
pub mod events;
pub mod exports;
pub mod funnel;
pub mod goals;
pub mod held;
pub mod ids;
pub mod live;
pub mod packed;
pub mod partitions;
pub mod people;
pub mod reports;
pub mod rollups;
pub mod rows;
pub mod shares;
pub mod visits;
pub mod write_keys;
