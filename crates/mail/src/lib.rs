//! Mail on the wire: messages as octets, and the client side of SMTP.

pub mod bounce;
pub mod dkim;
pub mod mime;
pub mod smtp;
