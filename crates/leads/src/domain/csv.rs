//! Reading CSV (RFC 4180) out of a window of a larger file.
//!
//! The `csv` crate reads streams and forgets where it was; an import has to know the physical line
//! and the byte that each row begins at, has to stop at the end of a window and go on there later,
//! and must not lose the rest of the file to one quote that nobody closed.

use std::borrow::Cow;

/// Longest row, in bytes. A quote still open after so much was never meant to be one.
pub(crate) const MAX_ROW: usize = 1024 * 1024;

/// What comes next in the window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A row; its cells are in the buffer that was passed in.
    Row {
        line: u64,
    },
    /// What begins on this line cannot be read as a row.
    Broken {
        line: u64,
        reason: &'static str,
        text: &'a [u8],
    },
    /// The row goes on behind the window.
    NeedMore,
    End,
}

/// Walks over the rows of a window.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    window: &'a [u8],
    /// Where the next row begins in the window.
    pub at: usize,
    /// The physical line it begins on.
    pub line: u64,
    delimiter: u8,
    /// Whether the file ends where the window does.
    last: bool,
}

enum Ended {
    Cell(usize),
    Row(usize),
    Unclosed,
    NeedMore,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(window: &'a [u8], line: u64, delimiter: u8, last: bool) -> Self {
        Self {
            window,
            at: 0,
            line,
            delimiter,
            last,
        }
    }

