//! The service through HTTP, on a database of each test's own.

mod faults;
mod ingest;
mod reports;
mod support;
mod tracking;
mod upkeep;
