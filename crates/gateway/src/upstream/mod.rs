//! The services' side: who answers, which replica is asked, and the connection to it.

mod body;
mod connection;
mod idle;
mod pool;
mod replica;
mod send;
mod stream;
mod watch;

pub(crate) use body::AnswerBody;
pub(crate) use connection::Connection;
pub(crate) use idle::Idle;
pub(crate) use pool::{Place, Pool, Pools};
pub(crate) use send::{Answer, Call, Payload, send};
pub(crate) use stream::Secure;
pub(crate) use watch::{look_up, watch};
