use std::fmt;

use pulldown_cmark::{Options, Parser, html};

use crate::limits::MAX_OUTPUT;
use crate::problem::Fault;
use crate::tags::{Hidden, Kind};

const BEFORE: &str = "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n</head>\n\
    <body style=\"margin:0;padding:24px;\">\n\
    <div style=\"max-width:600px;margin:0 auto;font-family:Helvetica,Arial,sans-serif;\
    font-size:16px;line-height:1.5;color:#222222;\">\n";
const AFTER: &str = "</div>\n</body>\n</html>\n";

/// A whole HTML document from Markdown with hidden tags.
pub(crate) fn to_html(hidden: &Hidden<'_>) -> Result<String, Fault> {
    let source = lines_as_comments(hidden);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut out = Capped(String::with_capacity(source.len() * 2));
    html::write_html_fmt(&mut out, Parser::new_ext(&source, options)).map_err(|_| {
        Fault::nowhere(
            "template_too_large",
            "the Markdown makes more than 1 MiB of HTML",
        )
    })?;
    Ok(format!(
        "{BEFORE}{}{AFTER}",
        comments_as_tags(&out.0, hidden)
    ))
}

/// A line of tags that print nothing is no paragraph: as a comment it becomes
/// HTML of its own, and the lines around it stay what they are.
fn lines_as_comments(hidden: &Hidden<'_>) -> String {
    let mut source = String::with_capacity(hidden.text.len());
    for line in hidden.text.split_inclusive('\n') {
        match silent_words(line.trim(), hidden) {
            Some(words) if !words.is_empty() => {
                for word in words {
                    source.push_str(&format!("<!--{word}-->"));
                }
                source.push('\n');
            }
            _ => source.push_str(line),
        }
    }
    source
}

/// The words of a line, when it has nothing but words that print nothing.
fn silent_words<'l>(line: &'l str, hidden: &Hidden<'_>) -> Option<Vec<&'l str>> {
    let (mut words, mut rest) = (Vec::new(), line);
    while let Some((range, tag)) = hidden.next_word(rest) {
        if !rest[..range.start].trim().is_empty() || hidden.tags[tag].kind == Kind::Prints {
            return None;
        }
        words.push(&rest[range.clone()]);
        rest = &rest[range.end..];
    }
    rest.trim().is_empty().then_some(words)
}

fn comments_as_tags(html: &str, hidden: &Hidden<'_>) -> String {
    let mut result = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find("<!--") {
        result.push_str(&rest[..at]);
        let inside = &rest[at + 4..];
        match hidden.word_at_start(inside) {
            Some(word) if inside[word.end..].starts_with("-->") => {
                result.push_str(&inside[..word.end]);
                rest = &inside[word.end + 3..];
            }
            _ => {
                result.push_str("<!--");
                rest = inside;
            }
        }
    }
    result.push_str(rest);
    result
}

struct Capped(String);

impl fmt::Write for Capped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_OUTPUT {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str) -> String {
        let hidden = Hidden::new(source);
        let html = hidden.reveal(&to_html(&hidden).unwrap()).source;
        html.trim_end()
            .strip_prefix(BEFORE)
            .and_then(|h| h.strip_suffix(AFTER.trim_end()))
            .unwrap()
            .to_owned()
    }

    #[test]
    fn tags_survive_markdown() {
        assert_eq!(
            html("Hi *{{ a_b_c|default('*x*') }}*"),
            "<p>Hi <em>{{ a_b_c|default('*x*') }}</em></p>\n"
        );
        assert_eq!(
            html("[go]({{ view_url }} \"{{ t }}\")"),
            "<p><a href=\"{{ view_url }}\" title=\"{{ t }}\">go</a></p>\n"
        );
        assert_eq!(
            html("|a|b|\n|-|-|\n|{{ x|e }}|c|")
                .matches("<td>{{ x|e }}</td>")
                .count(),
            1
        );
        assert_eq!(html("`{{ a < b }}`"), "<p><code>{{ a < b }}</code></p>\n");
    }

    #[test]
    fn a_line_of_statements_is_no_paragraph() {
        assert_eq!(
            html("a\n{% if x %}\n# T\n{% endif %}{# c #}\n\n<!-- kept -->\n"),
            "<p>a</p>\n{% if x %}\n<h1>T</h1>\n{% endif %}{# c #}\n<!-- kept -->\n"
        );
    }

    #[test]
    fn a_reference_cannot_become_a_tag() {
        assert_eq!(html("&#123;{ x }}"), "<p>{{ '{' }}{ x }}</p>\n");
    }

    #[test]
    fn markdown_that_explodes_is_refused() {
        let columns = "|a".repeat(2_000);
        let source = format!(
            "{columns}|\n{}|\n{}",
            "|-".repeat(2_000),
            "|x|\n".repeat(20_000)
        );
        let hidden = Hidden::new(&source);
        assert_eq!(to_html(&hidden).unwrap_err().code, "template_too_large");
    }
}
