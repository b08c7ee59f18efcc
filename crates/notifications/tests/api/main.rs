//! The service through HTTP, with a real mailbox as its mail server.

mod attachments;
mod domains;
mod failures;
mod hooks;
mod inbound;
mod kill;
mod leases;
mod leaving;
mod listener;
mod main_path;
mod outcomes;
mod requests;
mod restores;
mod secrets;
mod senders;
mod sending;
mod ses;
mod support;
mod templates;
mod webhook_deliveries;
mod webhook_signatures;
mod webhooks;
