//! The service through HTTP, with a real mailbox as its mail server.

mod main_path;
mod support;
