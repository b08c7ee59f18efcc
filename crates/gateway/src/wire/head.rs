//! The head of a message: read strictly, kept in one piece of memory.

use actix_web::http::Method;

use super::{Framing, Lines};

/// The longest path with its query.
pub(crate) const LONGEST_URI: usize = 8 * 1024;
/// The longest head, and most lines in it.
const LONGEST: usize = 32 * 1024;
const MOST: usize = 100;

/// Why a head cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the request is not HTTP: {0}")]
    Syntax(&'static str),
    #[error("the address is longer than {LONGEST_URI} bytes")]
    UriTooLong,
    #[error("the request's head is longer than {LONGEST} bytes or has more than {MOST} lines")]
    TooLarge,
    #[error("this version of HTTP is not spoken here")]
    Version,
    #[error("the request does not say clearly how long its body is: {0}")]
    Length(&'static str),
}

/// The head of a request.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: Method,
    target: String,
    /// Where the path ends in `target`.
    path: usize,
    lines: Lines,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    /// 0 for HTTP/1.0, 2 for HTTP/2.
    pub(crate) version: u8,
    /// The client waits for a word before it sends the body.
    pub(crate) expects: bool,
}

impl Head {
    /// Reads a head from the front of `bytes` and says how long it was; nothing until it is whole.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        // Empty lines before a request are a leftover of old clients (RFC 9112 §2.2).
        let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        let bytes = &bytes[skipped..];
        let Some(length) = head_length(bytes)? else {
            return Ok(None);
        };
        let mut lines = [httparse::EMPTY_HEADER; MOST];
        let mut request = httparse::Request::new(&mut lines);
        match request.parse(&bytes[..length]) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Malformed::Syntax("it ends too early")),
            Err(error) => return Err(reason(error)),
        }
        self.method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
            .map_err(|_| Malformed::Syntax("the method"))?;
        self.version = request.version.unwrap_or(0);
        self.aim(request.path.unwrap_or_default())?;
        self.lines.clear();
        for line in request.headers {
            self.lines.push(line.name.as_bytes(), line.value);
        }
        self.understand()?;
        Ok(Some(skipped + length))
    }

    /// A head that came in another way than as text.
    pub(crate) fn assemble<'a>(
        method: Method,
        target: &str,
        lines: impl Iterator<Item = (&'a str, &'a [u8])>,
        ended: bool,
    ) -> Result<Self, Malformed> {
        let mut head = Self {
            method,
            version: 2,
            keep_alive: true,
            ..Self::default()
        };
        head.aim(target)?;
        for (name, value) in lines {
            head.lines.push(name.as_bytes(), value);
        }
        head.framing = match (ended, length(&head.lines)?) {
            (true, _) => Framing::None,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Chunked,
        };
        Ok(head)
    }

    /// Takes the target; of the absolute form only the path counts.
    fn aim(&mut self, target: &str) -> Result<(), Malformed> {
        if target.len() > LONGEST_URI {
            return Err(Malformed::UriTooLong);
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed::Syntax("the address"));
        }
        let path = match target.split_once("://") {
            Some(("http" | "https", rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
            _ => target,
        };
        let path = path.split('#').next().unwrap_or_default();
        self.target.clear();
        if path.starts_with('?') {
            self.target.push('/');
        }
        self.target.push_str(path);
        self.path = self.target.find('?').unwrap_or(self.target.len());
        Ok(())
    }

    /// What the lines say about this connection and the body.
    fn understand(&mut self) -> Result<(), Malformed> {
        let modern = self.version >= 1;
        let (mut close, mut keep, mut hosts) = (false, false, 0);
        for value in self.lines.all("connection") {
            close |= has_word(value, "close");
            keep |= has_word(value, "keep-alive");
        }
        hosts += self.lines.all("host").count();
        if hosts > 1 || (modern && hosts == 0) {
            return Err(Malformed::Syntax("it needs one Host"));
        }
        self.keep_alive = !close && (modern || keep);
        self.framing = framing(&self.lines, modern)?.unwrap_or(Framing::None);
        let expect = self.lines.get("expect");
        self.expects = modern && expect.is_some_and(|it| it.eq_ignore_ascii_case(b"100-continue"));
        Ok(())
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn path(&self) -> &str {
        &self.target[..self.path]
    }

    #[cfg(test)]
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.get(self.path + 1..)
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.lines.get(name)
    }

    /// A value as text; what is no text is not there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.lines.get(name)?).ok()
    }

    /// Whether the client asks to speak WebSocket from here on. Other protocols, such as HTTP/2
    /// without TLS, would let requests pass that nobody looks at.
    pub(crate) fn asks_for_websocket(&self) -> bool {
        self.version == 1
            && self.method == Method::GET
            && self.framing == Framing::None
            && self
                .lines
                .all("connection")
                .any(|value| has_word(value, "upgrade"))
            && self
                .lines
                .get("upgrade")
                .is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"))
    }
}

