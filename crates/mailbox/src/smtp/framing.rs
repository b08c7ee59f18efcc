//! Where lines and messages end. Strict on purpose: only CRLF ends a line, and only
//! CRLF `.` CRLF ends a message, so no other mail can be smuggled inside one.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memmem};

/// Longest command line with its CRLF. RFC 5321 asks for 512 and extensions add to it.
pub(super) const MAX_COMMAND: usize = 4096;

/// A command line taken from the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Ends in CRLF and holds no other CR, LF or NUL.
    Sound(Bytes),
    /// Has a bare CR or LF, or a NUL.
    Crooked,
    TooLong,
}

/// Takes the next line, or `None` when it is not all there. Of a line that is too long only the
/// report is kept.
pub(super) fn take_line(input: &mut BytesMut, skipping: &mut bool) -> Option<Line> {
    let Some(end) = memchr(b'\n', input) else {
        if input.len() > MAX_COMMAND {
            input.clear();
            *skipping = true;
        }
        return None;
    };
    let line = input.split_to(end + 1).freeze();
    if std::mem::take(skipping) || line.len() > MAX_COMMAND {
        return Some(Line::TooLong);
    }
    let content = line.strip_suffix(b"\r\n");
    let sound =
        content.is_some_and(|content| !content.iter().any(|o| matches!(o, b'\r' | b'\n' | 0)));
    Some(if sound {
        Line::Sound(line)
    } else {
        Line::Crooked
    })
}

/// Finds the end of a message in input that keeps growing, without reading any octet twice.
#[derive(Debug)]
pub(super) struct MessageEnd {
    /// How far the input has been searched.
    searched: usize,
    limit: usize,
    /// Octets let go since the message passed its limit.
    discarded: usize,
}

/// A message that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Message(Bytes),
    TooBig,
}

const END: &[u8] = b"\r\n.\r\n";

impl MessageEnd {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            searched: 0,
            limit,
            discarded: 0,
        }
    }

    /// Takes the whole message once it is there, its stuffed dots removed.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Option<Received> {
        let begins = self.searched == 0 && self.discarded == 0;
        if begins && input.starts_with(&END[2..]) {
            let _ = input.split_to(3);
            return Some(Received::Message(Bytes::new()));
        }
        let from = self.searched.saturating_sub(END.len() - 1);
        let Some(found) = memmem::find(&input[from..], END) else {
            self.keep_searching(input);
            return None;
        };
        let message = input.split_to(from + found + END.len()).freeze();
        let message = message.slice(..message.len() - 3);
        if self.discarded > 0 || message.len() > self.limit {
            return Some(Received::TooBig);
        }
        Some(Received::Message(unstuff(message)))
    }

    fn keep_searching(&mut self, input: &mut BytesMut) {
        // An input of fewer octets than `.CRLF` may still turn out to be the empty message.
        if self.discarded == 0 && input.len() < 3 {
            return;
        }
        self.searched = input.len();
        // The message ends at most two octets before its end mark is complete.
        if input.len() > self.limit + 2 {
            let gone = input.len() - (END.len() - 1);
            let _ = input.split_to(gone);
            self.discarded += gone;
            self.searched = input.len();
        }
    }
}

/// Removes the dot that the sender put before each line that begins with one.
fn unstuff(message: Bytes) -> Bytes {
    let first = usize::from(message.starts_with(b"."));
    let mut dots = memmem::find_iter(&message, b"\r\n.")
        .map(|at| at + 2)
        .peekable();
    if dots.peek().is_none() {
        return message.slice(first..);
    }
    let mut clean = BytesMut::with_capacity(message.len());
    let mut from = first;
    for dot in dots {
        clean.extend_from_slice(&message[from..dot]);
        from = dot + 1;
    }
    clean.extend_from_slice(&message[from..]);
    clean.freeze()
}

