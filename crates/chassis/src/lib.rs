//! What every Clarion service stands on: settings, database, HTTP, telemetry, events, jobs.
//!
//! Nothing in here is global: two services in one process share no registry, pool or setting.

pub mod audit;
pub mod auth;
pub mod bell;
pub mod client;
pub mod clock;
pub mod db;
pub mod error;
pub mod feed;
pub mod health;
pub mod host;
pub mod http;
pub mod idempotency;
pub mod jobs;
mod memory;
pub mod metrics;
pub mod migrate;
pub mod outbound;
pub mod outbox;
pub mod pq;
pub mod process;
pub mod reads;
pub mod redis;
pub mod refusals;
pub mod revocation;
pub mod schema;
pub mod sealing;
pub mod settings;
pub mod sql;
pub mod telemetry;
pub mod tls;

pub use clock::Clock;
pub use db::Db;
pub use error::{Fault, InvalidInput, Unavailable};
pub use host::{Host, Service};
