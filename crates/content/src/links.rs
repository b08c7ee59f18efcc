//! Links: found when a mail is compiled, rewritten when it is rendered.

use std::collections::HashMap;
use std::ops::Range;

use crate::engine::{is_whole, mark};
use crate::entities;
use crate::html::{self, Unreadable};
use crate::problem::{Fault, Lines};
use crate::tags::Hidden;

/// A link that is the same for every recipient.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// As a browser would open it.
    pub url: String,
    /// Where it stands in the user's source, if it can be told.
    pub line: Option<usize>,
}

/// The HTML of a mail cannot be read as HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the HTML is nested too deeply")]
pub struct UnreadableHtml;

impl From<Unreadable> for UnreadableHtml {
    fn from(_: Unreadable) -> Self {
        Self
    }
}

/// What takes the place of a destination. Gets the destination and its index
/// among the destinations of the mail; `None` leaves it byte for byte.
pub type Rewrite<'f> = dyn FnMut(&str, usize) -> Option<String> + 'f;

/// Rewrites the `http` and `https` destinations of `<a href>` and `<area href>`.
///
/// Everything else stays byte for byte: other schemes, fragments, and every
/// destination that begins with one of `reserved`.
pub fn rewrite_links(
    html: &str,
    reserved: &[&str],
    mut rewrite: impl FnMut(&str, usize) -> Option<String>,
) -> Result<String, UnreadableHtml> {
    let mut desk = Desk::new(reserved.to_vec(), Some(&mut rewrite));
    Ok(rewrite_at(html, &mut desk)?)
}

pub(crate) fn rewrite_at(html: &str, desk: &mut Desk<'_>) -> Result<String, Unreadable> {
    let mut edits = Vec::new();
    for href in html::hrefs(html)? {
        if let Some(replacement) = desk.html(&html[href.range.clone()]) {
            edits.push((
                href.range,
                if href.quoted {
                    replacement
                } else {
                    format!("\"{replacement}\"")
                },
            ));
        }
    }
    Ok(html::splice(html, &edits))
}

/// Decides about the links of one mail, one after the other.
pub(crate) struct Desk<'f> {
    reserved: Vec<&'f str>,
    rewrite: Option<&'f mut Rewrite<'f>>,
    /// Destinations that were asked about.
    count: usize,
    /// What was decided, by destination.
    decided: HashMap<String, Option<String>>,
}

impl<'f> Desk<'f> {
    pub(crate) fn new(reserved: Vec<&'f str>, rewrite: Option<&'f mut Rewrite<'f>>) -> Self {
        Self {
            reserved,
            rewrite,
            count: 0,
            decided: HashMap::new(),
        }
    }

    /// What takes the place of an attribute's value, escaped like it.
    pub(crate) fn html(&mut self, value: &str) -> Option<String> {
        self.rewrite.as_ref()?;
        let decoded = entities::decode_attribute(value);
        self.decide(&decoded)
            .map(|replacement| entities::escape(&replacement))
    }

    /// What takes the place of a link in text: the same as in the HTML part, where it is there too.
    pub(crate) fn text(&mut self, url: &str) -> Option<String> {
        match self.decided.get(url) {
            Some(decision) => decision.clone(),
            None => self.decide(url),
        }
    }

    fn decide(&mut self, value: &str) -> Option<String> {
        let rewrite = self.rewrite.as_mut()?;
        let url = value.trim_matches(|letter: char| letter.is_ascii_whitespace());
        if !is_web(url)
            || self
                .reserved
                .iter()
                .any(|reserved| url.starts_with(reserved))
        {
            return None;
        }
        let decision = rewrite(url, self.count);
        self.count += 1;
        self.decided
            .entry(url.to_owned())
            .or_insert_with(|| decision.clone());
        decision
    }
}

pub(crate) fn is_web(url: &str) -> bool {
    let starts = |scheme: &str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("http://") || starts("https://")
}

/// The links of a template, marked so that each is found again once it is rendered.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub(crate) edits: Vec<(Range<usize>, String)>,
    pub(crate) links: Vec<Link>,
    pub(crate) warnings: Vec<Fault>,
}

/// Marks the links of an HTML template. `place` tells where a piece of it was written.
pub(crate) fn mark_html(
    html: &str,
    hidden: &Hidden<'_>,
    place: impl Fn(&Range<usize>) -> Option<usize>,
) -> Result<Marked, Unreadable> {
    let mut marked = Marked::default();
    let lines = Lines::of(hidden.source());
    for href in html::hrefs(html)? {
        let value = &html[href.range.clone()];
        let is_static = hidden.next_word(value).is_none();
        let url = entities::decode_attribute(value);
        let url = url.trim_matches(|letter: char| letter.is_ascii_whitespace());
        if is_static && !is_web(url) {
            let at = place(&href.range);
            let doubt = doubt(url).map(|message| Fault {
                at,
                code: "link_without_scheme",
                message,
            });
            marked.warnings.extend(doubt);
            continue;
        }
        if is_static {
            let line = place(&href.range).map(|at| lines.line(at));
            marked.links.push(Link {
                url: url.to_owned(),
                line,
            });
        }
        marked.edits.push((href.range.clone(), enclosed(value)));
    }
    Ok(marked)
}

