//! Finds places in HTML. It never writes HTML: edits are spliced into the
//! original bytes, so that whatever is not edited stays byte for byte.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use lol_html::html_content::{Element, TextType};
use lol_html::{
    ElementContentHandlers, HtmlRewriter, Selector, Settings, doc_comments, doc_text, element,
    end_tag,
};

use crate::limits::MAX_HTML_DEPTH;

/// The HTML nests too deeply to be read in bounded time. No real mail does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the HTML is nested too deeply")]
pub(crate) struct Unreadable;

/// A `href` of an `a` or an `area`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Href {
    /// The value, without its quotes.
    pub(crate) range: Range<usize>,
    pub(crate) quoted: bool,
}

/// One piece of HTML that may hold words for tags.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text between tags.
    Text(String),
    /// A quoted attribute value.
    Value(String),
    /// A comment, a style, a script or a title: text that ends where its own syntax says.
    Enclosed(String),
}

/// Reads a document. Its depth is bounded, because an end tag that fits no open
/// element is looked for among all of them: a deep document with many such tags
/// would take hours.
pub(crate) fn read<'h>(html: &str, mut settings: Settings<'h, '_>) -> Result<(), Unreadable> {
    settings.strict = false;
    settings.element_content_handlers.push(depth_limit());
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    rewriter.write(html.as_bytes()).map_err(|_| Unreadable)?;
    rewriter.end().map_err(|_| Unreadable)
}

fn depth_limit<'h, 's>() -> (Cow<'s, Selector>, ElementContentHandlers<'h>) {
    let depth = Rc::new(Cell::new(0));
    element!("*", move |tag| {
        let outside = depth.get();
        if let Some(handlers) = tag.end_tag_handlers() {
            depth.set(outside + 1);
            let depth = Rc::clone(&depth);
            // Elements inside that were never closed are closed with this one.
            handlers.push(end_tag!(move |_| {
                depth.set(outside);
                Ok(())
            }));
        }
        if outside >= MAX_HTML_DEPTH {
            Err(Box::new(Unreadable))
        } else {
            Ok(())
        }
    })
}

/// The links of a document, in order.
pub(crate) fn hrefs(html: &str) -> Result<Vec<Href>, Unreadable> {
    let mut found = Vec::new();
    let settings = Settings {
        element_content_handlers: vec![element!("a[href], area[href]", |tag| {
            found.extend(href(html, tag));
            Ok(())
        })],
        ..Settings::new()
    };
    read(html, settings)?;
    Ok(found)
}

fn href(html: &str, tag: &Element<'_, '_>) -> Option<Href> {
    let attribute = tag
        .attributes()
        .iter()
        .find(|attribute| attribute.name() == "href")?;
    let range = attribute.value_source_location()?.bytes();
    Some(Href {
        quoted: is_quoted(html, &range),
        range,
    })
}

fn is_quoted(html: &str, value: &Range<usize>) -> bool {
    let before = value.start.checked_sub(1).map(|at| html.as_bytes()[at]);
    matches!(before, Some(b'"' | b'\''))
}

/// Where the visible part of a document begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    /// After `<body>`, or where it would be.
    pub(crate) start: usize,
    /// Before `</body>`, or where it would be.
    pub(crate) end: usize,
}

pub(crate) fn body(html: &str) -> Result<Body, Unreadable> {
    let (mut start, mut after_head) = (None, 0);
    let end = Rc::new(RefCell::new(html.len()));
    let settings = Settings {
        element_content_handlers: vec![element!("html, head, body", |tag| {
            let opened = tag.source_location().bytes().end;
            let name = tag.tag_name();
            match name.as_str() {
                "body" => start = start.or(Some(opened)),
                _ => after_head = opened,
            }
            let end = Rc::clone(&end);
            if let Some(handlers) = tag.end_tag_handlers()
                && name != "head"
            {
                handlers.push(end_tag!(move |close| {
                    let mut end = end.borrow_mut();
                    *end = (*end).min(close.source_location().bytes().start);
                    Ok(())
                }));
            }
            Ok(())
        })],
        ..Settings::new()
    };
    read(html, settings)?;
    let after_head = match html
        .as_bytes()
        .to_ascii_lowercase()
        .windows(7)
        .rposition(|w| w == b"</head>")
    {
        Some(at) => after_head.max(at + 7),
        None => after_head,
    };
    let end = *end.borrow();
    let start = start.unwrap_or(after_head).min(end);
    Ok(Body { start, end })
}

