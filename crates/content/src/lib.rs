//! What a mail says: templates written by users, checked, compiled once and
//! rendered for every recipient.
//!
//! Pure: no I/O, no clock, no network. A template reads its [`Context`] and
//! nothing else, and is bounded in time and memory; [`limits`] says why that holds.

mod compiled;
mod context;
mod css;
mod engine;
mod entities;
mod filters;
mod grammar;
mod html;
mod inline;
pub mod limits;
mod links;
mod markdown;
mod mjml;
mod problem;
mod render;
mod shape;
mod source;
mod tags;
mod text;
mod variables;
mod weave;

pub use compiled::Compiled;
pub use context::{Context, Prepared};
pub use links::{Link, Rewrite, UnreadableHtml, rewrite_links};
pub use problem::{Field, Problem};
pub use render::{RenderError, Rendered, Tracking};
pub use source::{Format, Parts, Source};
pub use variables::Need;
