//! Private Postgres and Redis servers as child processes, for a laptop and for tests.
//!
//! A server started here lives no longer than the process that started it: `stop` and `Drop` end
//! it in order, and when this process is killed outright the kernel tells the server to shut down.
//! Nothing here is global; every call blocks, so async callers use `spawn_blocking`.

mod binaries;
mod child;
mod error;
mod folder;
mod postgres;
mod redis;
mod server;
mod user;

pub use error::Error;
pub use postgres::{Postgres, PostgresOptions};
pub use redis::{Redis, RedisOptions};