/// Hands over every piece of a document in which a word for a tag is harmless,
/// provided that the tag is balanced within it. Words that are in no piece
/// stand where a tag could change what is markup and what is not.
pub(crate) fn pieces(html: &str) -> Result<Vec<Piece>, Unreadable> {
    let found = RefCell::new(Vec::new());
    let mut text = String::new();
    let settings = Settings {
        element_content_handlers: vec![element!("*", |tag| {
            for attribute in tag.attributes() {
                if let Some(place) = attribute.value_source_location()
                    && is_quoted(html, &place.bytes())
                {
                    found.borrow_mut().push(Piece::Value(attribute.value()));
                }
            }
            Ok(())
        })],
        document_content_handlers: vec![
            doc_comments!(|comment| {
                found.borrow_mut().push(Piece::Enclosed(comment.text()));
                Ok(())
            }),
            doc_text!(|chunk| {
                text.push_str(chunk.as_str());
                if chunk.last_in_text_node() {
                    let whole = std::mem::take(&mut text);
                    found.borrow_mut().push(match chunk.text_type() {
                        TextType::Data => Piece::Text(whole),
                        _ => Piece::Enclosed(whole),
                    });
                }
                Ok(())
            }),
        ],
        ..Settings::new()
    };
    read(html, settings)?;
    Ok(found.into_inner())
}

/// What a document says, in order; for making text of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Open {
        name: String,
        href: Option<String>,
        alt: Option<String>,
        shown: bool,
    },
    Close {
        name: String,
    },
    Text(String),
}

pub(crate) fn events(html: &str) -> Result<Vec<Event>, Unreadable> {
    let found = Rc::new(RefCell::new(Vec::new()));
    let (closing, speaking) = (Rc::clone(&found), Rc::clone(&found));
    let settings = Settings {
        element_content_handlers: vec![element!("*", move |tag| {
            closing.borrow_mut().push(open(tag));
            let (closing, name) = (Rc::clone(&closing), tag.tag_name());
            if let Some(handlers) = tag.end_tag_handlers() {
                handlers.push(end_tag!(move |_| {
                    closing
                        .borrow_mut()
                        .push(Event::Close { name: name.clone() });
                    Ok(())
                }));
            }
            Ok(())
        })],
        document_content_handlers: vec![doc_text!(move |chunk| {
            if matches!(chunk.text_type(), TextType::Data) {
                let mut events = speaking.borrow_mut();
                match events.last_mut() {
                    Some(Event::Text(text)) => text.push_str(chunk.as_str()),
                    _ => events.push(Event::Text(chunk.as_str().to_owned())),
                }
            }
            Ok(())
        })],
        ..Settings::new()
    };
    read(html, settings)?;
    Ok(std::mem::take(&mut *found.borrow_mut()))
}

fn open(tag: &Element<'_, '_>) -> Event {
    let style = tag.get_attribute("style").unwrap_or_default();
    let style: String = style.to_ascii_lowercase().split_whitespace().collect();
    Event::Open {
        name: tag.tag_name(),
        href: tag.get_attribute("href"),
        alt: tag.get_attribute("alt"),
        shown: !style.contains("display:none") && !tag.has_attribute("hidden"),
    }
}

/// Replaces ranges, which must not overlap and must be in order.
pub(crate) fn splice(html: &str, edits: &[(Range<usize>, String)]) -> String {
    let added: usize = edits.iter().map(|edit| edit.1.len()).sum();
    let mut spliced = String::with_capacity(html.len() + added);
    let mut done = 0;
    for (range, replacement) in edits {
        spliced.push_str(&html[done..range.start]);
        spliced.push_str(replacement);
        done = range.end;
    }
    spliced.push_str(&html[done..]);
    spliced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(html: &str) -> Vec<&str> {
        hrefs(html)
            .unwrap()
            .into_iter()
            .map(|href| &html[href.range])
            .collect()
    }

    #[test]
    fn links_are_found_where_a_browser_finds_them() {
        let html = "<A HREF='x&amp;y'>é</A><area href=z><link href=no><!-- <a href=no> -->\
                    <style><a href=no></style><a name=no><a class=\"b\" href = \"w\" href=\"no\">";
        assert_eq!(values(html), ["x&amp;y", "z", "w"]);
    }

    #[test]
    fn a_deep_document_is_refused_but_one_without_end_tags_inside_others_is_not() {
        assert_eq!(hrefs(&"<b>".repeat(MAX_HTML_DEPTH + 1)), Err(Unreadable));
        assert_eq!(hrefs(&"<b>".repeat(MAX_HTML_DEPTH)), Ok(vec![]));
        assert_eq!(
            hrefs(&"<ul><li>a<li>b</ul>".repeat(MAX_HTML_DEPTH)),
            Ok(vec![])
        );
        assert_eq!(hrefs(&"<br><img>".repeat(MAX_HTML_DEPTH)), Ok(vec![]));
    }

    #[test]
    fn the_body_is_found_or_guessed() {
        let cut = |html: &str| {
            let body = body(html).unwrap();
            html[body.start..body.end].to_owned()
        };
        assert_eq!(cut("<html><head></head><body class=x>a</body></html>"), "a");
        assert_eq!(
            cut("<!doctype html><html><head><title>t</title></head>a</html>"),
            "a"
        );
        assert_eq!(cut("<body>a"), "a");
        assert_eq!(cut("<p>a</p>"), "<p>a</p>");
        assert_eq!(cut(""), "");
    }
}
