//! leads through HTTP, on real Postgres and Redis.

mod audience;
mod consumers;
mod forms;
mod held;
mod imports;
mod leads;
mod lists;
mod rules;
mod segments;
mod support;
mod suppressions;
mod unsubscribe;
