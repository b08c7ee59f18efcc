//! Where a body ends (RFC 9112 §6 and §7).

use std::task::{Context, Poll, ready};

use tokio::io::AsyncRead;

use super::{Broken, Buffered};

/// How a body says where it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// The longest line that begins a chunk, and most bytes of a trailer.
const LONGEST_LINE: usize = 256;
const LONGEST_TRAILER: usize = 8 * 1024;

/// Where in a body a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyReader {
    Done,
    Plain(u64),
    UntilClose,
    /// Before the line that begins a chunk.
    Size,
    Chunk(u64),
    ChunkEnd,
    /// After the last chunk, with so many bytes of the trailer read.
    Trailer(usize),
}

impl BodyReader {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Plain(length),
            Framing::Chunked => Self::Size,
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) fn is_done(self) -> bool {
        self == Self::Done
    }

    /// Waits until bytes of the body lie at the front of what is unread, and says how many; none
    /// is the end of the body.
    pub(crate) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut Buffered<S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Broken>> {
        loop {
            let unread = io.unread();
            match *self {
                Self::Done => return Poll::Ready(Ok(0)),
                Self::Plain(left) | Self::Chunk(left) if !unread.is_empty() => {
                    let left = usize::try_from(left).unwrap_or(usize::MAX);
                    return Poll::Ready(Ok(left.min(unread.len())));
                }
                Self::UntilClose if !unread.is_empty() => return Poll::Ready(Ok(unread.len())),
                Self::Size => {
                    if let Some((size, used)) = chunk_size(unread)? {
                        io.consume(used);
                        *self = match size {
                            0 => Self::Trailer(0),
                            size => Self::Chunk(size),
                        };
                        continue;
                    }
                }
                Self::ChunkEnd if unread.len() >= 2 => {
                    if !unread.starts_with(b"\r\n") {
                        return Poll::Ready(Err(Broken::Malformed));
                    }
                    io.consume(2);
                    *self = Self::Size;
                    continue;
                }
                Self::Trailer(read) => {
                    if let Some(end) = memchr::memchr(b'\n', unread) {
                        let (line, read) = (&unread[..=end], read + end + 1);
                        if !line.ends_with(b"\r\n") || read > LONGEST_TRAILER {
                            return Poll::Ready(Err(Broken::Malformed));
                        }
                        *self = match line.len() {
                            2 => Self::Done,
                            _ => Self::Trailer(read),
                        };
                        io.consume(end + 1);
                        continue;
                    }
                    if read + unread.len() > LONGEST_TRAILER {
                        return Poll::Ready(Err(Broken::Malformed));
                    }
                }
                _ => {}
            }
            match ready!(io.poll_fill(cx)) {
                Ok(0) if *self == Self::UntilClose => *self = Self::Done,
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Off)),
                Ok(_) => {}
            }
        }
    }

    /// Gives up bytes of the body at the front of what is unread.
    pub(crate) fn consume<S>(&mut self, io: &mut Buffered<S>, count: usize) {
        io.consume(count);
        let count = count as u64;
        *self = match *self {
            Self::Plain(left) if left == count => Self::Done,
            Self::Plain(left) => Self::Plain(left - count),
            Self::Chunk(left) if left == count => Self::ChunkEnd,
            Self::Chunk(left) => Self::Chunk(left - count),
            other => other,
        };
    }
}

/// The size of the chunk that begins here, and how long its line is; nothing until it is whole.
fn chunk_size(bytes: &[u8]) -> Result<Option<(u64, usize)>, Broken> {
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return match bytes.len() < LONGEST_LINE {
            true => Ok(None),
            false => Err(Broken::Malformed),
        };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Broken::Malformed)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    if !(1..=15).contains(&digits.len()) || line.contains(&b'\r') {
        return Err(Broken::Malformed);
    }
    let mut size = 0;
    for digit in digits {
        let digit = (*digit as char).to_digit(16).ok_or(Broken::Malformed)?;
        size = size * 16 + u64::from(digit);
    }
    Ok(Some((size, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(framing: Framing, text: &[u8]) -> Result<(Vec<u8>, usize), Broken> {
        let mut io = Buffered::new(text);
        let (mut reader, mut body) = (BodyReader::new(framing), Vec::new());
        loop {
            match std::future::poll_fn(|cx| reader.poll(&mut io, cx)).await? {
                0 => break,
                count => {
                    body.extend_from_slice(&io.unread()[..count]);
                    reader.consume(&mut io, count);
                }
            }
        }
        Ok((body, io.unread().len()))
    }

    #[tokio::test]
    async fn bodies_end_where_they_say() {
        let cases: [(Framing, &[u8], &[u8], usize); 5] = [
            (Framing::None, b"next", b"", 0),
            (Framing::Length(3), b"bodynext", b"bod", 5),
            (
                Framing::Chunked,
                b"3\r\nbod\r\n1;x=y\r\ny\r\n0\r\nA: b\r\n\r\nnext",
                b"body",
                4,
            ),
            (Framing::UntilClose, b"all of it", b"all of it", 0),
            (Framing::Chunked, b"0\r\n\r\n", b"", 0),
        ];
        for (framing, text, body, left) in cases {
            let read = read(framing, text).await;
            assert_eq!(read, Ok((body.to_vec(), left)), "{framing:?}");
        }
    }

    #[tokio::test]
    async fn strange_chunks_break_a_body() {
        for text in [
            "-1\r\nx\r\n0\r\n\r\n",
            "g\r\nx",
            "fffffffffffffffff\r\nx",
            "1\r\nxx\r\n0\r\n\r\n",
            "1\nx\r\n0\r\n\r\n",
            " 1\r\nx\r\n0\r\n\r\n",
            "\r\nx",
            "0x1\r\nx\r\n0\r\n\r\n",
            "0\r\nA: b\n\r\n",
        ] {
            let read = read(Framing::Chunked, text.as_bytes()).await;
            assert_eq!(read, Err(Broken::Malformed), "{text:?}");
        }
        let endless = "1;".repeat(LONGEST_LINE);
        let read_one = read(Framing::Chunked, endless.as_bytes()).await;
        assert_eq!(read_one, Err(Broken::Malformed));
        for text in ["", "3\r\nbo", "3\r\nbod", "3\r\nbod\r\n", "0\r\n"] {
            let read = read(Framing::Chunked, text.as_bytes()).await;
            assert_eq!(read, Err(Broken::Off), "{text:?}");
        }
        assert_eq!(read(Framing::Length(9), b"half").await, Err(Broken::Off));
    }
}
