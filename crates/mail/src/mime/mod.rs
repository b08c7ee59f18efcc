//! Messages as octets (RFC 5322, RFC 2045–2047). What can be in a header is typed: no value can
//! begin another header or end the head.

mod attachment;
mod header;
mod message;
mod quoted;

pub use attachment::Attachment;
pub use message::{Bulk, Mail, Unsubscribe, build};
pub use message::{ascii_domain, spelled};
