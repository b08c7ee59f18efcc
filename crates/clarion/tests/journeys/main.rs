//! Stories across all services: the real binary, real Postgres and Redis, real SMTP.

mod campaign;
mod crashes;
mod outages;
mod platform;
mod starting;
