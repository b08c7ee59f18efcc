//! Header lines in one piece of text, in the order they came, names in lower case.

/// It is made once for a connection and filled anew for every message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    text: Vec<u8>,
    spans: Vec<Span>,
}

/// `name: value\r\n`
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    name: u32,
    value: u32,
}

const COLON: u32 = 2;

impl Lines {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Adds a line; the value holds no line end.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(!value.contains(&b'\n'), "a value with a line end");
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text[start..].make_ascii_lowercase();
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
        // Heads are far smaller than 4 GiB.
        self.spans.push(Span {
            start: start as u32,
            name: name.len() as u32,
            value: value.len() as u32,
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.spans.iter().map(|span| {
            let name = span.start as usize..(span.start + span.name) as usize;
            let value = span.start + span.name + COLON;
            let value = value as usize..(value + span.value) as usize;
            let name = std::str::from_utf8(&self.text[name]).unwrap_or_default();
            (name, &self.text[value])
        })
    }

    /// The first value of `name`, which is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter_map(move |(known, value)| (known == name).then_some(value))
    }

    /// As it goes over the wire.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_names() {
        let mut lines = Lines::default();
        lines.push(b"Accept", b"*/*");
        lines.push(b"Set-Cookie", b"a=1");
        lines.push(b"SET-COOKIE", b"");
        assert_eq!(lines.get("accept"), Some(&b"*/*"[..]));
        let cookies: Vec<_> = lines.all("set-cookie").collect();
        assert_eq!(cookies, [&b"a=1"[..], b""]);
        assert_eq!(lines.get("cookie"), None);
        assert_eq!(
            lines.as_bytes(),
            b"accept: */*\r\nset-cookie: a=1\r\nset-cookie: \r\n"
        );
        lines.clear();
        assert_eq!(lines.iter().count(), 0);
    }
}
