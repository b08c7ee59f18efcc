//! Files in a message (RFC 2045 §6.8, RFC 2183, RFC 2231).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Octets in one line of base64, which makes 76 characters.
const LINE: usize = 57;
/// Octets of a name in one piece of it; each may take three characters.
const PIECE: usize = 18;
/// A name of plain characters up to this length is written as it is.
const PLAIN: usize = 60;

/// A file of a message.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// The last part of a path, without control characters.
    pub filename: &'a str,
    /// `type/subtype`, perhaps with a charset.
    pub content_type: &'a str,
    pub content: &'a [u8],
}

impl Attachment<'_> {
    /// About how many octets it becomes.
    pub(super) fn size(&self) -> usize {
        self.content.len().div_ceil(LINE) * (LINE / 3 * 4 + 2) + 2048
    }

    /// Appends it as a part, headers and all.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Type: ");
        out.extend(visible(self.content_type));
        out.extend_from_slice(
            b"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n ",
        );
        self.name(out);
        out.extend_from_slice(b"\r\n\r\n");
        let mut line = String::with_capacity(LINE / 3 * 4);
        for octets in self.content.chunks(LINE) {
            line.clear();
            STANDARD.encode_string(octets, &mut line);
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// As a quoted string where that says it all, else in pieces of percent-encoded UTF-8.
    fn name(&self, out: &mut Vec<u8>) {
        let name: String = self.filename.chars().filter(|c| !c.is_control()).collect();
        let plain = |byte: u8| (0x20..0x7f).contains(&byte) && !b"\"\\%'*".contains(&byte);
        if name.len() <= PLAIN && name.bytes().all(plain) && !name.contains("=?") {
            out.extend_from_slice(format!("filename=\"{name}\"").as_bytes());
            return;
        }
        let pieces = pieces(&name);
        for (number, piece) in pieces.iter().enumerate() {
            let charset = if number == 0 { "utf-8''" } else { "" };
            let label = match pieces.len() {
                1 => format!("filename*={charset}"),
                _ => format!("filename*{number}*={charset}"),
            };
            if number > 0 {
                out.extend_from_slice(b";\r\n ");
            }
            out.extend_from_slice(label.as_bytes());
            for octet in piece.bytes() {
                match octet {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(octet),
                    other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
                }
            }
        }
    }
}

/// Pieces of whole characters: some readers decode each by itself.
fn pieces(name: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), name);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Without control characters, which nothing here should have.
fn visible(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(|byte| (0x20..0x7f).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(filename: &str, content: &[u8]) -> String {
        let mut out = Vec::new();
        let attachment = Attachment {
            filename,
            content_type: "application/pdf",
            content,
        };
        attachment.write(&mut out);
        assert!(out.len() <= attachment.size(), "the guess is not too small");
        String::from_utf8(out).expect("seven-bit")
    }

    #[test]
    fn names_are_quoted_or_encoded_and_never_end_the_head() {
        let part = written("Invoice 7.pdf", b"x");
        assert!(
            part.contains("\r\n filename=\"Invoice 7.pdf\"\r\n"),
            "{part}"
        );
        let part = written("Rechnung für Ö.pdf", b"x");
        assert!(
            part.contains("filename*0*=utf-8''Rechnung%20f%C3%BCr%20"),
            "{part}"
        );
        let part = written("ä.pdf", b"x");
        assert!(part.contains("filename*=utf-8''%C3%A4.pdf"), "{part}");
        let part = written("a\r\nBcc: eve@example.com\r\n\r\n\".pdf", b"x");
        assert_eq!(part.matches("\r\n\r\n").count(), 1, "{part}");
        assert!(!part.contains("\nBcc"), "{part}");
    }

    #[test]
    fn lines_are_76_characters_at_most() {
        let part = written("x", &[0xff; 1000]);
        assert!(part.split("\r\n").all(|line| line.len() <= 76), "{part}");
        assert!(
            written(&"ü".repeat(127), b"")
                .split("\r\n")
                .all(|line| line.len() <= 78)
        );
    }
}
