//! HTML's character references, both ways.

use std::borrow::Cow;
use std::fmt;

/// Decodes an attribute's value as a browser does; `&copy=1` in a query stays as it is.
pub(crate) fn decode_attribute(value: &str) -> Cow<'_, str> {
    htmlize::unescape_attribute(value)
}

/// Decodes text as a browser does.
pub(crate) fn decode_text(text: &str) -> Cow<'_, str> {
    htmlize::unescape(text)
}

/// Escapes for text and for quoted attribute values. `/` is left alone, unlike
/// in the engine's own escaping, so that links stay readable and mails short.
pub(crate) fn escape_into(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.write_str(&rest[..at])?;
        out.write_str(reference(rest.as_bytes()[at]))?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape_into(&mut escaped, text).expect("a String takes all that is written");
    escaped
}

/// How long the escaped text will be, before anything is allocated for it.
pub(crate) fn escaped_len(text: &str) -> usize {
    text.bytes().map(|byte| reference(byte).len().max(1)).sum()
}

fn reference(byte: u8) -> &'static str {
    match byte {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;",
        b'"' => "&quot;",
        b'\'' => "&#39;",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_decode_as_in_a_browser() {
        assert_eq!(
            decode_attribute("https:&#x2f;&#47;a/?b=1&amp;c=2&copy=3"),
            "https://a/?b=1&c=2&copy=3"
        );
        assert_eq!(decode_attribute("x&eacute;&NotEqualTilde;"), "xé≂̸");
        assert_eq!(decode_text("a&nbsp;b &lt;c&gt;"), "a\u{a0}b <c>");
    }

    #[test]
    fn escaping_is_undone_by_decoding_and_its_length_is_known() {
        let text = "a<b>&\"'é/";
        assert_eq!(escape(text), "a&lt;b&gt;&amp;&quot;&#39;é/");
        assert_eq!(escape(text).len(), escaped_len(text));
        assert_eq!(decode_attribute(&escape(text)), text);
    }
}
