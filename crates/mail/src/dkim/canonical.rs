//! Relaxed canonicalisation (RFC 6376 §3.4.2 and §3.4.4).

use memchr::{memchr, memmem};

/// Head and body; the empty line between them belongs to neither.
pub(super) fn split(message: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = message.strip_prefix(b"\r\n") {
        return (b"", body);
    }
    match memmem::find(message, b"\r\n\r\n") {
        Some(at) => (&message[..at + 2], &message[at + 4..]),
        None => (message, b""),
    }
}

/// The fields of a head, each with its folds and its line end.
pub(super) struct Fields<'m>(Vec<&'m [u8]>);

impl<'m> Fields<'m> {
    pub(super) fn parse(head: &'m [u8]) -> Self {
        let (mut fields, mut begin, mut at) = (Vec::with_capacity(24), 0, 0);
        while let Some(end) = memchr(b'\n', &head[at..]) {
            at += end + 1;
            if !matches!(head.get(at), Some(b' ' | b'\t')) {
                fields.push(&head[begin..at]);
                begin = at;
            }
        }
        if begin < head.len() {
            fields.push(&head[begin..]);
        }
        Self(fields)
    }

    /// Adds all fields of a name, the last one first (§5.4.2); answers how many there are.
    pub(super) fn canonical(&self, name: &str, out: &mut Vec<u8>) -> usize {
        let named = self.0.iter().rev().filter(|field| is_named(field, name));
        named.map(|found| field(found, out)).count()
    }
}

fn is_named(field: &[u8], name: &str) -> bool {
    field
        .split_at_checked(name.len())
        .is_some_and(|(begin, rest)| {
            begin.eq_ignore_ascii_case(name.as_bytes())
                && rest.trim_ascii_start().first() == Some(&b':')
        })
}

/// One field: its name in lower case, on one line, white space as one space, none at the ends.
pub(super) fn field(field: &[u8], out: &mut Vec<u8>) {
    let colon = memchr(b':', field).unwrap_or(field.len());
    let (name, value) = field.split_at(colon);
    out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut words = value[value.len().min(1)..]
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
    out.extend_from_slice(b"\r\n");
}

/// Gives out the canonical body in parts, without a copy of it. What is canonical already, which
/// is nearly all of a mail of ours, is given out in long pieces.
pub(super) fn body(body: &[u8], mut give: impl FnMut(&[u8])) {
    let (mut same, mut at, mut blank) = (0, 0, 0);
    while at < body.len() {
        let end = memchr(b'\n', &body[at..]).map_or(body.len(), |end| at + end + 1);
        let whole = body[at..end].strip_suffix(b"\r\n");
        let line = whole.unwrap_or(&body[at..end]);
        let text = line.trim_ascii_end();
        let canonical = whole.is_some() && text.len() == line.len() && !has_runs(line);
        if text.is_empty() || !canonical {
            // Empty lines at the end do not count, so these wait for a line with text.
            give(&body[same..at]);
            same = end;
            if text.is_empty() {
                blank += 1;
            } else {
                (0..std::mem::take(&mut blank)).for_each(|_| give(b"\r\n"));
                squeezed(line, &mut give);
            }
        } else if blank > 0 {
            (0..std::mem::take(&mut blank)).for_each(|_| give(b"\r\n"));
        }
        at = end;
    }
    give(&body[same..]);
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether white space in it is more than single spaces. Without an early end, for the sake of
/// vector instructions.
fn has_runs(line: &[u8]) -> bool {
    let pairs = line.iter().zip(line.get(1..).unwrap_or_default());
    let doubled = pairs.fold(false, |found, (one, two)| {
        found | (is_space(*one) & is_space(*two))
    });
    doubled
        | line
            .iter()
            .fold(false, |found, byte| found | (*byte == b'\t'))
}

fn squeezed(line: &[u8], give: &mut impl FnMut(&[u8])) {
    let end = line.iter().rposition(|byte| !is_space(*byte));
    let line = &line[..end.map_or(0, |at| at + 1)];
    let mut rest = line;
    while !rest.is_empty() {
        if is_space(rest[0]) {
            give(b" ");
        }
        let begin = rest.iter().position(|byte| !is_space(*byte));
        rest = &rest[begin.unwrap_or(rest.len())..];
        let word = rest.iter().position(|byte| is_space(*byte));
        let (word, left) = rest.split_at(word.unwrap_or(rest.len()));
        give(word);
        rest = left;
    }
    give(b"\r\n");
}
