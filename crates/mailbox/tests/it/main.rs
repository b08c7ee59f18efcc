//! The mailbox from outside: real SMTP conversations, real files, real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod addresses;
mod conversation;
mod durability;
mod faults;
mod http;
mod load;
mod support;