/// Whether no line is longer than `limit` octets.
pub(super) fn lines_fit(message: &[u8], limit: usize) -> bool {
    let mut start = 0;
    for end in memmem::find_iter(message, b"\r\n") {
        if end - start > limit {
            return false;
        }
        start = end + 2;
    }
    message.len() - start <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the input in pieces of every size and gives what was taken and what was left.
    fn fed(input: &[u8], limit: usize) -> (Option<Received>, Vec<u8>) {
        let mut results: Vec<(Option<Received>, Vec<u8>)> = Vec::new();
        for piece in 1..=input.len() {
            let (mut end, mut buffer, mut received) =
                (MessageEnd::new(limit), BytesMut::new(), None);
            for chunk in input.chunks(piece) {
                buffer.extend_from_slice(chunk);
                if received.is_none() {
                    received = end.take(&mut buffer);
                }
            }
            results.push((received, buffer.to_vec()));
        }
        let first = results.swap_remove(0);
        if first.0.is_some() {
            let odd = results.iter().position(|other| *other != first);
            assert_eq!(
                odd, None,
                "pieces of this size and two differ from single octets"
            );
        }
        first
    }

    fn message(text: &str) -> Option<Received> {
        Some(Received::Message(Bytes::copy_from_slice(text.as_bytes())))
    }

    #[test]
    fn a_message_ends_at_crlf_dot_crlf_and_loses_its_stuffing() {
        assert_eq!(
            fed(b"a\r\n.\r\nQUIT\r\n", 99),
            (message("a\r\n"), b"QUIT\r\n".to_vec())
        );
        assert_eq!(
            fed(b".\r\nQUIT\r\n", 99),
            (message(""), b"QUIT\r\n".to_vec())
        );
        assert_eq!(fed(b"\r\n.\r\n", 99).0, message("\r\n"));
        assert_eq!(
            fed(b"..a\r\n..\r\n...\r\nb.c\r\n.\r\n", 99).0,
            message(".a\r\n.\r\n..\r\nb.c\r\n")
        );
        assert_eq!(fed(b"a\r\n..\r\n.\r\n", 99).0, message("a\r\n.\r\n"));
    }

    #[test]
    fn nothing_else_ends_a_message() {
        for trick in [
            "\n.\n",
            "\n.\r\n",
            "\r.\r",
            "\r\n.\n",
            "\r.\r\n",
            "\r\n.\r",
            "\r\n.\r\r\n",
            "\n.\r\r\n",
        ] {
            let input = format!("a{trick}MAIL FROM:<evil@x.y>\r\n.\r\n");
            let (received, rest) = fed(input.as_bytes(), 999);
            let Some(Received::Message(text)) = received else {
                panic!("{trick:?}")
            };
            assert!(text.ends_with(b"MAIL FROM:<evil@x.y>\r\n"), "{trick:?}");
            assert!(rest.is_empty(), "{trick:?}");
        }
    }

    /// The end of a message, octet by octet as RFC 5321 tells it.
    fn by_the_book(input: &[u8]) -> Option<(Vec<u8>, usize)> {
        let (mut message, mut from) = (Vec::new(), 0);
        while let Some(length) = input[from..].windows(2).position(|pair| pair == b"\r\n") {
            let line = &input[from..from + length];
            from += length + 2;
            match line {
                b"." => return Some((message, from)),
                [b'.', rest @ ..] => message.extend_from_slice(rest),
                line => message.extend_from_slice(line),
            }
            message.extend_from_slice(b"\r\n");
        }
        None
    }

    #[test]
    fn every_short_input_is_read_by_the_book() {
        let letters = b"a.\r\n";
        for number in 0..4_usize.pow(9) {
            let input: Vec<u8> = (0..9).map(|at| letters[number >> (2 * at) & 3]).collect();
            let (mut end, mut buffer) = (MessageEnd::new(99), BytesMut::new());
            let mut received = None;
            for octet in &input {
                buffer.extend_from_slice(&[*octet]);
                received = received.or_else(|| end.take(&mut buffer));
            }
            let expected = by_the_book(&input);
            let rest = expected.as_ref().map(|(_, from)| input[*from..].to_vec());
            let message = expected.map(|(message, _)| Received::Message(message.into()));
            assert_eq!(received, message, "{:?}", input.escape_ascii().to_string());
            assert!(
                rest.is_none_or(|rest| rest == buffer),
                "{:?}",
                input.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_message_past_the_limit_is_let_go_and_its_end_still_found() {
        let mut input = vec![b'x'; 300];
        input.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
        assert_eq!(
            fed(&input, 301),
            (Some(Received::TooBig), b"QUIT\r\n".to_vec())
        );
        assert!(matches!(fed(&input, 302).0, Some(Received::Message(text)) if text.len() == 302));

        let (mut end, mut buffer) = (MessageEnd::new(100), BytesMut::new());
        for _ in 0..1000 {
            buffer.extend_from_slice(&[b'x'; 64]);
            assert_eq!(end.take(&mut buffer), None);
            assert!(buffer.len() < 200, "what is too big is not kept");
        }
    }

    #[test]
    fn lines_are_taken_whole_and_judged() {
        let mut skipping = false;
        let mut take = |input: &mut BytesMut| take_line(input, &mut skipping);
        let mut input = BytesMut::from(&b"NOOP\r\nNO\nA\rB\r\nA\0B\r\nHAL"[..]);
        assert_eq!(
            take(&mut input),
            Some(Line::Sound(Bytes::from_static(b"NOOP\r\n")))
        );
        assert_eq!(take(&mut input), Some(Line::Crooked));
        assert_eq!(take(&mut input), Some(Line::Crooked));
        assert_eq!(take(&mut input), Some(Line::Crooked));
        assert_eq!(take(&mut input), None);
        assert_eq!(&input[..], b"HAL");

        let mut input = BytesMut::from(&[b'x'; MAX_COMMAND + 1][..]);
        assert_eq!(take(&mut input), None);
        assert!(input.is_empty());
        input.extend_from_slice(b"xx\r\nNOOP\r\n");
        assert_eq!(take(&mut input), Some(Line::TooLong));
        assert_eq!(
            take(&mut input),
            Some(Line::Sound(Bytes::from_static(b"NOOP\r\n")))
        );
    }

    #[test]
    fn line_lengths_are_counted_without_their_end() {
        assert!(lines_fit(b"", 3));
        assert!(lines_fit(b"abc\r\nabc\r\n", 3));
        assert!(!lines_fit(b"abc\r\nabcd\r\n", 3));
        assert!(!lines_fit(b"abcd", 3));
        assert!(!lines_fit(b"a\nbc", 3), "a bare LF ends no line");
    }
}
