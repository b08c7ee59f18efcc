//! Lines out of what a client sends. Only CRLF ends a line, so that nothing can be smuggled in.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

const END: &[u8] = b"\r\n";

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Bytes),
    /// It had more octets than are kept.
    TooLong,
}

/// Input that keeps growing, of which no octet is searched twice.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) input: BytesMut,
    searched: usize,
    cut: bool,
}

impl Lines {
    /// The next line, if it is all there. Of a line with more than `limit` octets nothing is kept.
    pub(super) fn take(&mut self, limit: usize) -> Option<Line> {
        let from = self.searched.saturating_sub(1);
        let Some(found) = memmem::find(&self.input[from..], END) else {
            if self.input.len() > limit + 1 {
                // The last octet may be half of the line's end.
                let gone = self.input.len() - 1;
                let _ = self.input.split_to(gone);
                self.cut = true;
            }
            self.searched = self.input.len();
            return None;
        };
        self.searched = 0;
        let mut line = self.input.split_to(from + found + END.len()).freeze();
        line.truncate(line.len() - END.len());
        let cut = std::mem::take(&mut self.cut);
        Some(match cut || line.len() > limit {
            true => Line::TooLong,
            false => Line::Whole(line),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of an input that comes in pieces of this size.
    fn lines(input: &[u8], piece: usize, limit: usize) -> (Vec<Option<String>>, Vec<u8>) {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for chunk in input.chunks(piece) {
            lines.input.extend_from_slice(chunk);
            while let Some(line) = lines.take(limit) {
                taken.push(match line {
                    Line::Whole(text) => Some(String::from_utf8_lossy(&text).into_owned()),
                    Line::TooLong => None,
                });
            }
            assert!(lines.input.len() <= limit + piece + 1, "no more is kept");
        }
        (taken, lines.input.to_vec())
    }

    #[test]
    fn lines_are_the_same_in_pieces_of_every_size() {
        let input = b"a\r\n\r\nb\nc\rd\r\r\n123456789\r\n12345678\r\nrest";
        let expected = [
            Some("a"),
            Some(""),
            Some("b\nc\rd\r"),
            None,
            Some("12345678"),
        ];
        for piece in 1..=input.len() {
            let (taken, rest) = lines(input, piece, 8);
            let taken: Vec<_> = taken.iter().map(Option::as_deref).collect();
            assert_eq!(taken, expected, "pieces of {piece}");
            assert_eq!(rest, b"rest", "pieces of {piece}");
        }
    }
}
