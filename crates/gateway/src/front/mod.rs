//! The clients' side: who connects, and how they are spoken to.

mod h1;
mod h2;
mod server;

pub(crate) use server::{Ending, serve};
