use std::fmt;

use serde::Serialize;

/// The part of a mail that a problem is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Subject,
    Preheader,
    Body,
    Text,
}

impl Field {
    /// The JSON pointer of the field in a campaign, a template or a message.
    pub fn pointer(self) -> &'static str {
        match self {
            Field::Subject => "/subject",
            Field::Preheader => "/preheader",
            Field::Body => "/content/body",
            Field::Text => "/content/text",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Subject => "subject",
            Field::Preheader => "preheader",
            Field::Body => "body",
            Field::Text => "text",
        })
    }
}

/// Something wrong in what the user wrote, at the place where they wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub field: Field,
    /// Counted from 1, in the user's own source. Absent when the problem belongs to no place.
    pub line: Option<usize>,
    /// Counted from 1, in characters.
    pub column: Option<usize>,
    /// Stable, for clients to branch on.
    pub code: &'static str,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A problem before it is known in which field it is: an offset into some source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Option<usize>,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn at(at: usize, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: Some(at),
            code,
            message: message.into(),
        }
    }

    pub(crate) fn nowhere(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: None,
            code,
            message: message.into(),
        }
    }

    /// Places the fault in `source`, the text that its offset counts in.
    pub(crate) fn in_field(self, field: Field, source: &str) -> Problem {
        let place = self.at.map(|at| line_column(source, at));
        Problem {
            field,
            line: place.map(|place| place.0),
            column: place.map(|place| place.1),
            code: self.code,
            message: self.message,
        }
    }
}

/// Line and column of a byte offset, both from 1; the column counts characters.
pub(crate) fn line_column(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..source.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The lines of a source, for when many places are asked for.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(source: &str) -> Self {
        Self(source.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|newline| *newline < at) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_counting_lines_agree() {
        let source = "a\n\nbc\r\nd\n";
        let lines = Lines::of(source);
        for at in 0..=source.len() {
            assert_eq!(lines.line(at), line_column(source, at).0, "{at}");
        }
    }

    #[test]
    fn a_column_counts_characters_and_survives_an_offset_past_the_end() {
        assert_eq!(line_column("ab\nçé{{", 7), (2, 3));
        assert_eq!(line_column("ab", 0), (1, 1));
        assert_eq!(line_column("ab\n", 99), (2, 1));
        assert_eq!(line_column("é", 1), (1, 1));
    }
}
