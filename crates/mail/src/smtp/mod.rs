//! The client side of SMTP (RFC 5321), made for one message after another on a few connections.
//!
//! It is our own because the ledger must act between the server's 354 and the final dot, and must
//! know on which side of that dot a connection broke.

mod address;
mod connection;
mod opening;
mod reply;
#[cfg(test)]
mod scripted;
mod server;
mod stream;

pub use address::Envelope;
pub use connection::{Connection, Handed, Next, Permit, Stage, Timeouts};
pub use reply::{Malformed, Reply};
pub use server::{SmtpServer, Tls};

/// Why there is no connection, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("the mail server cannot be reached: {0}")]
    Connect(std::io::Error),
    #[error("the connection to the mail server broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the mail server closed the connection")]
    Closed,
    #[error("the mail server did not answer in time")]
    TimedOut,
    #[error("the mail server's answer is not SMTP: {0}")]
    Malformed(#[from] Malformed),
    /// It answered, but no to us rather than to a message.
    #[error("the mail server refused us at {step}: {reply}")]
    Refused { step: &'static str, reply: Reply },
    #[error("the mail server does not offer {0}")]
    Missing(&'static str),
}
