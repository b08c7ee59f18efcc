//! Stories across all services: the real binary, real Postgres and Redis, real SMTP.

mod accounts;
mod campaign;
mod chaos;
mod crashes;
mod dashboard;
mod documents;
mod forms;
mod outages;
mod platform;
mod rolling;
mod spam;
mod starting;
