//! Bodies of the internal requests between services (`/internal/...`, service token needed).

pub mod access;
pub mod audience;
pub mod dispatch;
pub mod people;
pub mod report;
pub mod standing;
pub mod template;
