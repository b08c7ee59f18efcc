//! Quoted-printable (RFC 2045 §6.7): seven-bit, short lines, nothing that SMTP could take for its
//! own.

/// Longest encoded line without its CRLF.
const LINE: usize = 76;

/// Octets that stand for themselves, also at the end of a line. `.` and `F` are missing where a
/// line begins; see `encode`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet = 0x21;
    while octet < 0x7f {
        plain[octet] = octet != b'=' as usize;
        octet += 1;
    }
    plain
};

/// Appends `text`, every line break as CRLF; the last line is ended too.
pub(super) fn encode(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        line(&rest[..end], out);
        let ending = &rest[end..];
        start += end + if ending.starts_with(b"\r\n") { 2 } else { 1 };
    }
}

fn line(bytes: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    let mut at = 0;
    while at < bytes.len() {
        let run = plain_run(&bytes[at..], column);
        if run > 0 {
            out.extend_from_slice(&bytes[at..at + run]);
            (at, column) = (at + run, column + run);
            continue;
        }
        let last = at + 1 == bytes.len();
        let width = width(bytes[at], column, last);
        // A soft break takes the last column.
        if column + width > LINE - usize::from(!last) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
            continue;
        }
        push(bytes[at], width, out);
        (at, column) = (at + 1, column + width);
    }
    out.extend_from_slice(b"\r\n");
}

/// How many octets can be copied at once: plain ones, and spaces that more follows on this line.
fn plain_run(bytes: &[u8], column: usize) -> usize {
    // The first and the last octet of a line have rules of their own.
    if column == 0 {
        return 0;
    }
    let room = (LINE - 1).saturating_sub(column);
    let window = &bytes[..bytes.len().min(room)];
    let run = window
        .iter()
        .position(|octet| !PLAIN[usize::from(*octet)] && *octet != b' ')
        .unwrap_or(window.len());
    // Do not end on a space: it could be the line's last octet.
    let trailing = window[..run]
        .iter()
        .rev()
        .take_while(|octet| **octet == b' ')
        .count();
    run - trailing
}

/// Columns that an octet takes. A dot that begins a line is encoded, so that no transport needs
/// to stuff it; so is the `F` of `From `, which mail stores change.
fn width(octet: u8, column: usize, last: bool) -> usize {
    let plain = match octet {
        b'.' | b'F' => column > 0,
        b' ' | b'\t' => !last,
        other => PLAIN[usize::from(other)],
    };
    if plain { 1 } else { 3 }
}

fn push(octet: u8, width: usize, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if width == 1 {
        out.push(octet);
    } else {
        out.extend([
            b'=',
            HEX[usize::from(octet >> 4)],
            HEX[usize::from(octet & 15)],
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        encode(text, &mut out);
        String::from_utf8(out).expect("it is ASCII")
    }

    /// RFC 2045 §6.7 read the other way round.
    fn decoded(text: &str) -> String {
        let joined = text.replace("=\r\n", "");
        let mut octets = Vec::new();
        let mut rest = joined.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            if *first == b'=' {
                let hex = std::str::from_utf8(&after[..2]).expect("two digits");
                octets.push(u8::from_str_radix(hex, 16).expect("hexadecimal"));
                rest = &after[2..];
            } else {
                octets.push(*first);
                rest = after;
            }
        }
        String::from_utf8(octets).expect("UTF-8 comes back")
    }

    #[test]
    fn dots_and_from_at_the_beginning_of_a_line_are_hidden() {
        assert_eq!(encoded(".\nFrom me\na.b"), "=2E\r\n=46rom me\r\na.b\r\n");
    }

    #[test]
    fn spaces_at_the_end_of_a_line_survive() {
        assert_eq!(encoded("a \nb\t"), "a=20\r\nb=09\r\n");
    }

    #[test]
    fn every_line_break_becomes_crlf() {
        assert_eq!(encoded("a\rb\r\nc\nd\n\n"), "a\r\nb\r\nc\r\nd\r\n\r\n");
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "([ \\t.=F\\PC]{0,200}\n){0,6}") {
            let encoded = encoded(&text);
            prop_assert_eq!(decoded(&encoded), text.replace('\n', "\r\n"));
            for line in encoded.split("\r\n") {
                prop_assert!(line.len() <= LINE, "{}", line.len());
                prop_assert!(line.is_ascii() && !line.starts_with('.'));
                prop_assert!(!line.ends_with([' ', '\t']));
                prop_assert!(!line.contains(['\r', '\n']));
            }
        }
    }
}
