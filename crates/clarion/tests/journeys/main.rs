//! Stories across all services: the real binary, real Postgres and Redis, real SMTP.

mod campaign;
mod chaos;
mod crashes;
mod dashboard;
mod documents;
mod outages;
mod platform;
mod spam;
mod starting;
