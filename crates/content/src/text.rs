//! Plain text out of HTML, for the part of a mail that every client can show.

use crate::engine::mark;
use crate::entities;
use crate::html::{self, Event, Unreadable};
use crate::tags::{Hidden, Kind};

/// Makes text of HTML: blocks become lines, list items `- item`, links
/// `text <url>`, images their alternative text. What is not shown is left out.
pub(crate) fn from_html(html: &str) -> Result<String, Unreadable> {
    write(html, None)
}

/// The same for a template whose tags are hidden, with links marked for rewriting.
pub(crate) fn from_template(html: &str, hidden: &Hidden<'_>) -> Result<String, Unreadable> {
    write(html, Some(hidden))
}

fn write(html: &str, hidden: Option<&Hidden<'_>>) -> Result<String, Unreadable> {
    let mut writer = Writer {
        hidden,
        ..Writer::default()
    };
    for event in html::events(html)? {
        match event {
            Event::Open {
                name,
                href,
                alt,
                shown,
            } => writer.open(&name, href, alt, shown),
            Event::Close { name } => writer.close(&name),
            Event::Text(text) => writer.text(&entities::decode_text(&text)),
        }
    }
    writer.end_link();
    writer.out.push('\n');
    Ok(writer.out)
}

#[derive(Default)]
struct Writer<'a> {
    hidden: Option<&'a Hidden<'a>>,
    out: String,
    /// Line breaks that are due before the next text.
    breaks: usize,
    /// White space is due before the next text.
    space: bool,
    /// Something visible has been written.
    begun: bool,
    /// Names of open elements that are not shown; the first one hides the rest.
    unseen: Vec<String>,
    pre: usize,
    /// One entry per open list; the next number of an ordered one.
    lists: Vec<Option<usize>>,
    /// The open link and where its text begins.
    link: Option<(String, usize)>,
}

impl Writer<'_> {
    fn open(&mut self, name: &str, href: Option<String>, alt: Option<String>, shown: bool) {
        if !self.unseen.is_empty() || !shown || matches!(name, "head" | "select" | "object") {
            if !is_void(name) {
                self.unseen.push(name.to_owned());
            }
            return;
        }
        self.break_lines(lines_around(name));
        match name {
            "br" => self.breaks += 1,
            "hr" => {
                self.word("---");
                self.break_lines(1);
            }
            "img" => self.text(&entities::decode_attribute(&alt.unwrap_or_default())),
            "pre" => self.pre += 1,
            "ul" => self.lists.push(None),
            "ol" => self.lists.push(Some(1)),
            "li" => self.item(),
            "td" | "th" => self.space = true,
            "a" => {
                self.end_link();
                self.link = href.map(|href| {
                    (
                        entities::decode_attribute(&href).into_owned(),
                        self.out.len(),
                    )
                });
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        if let Some(at) = self.unseen.iter().rposition(|unseen| unseen == name) {
            self.unseen.truncate(at);
            return;
        }
        if !self.unseen.is_empty() {
            return;
        }
        match name {
            "pre" => self.pre = self.pre.saturating_sub(1),
            "ul" | "ol" => drop(self.lists.pop()),
            "a" => self.end_link(),
            _ => {}
        }
        self.break_lines(lines_around(name));
    }

    fn item(&mut self) {
        let bullet = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}.", *number - 1)
            }
            _ => "-".to_owned(),
        };
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        self.word(&format!("{indent}{bullet}"));
        self.space = true;
    }

    /// ` <url>` after the text of a link, unless the text is the address already.
    fn end_link(&mut self) {
        let Some((url, start)) = self.link.take() else {
            return;
        };
        let url = url.trim().to_owned();
        if url.is_empty() || url.starts_with('#') {
            return;
        }
        let text = self.out[start.min(self.out.len())..].trim().to_owned();
        let address = url.split_once(':').map_or(url.as_str(), |scheme| scheme.1);
        let shown = self.hidden.map_or_else(|| url.clone(), |_| marked(&url));
        if text == url {
            self.out
                .truncate(start + self.out[start..].rfind(&text).unwrap_or(0));
            self.word(&shown);
        } else if text.is_empty() || text != address.trim_start_matches('/') {
            self.space = true;
            self.word(&format!("<{shown}>"));
        }
    }

    fn text(&mut self, text: &str) {
        if !self.unseen.is_empty() {
            return;
        }
        let Some(hidden) = self.hidden else {
            return self.plain(text);
        };
        let mut rest = text;
        while let Some((range, tag)) = hidden.next_word(rest) {
            self.plain(&rest[..range.start]);
            match hidden.tags[tag].kind {
                Kind::Prints => self.word(&rest[range.clone()]),
                // What is due before a loop is printed once, not in every round; what
                // is due at the end of a round belongs to what comes next.
                Kind::Opens => {
                    self.settle();
                    self.out.push_str(&rest[range.clone()]);
                    self.begun = true;
                }
                Kind::Silent => self.out.push_str(&rest[range.clone()]),
            }
            rest = &rest[range.end..];
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        if self.pre > 0 {
            return self.preformatted(text);
        }
        self.space |= text.starts_with(is_space);
        for word in text.split(is_space).filter(|word| !word.is_empty()) {
            self.word(word);
            self.space = true;
        }
        if !text.is_empty() {
            self.space =
                text.ends_with(is_space) || (self.space && text.trim_matches(is_space).is_empty());
        }
    }

    fn preformatted(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            self.breaks += usize::from(index > 0);
            if !line.trim().is_empty() {
                self.word(line.trim_end());
            }
        }
    }

    fn word(&mut self, word: &str) {
        self.settle();
        self.out.extend(
            word.chars()
                .filter(|letter| !letter.is_control() || is_mark(*letter)),
        );
        self.begun = true;
    }

    /// Writes the white space that is due.
    fn settle(&mut self) {
        if self.begun && self.breaks > 0 {
            self.out.push_str(&"\n".repeat(self.breaks.min(2)));
        } else if self.begun && self.space {
            self.out.push(' ');
        }
        (self.breaks, self.space) = (0, false);
    }

    fn break_lines(&mut self, lines: usize) {
        if lines > 0 {
            self.breaks = self.breaks.max(lines);
            self.space = false;
        }
    }
}

