//! The chassis under a small service of the tests' own, on real Postgres and Redis.

mod auth;
mod bell;
mod deadline;
mod feed;
mod http;
mod idempotency;
mod jobs;
mod limits;
mod migrate;
mod outbox;
mod peers;
mod pq;
mod probe;
mod stop;
mod stores;
mod tls;
