//! The SMTP side: framing, the conversation, and the loop that accepts connections.

mod framing;
mod listener;
mod replies;
mod session;
mod wire;

pub(crate) use listener::{Listener, Shared};