fn is_mark(letter: char) -> bool {
    letter == mark::LINK || letter == mark::LINK_END
}

fn marked(url: &str) -> String {
    format!("{}{url}{}", mark::LINK, mark::LINK_END)
}

/// A no-break space separates words but is kept by HTML; in text it is a space.
/// Zero-width fillers, which keep a preheader short, vanish.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{200b}' | '\u{200c}' | '\u{feff}' | '\u{34f}')
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Line breaks before and after an element.
fn lines_around(name: &str) -> usize {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "blockquote"
        | "pre" | "table" | "hr" => 2,
        "div" | "tr" | "li" | "dt" | "dd" | "section" | "article" | "header" | "footer"
        | "address" | "center" | "figure" | "figcaption" | "main" | "nav" | "form" | "caption" => 1,
        _ => 0,
    }
}

/// Removes what conditions and loops left behind: white space at the end of
/// lines, more than one empty line in a row, white space around the whole.
pub(crate) fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 && !(tidied.is_empty() && line.is_empty()) {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied.truncate(tidied.trim_end().len());
    if !tidied.is_empty() {
        tidied.push('\n');
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        tidy(&from_html(html).unwrap())
    }

    #[test]
    fn blocks_become_lines_and_white_space_collapses() {
        assert_eq!(
            text(
                "<h1>Hi &amp; bye</h1>\n<p>One\n  two<br>three</p><div>a</div><div>b <b>c</b>d</div>"
            ),
            "Hi & bye\n\nOne two\nthree\n\na\nb cd\n"
        );
        assert_eq!(
            text("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>"),
            "1 2\n3\n"
        );
        assert_eq!(
            text("<ol><li>a<li>b<ul><li>c</ul></ol>"),
            "1. a\n2. b\n\n  - c\n"
        );
        assert_eq!(text("<pre>a\n  b\n</pre>"), "a\n  b\n");
        assert_eq!(text(""), "");
    }

    #[test]
    fn links_keep_their_address() {
        assert_eq!(
            text("<a href='https://a/?b=1&amp;c=2'>go</a>!"),
            "go <https://a/?b=1&c=2>!\n"
        );
        assert_eq!(
            text("see <a href='https://a.b/'>https://a.b/</a>."),
            "see https://a.b/.\n"
        );
        assert_eq!(
            text("<a href='mailto:a@b.c'>a@b.c</a> <a href='#x'>up</a>"),
            "a@b.c up\n"
        );
        assert_eq!(
            text("<a href='https://a'><img alt='Logo'></a><a href='https://b'><img></a>"),
            "Logo <https://a> <https://b>\n"
        );
    }

    #[test]
    fn what_is_not_shown_is_left_out() {
        assert_eq!(
            text(
                "<head><title>t</title></head><style>s</style><script>x</script><!-- c -->\
                  <div style='DISPLAY : none'>pre<br><b>x</b></div><p hidden>h</p>seen"
            ),
            "seen\n"
        );
    }

    #[test]
    fn a_loop_in_a_list_makes_one_line_for_each_round() {
        let source = "<ul>{% for i in x %}\n<li>{{ i }}</li>\n{% endfor %}</ul><p>end</p>";
        let hidden = Hidden::new(source);
        let made = hidden
            .reveal(&from_template(&hidden.text, &hidden).unwrap())
            .source;
        assert_eq!(made, "{% for i in x %}\n- {{ i }}{% endfor %}\n\nend\n\n");
    }
}
