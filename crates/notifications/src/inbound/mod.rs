//! What comes back after a mail was sent: bounces, complaints and automatic answers.

mod desk;
mod domain;
mod leaving;
mod lines;
mod listener;
mod meters;
mod providers;
mod record;
mod session;
mod sns;
pub(crate) mod tls;

pub(crate) use desk::{Desk, Outcome, message_id};
pub(crate) use domain::BounceDomain;
pub(crate) use listener::Listener;
pub(crate) use meters::Meters;
pub(crate) use providers::{Event, Provider};
pub(crate) use record::{About, Told, record};
pub(crate) use sns::{Origin, Refused, Topics};
