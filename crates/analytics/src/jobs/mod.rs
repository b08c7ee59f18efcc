//! Work in the background.

pub mod maintain;
