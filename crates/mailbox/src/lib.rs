//! A small SMTP receiver that takes the place of a foreign mail server on a laptop and in tests.
//!
//! It stores each message durably before it answers 250, shows what it received as pages and as
//! JSON, and refuses, delays or drops by address so that every outcome can be tried.

mod behaviour;
mod error;
mod faults;
mod http;
mod mail;
mod server;
mod settings;
mod smtp;
mod store;

pub use error::Error;
pub use faults::{DropEvery, DropWhen, Faults, Refusal, Stage};
pub use http::routes;
pub use mail::{Attachment, Mail};
pub use server::{Handle, Mailbox};
pub use settings::Settings;
pub use store::{Filter, Listing, Stats, Summary};
