//! How much a template may cost.
//!
//! Templates are written by users and rendered once for every recipient, inside
//! a process that serves other workspaces. Fuel alone does not protect it: one
//! instruction can allocate a gigabyte. So the bound is built from parts that
//! each hold by construction:
//!
//! - **Source.** At most [`MAX_SOURCE`] bytes, [`MAX_TAGS`] tags, [`MAX_TOKENS`]
//!   tokens in one tag, [`MAX_NESTING`] open blocks. Checked on the token stream
//!   before the recursive parser sees it, so no source can exhaust the stack.
//! - **Grammar.** `grammar` refuses every construct that builds a value out of
//!   other values: `~`, string `+` and `*`, slices, list and map literals that
//!   outlive their loop, captures, macros, includes, calls of any kind. What is
//!   left can name a value, compare it, compute a number or pipe it through a
//!   filter.
//! - **Filters.** Only ours exist. Each charges what it reads and what it
//!   produces to one purse of [`MAX_FILTER_BYTES`] per part, *before* it
//!   allocates. Values made in one render therefore sum to less than that,
//!   however they are nested, repeated or kept in variables.
//! - **Context.** At most [`MAX_CONTEXT`] bytes of recipient data, so a
//!   comparison or an `in` test over it is short.
//! - **Time.** [`FUEL`] instructions per part; loops end there.
//! - **Output.** Written through a writer that stops at [`MAX_OUTPUT`].
//!
//! - **Markup.** MJML has at most [`MAX_ELEMENTS`] elements, nested at most
//!   [`MAX_ELEMENT_DEPTH`] deep, and HTML nests at most [`MAX_HTML_DEPTH`] deep,
//!   because their parsers recurse or search through what is open.
//!
//! Peak memory of a render is thus template + context + purse + output, times a
//! small constant. Nothing can be read but the context: there is no loader, no
//! function and no global.

/// The longest body or text a user may save, in bytes.
pub const MAX_SOURCE: usize = 1 << 20;

/// The longest subject or preheader a user may save, in bytes.
pub const MAX_LINE_SOURCE: usize = 4 << 10;

/// The longest HTML or text part that a render may produce, in bytes.
pub const MAX_OUTPUT: usize = 1 << 20;

/// The longest subject or preheader that a render may produce, in bytes.
pub const MAX_LINE_OUTPUT: usize = 4 << 10;

/// The most recipient data a render accepts, in bytes.
pub const MAX_CONTEXT: usize = 128 << 10;

/// How deep recipient data may nest.
pub const MAX_CONTEXT_DEPTH: usize = 32;

/// Instructions that one part of one mail may execute.
pub const FUEL: u64 = 50_000;

/// Bytes that the filters of one part may read and produce together.
pub const MAX_FILTER_BYTES: usize = 4 << 20;

/// `{{ … }}` and `{% … %}` in one source.
pub const MAX_TAGS: usize = 5_000;

/// Tokens between one pair of delimiters.
pub const MAX_TOKENS: usize = 200;

/// Bytes of string literals between one pair of delimiters.
pub const MAX_LITERAL: usize = 8 << 10;

/// Open brackets inside one tag.
pub const MAX_BRACKETS: usize = 16;

/// Blocks open at the same place; an `elif` counts as one more.
pub const MAX_NESTING: usize = 50;

/// How deep MJML elements may nest; its parser is recursive.
pub const MAX_ELEMENT_DEPTH: usize = 64;

/// MJML elements in one document; each grows to about a kilobyte of HTML.
pub const MAX_ELEMENTS: usize = 5_000;

/// Attributes on one MJML element; `mj-attributes` applies them to every other.
pub const MAX_ATTRIBUTES: usize = 100;

/// How deep HTML elements may nest; an element that is never closed counts.
pub const MAX_HTML_DEPTH: usize = 1_000;

/// Selectors times elements that are tried when styles are inlined.
pub const MAX_MATCHES: usize = 2_000_000;

/// Tags that inlining may copy out of a `<style>`.
pub const MAX_INLINED_WORDS: usize = 500;

/// Problems, and warnings, that are named for one part; nobody reads more.
pub const MAX_PROBLEMS: usize = 100;

/// Gmail cuts a mail that is longer than this and hides what follows.
pub const GMAIL_CLIPS_AT: usize = 102 * 1024;
