//! Puts what belongs to one recipient's tracking into a rendered part.

use memchr::{memchr, memchr3};

use crate::engine::mark;

/// What takes the place of the marks in a rendered part.
pub(crate) struct Woven<'w> {
    pub(crate) pixel: &'w str,
    pub(crate) preheader: &'w str,
}

/// Replaces every mark. `link` is asked about each marked link and answers what
/// takes its place, or `None` to leave it byte for byte.
pub(crate) fn weave(
    rendered: &str,
    woven: &Woven<'_>,
    mut link: impl FnMut(&str) -> Option<String>,
) -> String {
    let mut result = String::with_capacity(rendered.len() + rendered.len() / 4 + 512);
    let mut rest = rendered;
    while let Some(at) = next_mark(rest) {
        result.push_str(&rest[..at]);
        let found = rest[at..].chars().next();
        rest = &rest[at + 1..];
        match found {
            Some(mark::PIXEL) => result.push_str(woven.pixel),
            Some(mark::PREHEADER) => result.push_str(woven.preheader),
            _ => {
                let end = memchr(mark::LINK_END as u8, rest.as_bytes()).unwrap_or(rest.len());
                let url = &rest[..end];
                match link(url) {
                    Some(replacement) => result.push_str(&replacement),
                    None => result.push_str(url),
                }
                rest = rest.get(end + 1..).unwrap_or_default();
            }
        }
    }
    result.push_str(rest);
    result
}

fn next_mark(text: &str) -> Option<usize> {
    memchr3(
        mark::LINK as u8,
        mark::PIXEL as u8,
        mark::PREHEADER as u8,
        text.as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced_and_vanish() {
        let woven = Woven {
            pixel: "<p>",
            preheader: "<h>",
        };
        let rendered = "a\u{4}b\u{1}keep\u{2}c\u{1}change\u{2}\u{3}é";
        let result = weave(rendered, &woven, |url| {
            (url == "change").then(|| "X".to_owned())
        });
        assert_eq!(result, "a<h>bkeepcX<p>é");
        assert_eq!(weave("no end \u{1}x", &woven, |_| None), "no end x");
    }
}