/// Marks the addresses in a plain-text template.
pub(crate) fn mark_text(hidden: &Hidden<'_>) -> Marked {
    let (text, mut at, mut marked) = (hidden.text.as_str(), 0, Marked::default());
    let lines = Lines::of(hidden.source());
    while let Some(found) = text[at..].find("http") {
        let start = at + found;
        at = start + 4;
        if !is_web(&text[start..]) {
            continue;
        }
        let url = address(&text[start..], hidden);
        if !is_web(url) {
            continue;
        }
        if hidden.next_word(url).is_none() {
            let line = Some(lines.line(hidden.origin(start)));
            marked.links.push(Link {
                url: url.to_owned(),
                line,
            });
        }
        at = start + url.len();
        marked.edits.push((start..at, enclosed(url)));
    }
    marked
}

fn enclosed(value: &str) -> String {
    format!("{}{value}{}", mark::LINK, mark::LINK_END)
}

/// A longer run of letters is no address that a person wrote.
const MAX_ADDRESS: usize = 2_048;

/// The address that `text` begins with: up to white space or a bracket, without
/// the punctuation of the sentence around it.
fn address<'t>(text: &'t str, hidden: &Hidden<'_>) -> &'t str {
    let stops = |letter: char| {
        letter.is_whitespace() || letter.is_control() || matches!(letter, '<' | '>' | '"')
    };
    let reach = &text[..text.floor_char_boundary(MAX_ADDRESS)];
    let mut url = match reach.find(stops) {
        Some(end) => &reach[..end],
        None if reach.len() < text.len() => "",
        None => reach,
    };
    if hidden.has_silent(url) && !is_whole(&hidden.reveal(url).source) {
        url = &url[..hidden.first_silent(url).unwrap_or(url.len())];
    }
    while let Some(last) = url.chars().next_back() {
        let loose = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' => true,
            ')' => url.matches(')').count() > url.matches('(').count(),
            ']' => url.matches(']').count() > url.matches('[').count(),
            _ => false,
        };
        if !loose {
            break;
        }
        url = &url[..url.len() - last.len_utf8()];
    }
    url
}

/// Why a static destination that is not on the web will not work from a mail.
fn doubt(url: &str) -> Option<String> {
    if url.is_empty() {
        return Some("a link has no destination".to_owned());
    }
    let scheme = url.split_once(':').map(|parts| parts.0);
    let has_scheme = scheme.is_some_and(|scheme| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    });
    match url.starts_with('#') || has_scheme {
        true => None,
        false => Some(format!(
            "the link `{url}` leads nowhere from a mail; begin it with https://"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(html: &str) -> String {
        rewrite_links(html, &["https://u.example/u/"], |url, index| {
            Some(format!("https://t/{index}?u={url}&x"))
        })
        .unwrap()
    }

    #[test]
    fn only_web_destinations_are_rewritten_and_all_else_stays() {
        let html = "<a\n HREF='https://a/?b=1&amp;c=2#d'  class=x>A</a ><a href=mailto:a@b>m</a>\
            <a href=\"#f\">f</a><a href=\"https://u.example/u/1\">u</a><a href=tel:1>t</a><img src=https://i>";
        assert_eq!(
            rewritten(html),
            "<a\n HREF='https://t/0?u=https://a/?b=1&amp;c=2#d&amp;x'  class=x>A</a ><a href=mailto:a@b>m</a>\
             <a href=\"#f\">f</a><a href=\"https://u.example/u/1\">u</a><a href=tel:1>t</a><img src=https://i>"
        );
    }

    #[test]
    fn a_value_without_quotes_gets_them() {
        assert_eq!(
            rewritten("<a href=https://a>x</a>"),
            "<a href=\"https://t/0?u=https://a&amp;x\">x</a>"
        );
    }

    #[test]
    fn destinations_reach_the_callback_as_a_browser_would_open_them() {
        let mut seen = Vec::new();
        let html = "<a href=\"https:&#x2f;&#x2f;a.example/é?q=%20a+b&amp;r=1&copy=2#frag\"><area href=' HTTP://B '>";
        let same = rewrite_links(html, &[], |url, index| {
            seen.push((url.to_owned(), index));
            None
        });
        assert_eq!(same.unwrap(), html);
        assert_eq!(
            seen,
            [
                ("https://a.example/é?q=%20a+b&r=1&copy=2#frag".to_owned(), 0),
                ("HTTP://B".to_owned(), 1)
            ]
        );
    }

    fn addresses(source: &str) -> Vec<String> {
        let hidden = Hidden::new(source);
        let marked = mark_text(&hidden);
        marked
            .edits
            .iter()
            .map(|(range, _)| hidden.reveal(&hidden.text[range.clone()]).source)
            .collect()
    }

    #[test]
    fn addresses_in_text_end_before_the_punctuation_around_them() {
        assert_eq!(
            addresses("See https://a.b/c, (http://d/e_(f)) or <https://g?h={{ x }}>."),
            ["https://a.b/c", "http://d/e_(f)", "https://g?h={{ x }}"]
        );
        assert_eq!(
            addresses("{% if a %}https://a{% else %}https://b.{% endif %}"),
            ["https://a", "https://b"]
        );
        assert_eq!(
            addresses("https://a/{% if x %}y{% endif %} http https:/"),
            ["https://a/{% if x %}y{% endif %}"]
        );
    }
}
