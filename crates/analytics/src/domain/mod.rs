//! The rules of analytics: what an event is, who made a hit, what a client sent.

pub mod address;
pub mod attribution;
pub mod burst;
pub mod device;
pub mod event;
pub mod goal;
pub mod json;
pub mod money;
pub mod parse;
pub mod people;
pub mod ranges;
pub mod rules;
pub mod segment;
pub mod share;
pub mod sketch;
pub mod step;
pub mod utm;
pub mod verdict;
pub mod visitor;
pub mod write_key;