/// The head of an answer; its lines are kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    /// How long the head is.
    pub(crate) length: usize,
    /// Nothing: until the connection is closed.
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
}

impl AnswerHead {
    /// Reads one from the front of `bytes`; nothing until it is whole.
    pub(crate) fn read(bytes: &[u8], lines: &mut Lines) -> Result<Option<Self>, Malformed> {
        let Some(length) = head_length(bytes)? else {
            return Ok(None);
        };
        let mut parsed = [httparse::EMPTY_HEADER; MOST];
        let mut answer = httparse::Response::new(&mut parsed);
        match answer.parse(&bytes[..length]) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Malformed::Syntax("it ends too early")),
            Err(error) => return Err(reason(error)),
        }
        let modern = answer.version == Some(1);
        lines.clear();
        for line in answer.headers {
            lines.push(line.name.as_bytes(), line.value);
        }
        let said = |word| lines.all("connection").any(|value| has_word(value, word));
        let framing = framing(lines, modern)?;
        Ok(Some(Self {
            status: answer.code.unwrap_or(502),
            length,
            keep_alive: framing.is_some() && !said("close") && (modern || said("keep-alive")),
            framing: framing.unwrap_or(Framing::UntilClose),
        }))
    }
}

/// How long the head at the front is, once it is whole. Lines end with CR LF and nothing else:
/// whoever takes a bare LF reads other lines than who does not.
fn head_length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut line = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        if at == line || bytes[at - 1] != b'\r' {
            return Err(Malformed::Syntax("a line does not end with CR LF"));
        }
        if at == line + 1 {
            let length = at + 1;
            return (length <= LONGEST)
                .then_some(Some(length))
                .ok_or(Malformed::TooLarge);
        }
        if line == 0 && at > LONGEST_URI + 64 {
            return Err(Malformed::UriTooLong);
        }
        line = at + 1;
    }
    if line == 0 && bytes.len() > LONGEST_URI + 64 {
        return Err(Malformed::UriTooLong);
    }
    match bytes.len() {
        long if long > LONGEST => Err(Malformed::TooLarge),
        _ => Ok(None),
    }
}

fn reason(error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::TooManyHeaders => Malformed::TooLarge,
        httparse::Error::Version => Malformed::Version,
        httparse::Error::HeaderName => Malformed::Syntax("the name of a header"),
        httparse::Error::HeaderValue => Malformed::Syntax("the value of a header"),
        httparse::Error::NewLine => Malformed::Syntax("the end of a line"),
        httparse::Error::Status => Malformed::Syntax("the status"),
        httparse::Error::Token => Malformed::Syntax("its first line"),
    }
}