    /// Reads the next row into `cells`. Blank lines are passed over.
    pub(crate) fn next(&mut self, cells: &mut Vec<Cow<'a, [u8]>>) -> Step<'a> {
        self.skip_blank_lines();
        if self.at >= self.window.len() {
            return if self.last { Step::End } else { Step::NeedMore };
        }
        cells.clear();
        let (start, line) = (self.at, self.line);
        let mut at = start;
        loop {
            match self.cell(at, cells) {
                Ended::Cell(next) => at = next,
                Ended::Row(next) if next - start > MAX_ROW => {
                    return self.broken(next, "the row is longer than 1 MiB");
                }
                Ended::Row(next) => {
                    self.advance(next);
                    return Step::Row { line };
                }
                Ended::Unclosed => {
                    let next = self.next_line(start);
                    return self.broken(next, "a quote is not closed");
                }
                Ended::NeedMore if self.window.len() - start > MAX_ROW => {
                    let next = self.next_line(start);
                    let reason = match next - start > MAX_ROW {
                        true => "the row is longer than 1 MiB",
                        false => "a quote is not closed",
                    };
                    return self.broken(next, reason);
                }
                Ended::NeedMore => return Step::NeedMore,
            }
        }
    }

    fn broken(&mut self, next: usize, reason: &'static str) -> Step<'a> {
        let (line, text) = (self.line, &self.window[self.at..next]);
        self.advance(next);
        Step::Broken { line, reason, text }
    }

    fn advance(&mut self, next: usize) {
        self.line += line_ends(&self.window[self.at..next]);
        self.at = next;
    }

    fn skip_blank_lines(&mut self) {
        while let Some(b'\r' | b'\n') = self.window.get(self.at) {
            match (self.window[self.at], self.window.get(self.at + 1)) {
                (b'\r', Some(b'\n')) => self.advance(self.at + 2),
                (b'\r', None) if !self.last => return,
                _ => self.advance(self.at + 1),
            }
        }
    }

    /// Where the line after the one at `from` begins.
    fn next_line(&self, from: usize) -> usize {
        match memchr::memchr2(b'\r', b'\n', &self.window[from..]) {
            Some(found) => {
                let at = from + found;
                let pair = self.window[at..].starts_with(b"\r\n");
                at + if pair { 2 } else { 1 }
            }
            None => self.window.len(),
        }
    }

    /// Reads one cell that begins at `at`.
    fn cell(&self, at: usize, cells: &mut Vec<Cow<'a, [u8]>>) -> Ended {
        if self.window.get(at) == Some(&b'"') {
            return self.quoted(at + 1, cells);
        }
        let rest = &self.window[at..];
        match memchr::memchr3(self.delimiter, b'\r', b'\n', rest) {
            Some(end) => {
                cells.push(Cow::Borrowed(&rest[..end]));
                self.ended(at + end)
            }
            None if self.last => {
                cells.push(Cow::Borrowed(rest));
                Ended::Row(self.window.len())
            }
            None => Ended::NeedMore,
        }
    }

    /// Reads a cell whose opening quote stands before `from`.
    fn quoted(&self, from: usize, cells: &mut Vec<Cow<'a, [u8]>>) -> Ended {
        let mut text = Cow::Borrowed(&self.window[from..from]);
        let mut at = from;
        loop {
            let Some(found) = memchr::memchr(b'"', &self.window[at..]) else {
                return match self.last {
                    true => Ended::Unclosed,
                    false => Ended::NeedMore,
                };
            };
            extend(&mut text, &self.window[at..at + found]);
            at += found + 1;
            match self.window.get(at) {
                Some(b'"') => {
                    text.to_mut().push(b'"');
                    at += 1;
                }
                None if !self.last => return Ended::NeedMore,
                _ => break,
            }
        }
        // Text between the closing quote and the delimiter belongs to the cell.
        let rest = &self.window[at..];
        let end = memchr::memchr3(self.delimiter, b'\r', b'\n', rest);
        if end.is_none() && !self.last {
            return Ended::NeedMore;
        }
        let tail = end.unwrap_or(rest.len());
        extend(&mut text, &rest[..tail]);
        cells.push(text);
        match end {
            Some(end) => self.ended(at + end),
            None => Ended::Row(self.window.len()),
        }
    }

    /// What the byte at `at`, a delimiter or a line end, means.
    fn ended(&self, at: usize) -> Ended {
        match (self.window[at], self.window.get(at + 1)) {
            (b'\r', Some(b'\n')) => Ended::Row(at + 2),
            (b'\r', None) if !self.last => Ended::NeedMore,
            (b'\r' | b'\n', _) => Ended::Row(at + 1),
            _ => Ended::Cell(at + 1),
        }
    }
}

fn extend<'a>(text: &mut Cow<'a, [u8]>, more: &'a [u8]) {
    if text.is_empty() {
        *text = Cow::Borrowed(more);
    } else if !more.is_empty() {
        text.to_mut().extend_from_slice(more);
    }
}

/// Line ends in `bytes`: `\n`, `\r\n`, and `\r` alone.
fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr2_iter(b'\r', b'\n', bytes)
        .filter(|&at| bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n'))
        .count() as u64
}

/// The delimiter of a file, guessed from its first line: the most frequent candidate outside
/// quotes, a comma when there is none.
pub(crate) fn sniff_delimiter(first_line: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in first_line {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(c, _)| !quoted && c == byte) {
            *count += 1;
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts
        .iter()
        .find(|(_, count)| *count == most)
        .map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows with the lines they begin on, or the reason a line is broken.
    fn read(text: &[u8], delimiter: u8) -> Vec<(u64, Result<Vec<String>, &'static str>)> {
        let (mut rows, mut cells, mut found) =
            (Rows::new(text, 1, delimiter, true), Vec::new(), Vec::new());
        loop {
            match rows.next(&mut cells) {
                Step::Row { line } => found.push((line, Ok(strings(&cells)))),
                Step::Broken { line, reason, .. } => found.push((line, Err(reason))),
                Step::NeedMore => panic!("the window is the whole file"),
                Step::End => return found,
            }
        }
    }

    fn strings(cells: &[Cow<'_, [u8]>]) -> Vec<String> {
        cells
            .iter()
            .map(|cell| String::from_utf8_lossy(cell).into_owned())
            .collect()
    }

    #[test]
    fn lines_are_physical_ones() {
        let text = b"a,b\r\n\r\n\"x\ny\",2\n\n\n3,4";
        let lines: Vec<u64> = read(text, b',').iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 7]);
    }

    #[test]
    fn an_open_quote_costs_one_line() {
        let rows = read(b"1,x\n2,\"open\n3,y\n", b',');
        assert_eq!(rows[0], (1, Ok(vec!["1".into(), "x".into()])));
        assert_eq!(rows[1], (2, Err("a quote is not closed")));
        assert_eq!(rows[2], (3, Ok(vec!["3".into(), "y".into()])));
    }

    #[test]
    fn a_row_without_end_is_given_up() {
        let long = "x".repeat(MAX_ROW + 1);
        let rows = read(format!("{long}\n1,2\n").as_bytes(), b',');
        assert_eq!(rows[0], (1, Err("the row is longer than 1 MiB")));
        assert_eq!(rows[1].0, 2);
        let open = format!("\"{long}\n");
        let mut rows = Rows::new(open.as_bytes(), 1, b',', false);
        assert!(matches!(
            rows.next(&mut Vec::new()),
            Step::Broken { line: 1, .. }
        ));
    }

    #[test]
    fn the_delimiter_is_the_most_frequent_outside_quotes() {
        assert_eq!(sniff_delimiter(b"email;\"a,b,c,d\";name"), b';');
        assert_eq!(sniff_delimiter(b"email\tname"), b'\t');
        assert_eq!(sniff_delimiter(b"email"), b',');
    }

    proptest! {
        #[test]
        fn well_formed_files_read_as_the_csv_crate_reads_them(
            table in prop::collection::vec(prop::collection::vec("[a\",;\\r\\n é]{0,6}", 2..4), 1..6),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).expect("writes to memory");
            }
            let bytes = writer.into_inner().expect("writes to memory");
            let rows: Vec<_> = read(&bytes, b',').into_iter().map(|(_, row)| row.expect("well-formed")).collect();
            prop_assert_eq!(rows, table);
        }

        #[test]
        fn a_window_ends_nowhere_in_particular(text in "[a\",\\r\\n]{0,40}", cut in 0usize..40) {
            let bytes = text.as_bytes();
            let whole = read(bytes, b',');
            // Rows seen in a window that ends early are the first rows of the file.
            let mut rows = Rows::new(&bytes[..cut.min(bytes.len())], 1, b',', false);
            let (mut cells, mut index) = (Vec::new(), 0);
            while let Step::Row { line } = rows.next(&mut cells) {
                prop_assert_eq!(Some(&(line, Ok(strings(&cells)))), whole.get(index));
                index += 1;
            }
        }
    }
}
