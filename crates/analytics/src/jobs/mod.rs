//! Work in the background.

pub mod erase;
pub mod look_up;
pub mod maintain;
pub mod roll_up;
pub mod tell;