/// How long the lines say that the body is, if they do (RFC 9112 §6.3). Two answers are one too
/// many, even where they agree.
fn framing(lines: &Lines, modern: bool) -> Result<Option<Framing>, Malformed> {
    let mut encodings = lines.all("transfer-encoding");
    let length = length(lines)?;
    match (encodings.next(), encodings.next(), length) {
        (None, _, length) => Ok(length.map(Framing::Length)),
        (Some(_), _, Some(_)) => Err(Malformed::Length(
            "it has both a Content-Length and a Transfer-Encoding",
        )),
        (Some(encoding), None, None) if modern && encoding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Some(Framing::Chunked))
        }
        _ => Err(Malformed::Length("its Transfer-Encoding is not `chunked`")),
    }
}

fn length(lines: &Lines) -> Result<Option<u64>, Malformed> {
    let mut lengths = lines.all("content-length");
    let Some(value) = lengths.next() else {
        return Ok(None);
    };
    let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    if !digits || lengths.next().is_some() {
        return Err(Malformed::Length("its Content-Length is not one number"));
    }
    let number = |sum: u64, digit: &u8| sum * 10 + u64::from(digit - b'0');
    Ok(Some(value.iter().fold(0, number)))
}

/// Whether a list of words, separated by commas, has this one.
pub(crate) fn has_word(list: &[u8], word: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, Malformed> {
        let mut head = Head::default();
        let length = head.read(text.as_bytes())?.expect("a whole head");
        assert!(length <= text.len());
        Ok(head)
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Name:  y \r\n\r\nGET /next";
        let mut head = Head::default();
        for end in 0..text.len() - 9 {
            assert_eq!(head.read(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        assert_eq!(head.read(text.as_bytes()), Ok(Some(text.len() - 9)));
        assert_eq!(
            (head.path(), head.query(), head.target()),
            ("/a/b", Some("c=d"), "/a/b?c=d")
        );
        assert_eq!(head.text("x-name"), Some("y"));
        assert!(head.keep_alive && head.framing == Framing::None);
    }

    #[test]
    fn of_an_absolute_target_the_path_counts() {
        for (target, path) in [
            ("http://a.b/c?d", "/c?d"),
            ("http://a.b", "/"),
            ("http://a.b?c", "/?c"),
            ("/x#y", "/x"),
        ] {
            let head = read(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).expect(target);
            assert_eq!(head.target(), path);
        }
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "X: y\0\r\n",
            "Host: y\r\n",
            "no colon\r\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
            assert!(read(&text).is_err(), "{lines:?}");
        }
        assert!(read("GET / HTTP/1.1\r\n\r\n").is_err(), "no Host");
        assert!(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert_eq!(
            read("GET / HTTP/3.0\r\nHost: x\r\n\r\n").err(),
            Some(Malformed::Version)
        );
    }

    #[test]
    fn heads_end_somewhere() {
        let long = format!(
            "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
            "x".repeat(LONGEST_URI)
        );
        assert_eq!(read(&long).err(), Some(Malformed::UriTooLong));
        let endless = "x".repeat(LONGEST_URI + 65);
        let mut head = Head::default();
        assert_eq!(head.read(endless.as_bytes()), Err(Malformed::UriTooLong));
        let many = format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "a: b\r\n".repeat(MOST)
        );
        assert_eq!(read(&many).err(), Some(Malformed::TooLarge));
        let wide = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LONGEST));
        assert_eq!(head.read(wide.as_bytes()), Err(Malformed::TooLarge));
    }

    #[test]
    fn old_clients_are_asked_whether_they_stay() {
        let stays = |text: &str| read(text).expect(text).keep_alive;
        assert!(!stays("GET / HTTP/1.0\r\n\r\n"));
        assert!(stays("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        assert!(!stays(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n"
        ));
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let mut lines = Lines::default();
        let text = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody";
        let head = AnswerHead::read(text, &mut lines)
            .expect("well-formed")
            .expect("whole");
        assert_eq!((head.status, head.length), (200, text.len() - 4));
        assert_eq!(
            (head.framing, head.keep_alive),
            (Framing::UntilClose, false)
        );
        assert!(AnswerHead::read(b"SMTP ready\r\n\r\n", &mut lines).is_err());
    }
}
