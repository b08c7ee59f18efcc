//! The clients' side: who connects, and how they are spoken to.

mod h1;
mod server;

pub(crate) use server::{Ending, serve};
