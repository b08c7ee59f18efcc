//! The rules of analytics: what an event is, who made a hit, what a client sent.

pub mod address;
pub mod burst;
pub mod event;
pub mod json;
pub mod parse;
pub mod rules;
pub mod verdict;
