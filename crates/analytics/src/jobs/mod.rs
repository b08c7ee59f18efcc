//! Work in the background.

pub mod look_up;
pub mod maintain;
pub mod roll_up;
