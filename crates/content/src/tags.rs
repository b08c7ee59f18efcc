//! Carries Jinja tags unharmed through converters that know nothing of them.
//!
//! Before MJML, Markdown or HTML is parsed, every tag is replaced by a word that
//! no parser changes; afterwards the words become tags again. So a `<` or a
//! quote inside a tag cannot break the markup, markup cannot break a tag, and
//! each tag is known by the place where the user wrote it.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::machinery::{Token, Tokenizer};

/// What a tag does to the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Prints: `{{ … }}`, and raw blocks.
    Prints,
    /// Opens a part that may be printed never or many times: `if`, `for`, `with`.
    Opens,
    /// Prints nothing itself: other `{% … %}`, comments, trimmed white space.
    Silent,
}

#[derive(Debug, Clone)]
pub(crate) struct Tag {
    /// Where the user wrote it.
    pub(crate) source: Range<usize>,
    pub(crate) kind: Kind,
}

/// A source whose tags are hidden behind words.
#[derive(Debug)]
pub(crate) struct Hidden<'s> {
    source: &'s str,
    /// Begins every word; occurs nowhere in the source.
    prefix: String,
    pub(crate) tags: Vec<Tag>,
    pub(crate) text: String,
    /// Start of each piece in `text` and in the source, and whether it is a word.
    pieces: Vec<(usize, usize, bool)>,
}

/// Closes a word, so that 1 is not read as the beginning of 12.
const END: char = 'q';

impl<'s> Hidden<'s> {
    /// Hides the tags of a source that `engine::check` has passed.
    pub(crate) fn new(source: &'s str) -> Self {
        let mut hidden = Self {
            source,
            prefix: prefix(source),
            tags: Vec::new(),
            text: String::new(),
            pieces: Vec::new(),
        };
        hidden.cut();
        hidden
    }

    fn cut(&mut self) {
        let mut lexer = Tokenizer::new(self.source, "", false, Default::default());
        let (mut done, mut open) = (0, 0);
        while let Ok(Some((token, span))) = lexer.next_token() {
            let (start, end) = (span.start_offset as usize, span.end_offset as usize);
            match token {
                Token::TemplateData(_) => {
                    self.tag(done..start, Kind::Silent);
                    match opens_tag(&self.source[start..end]) {
                        true => self.tag(start..end, Kind::Prints),
                        false => self.literal(start..end),
                    }
                    done = end;
                }
                Token::VariableStart | Token::BlockStart => {
                    self.tag(done..start, Kind::Silent);
                    (open, done) = (start, start);
                }
                Token::VariableEnd => {
                    self.tag(open..end, Kind::Prints);
                    done = end;
                }
                Token::BlockEnd => {
                    self.tag(open..end, block_kind(&self.source[open..end]));
                    done = end;
                }
                _ => {}
            }
        }
        match opens_tag(&self.source[done..]) {
            true => self.tag(done..self.source.len(), Kind::Silent),
            false => self.literal(done..self.source.len()),
        }
    }

    fn literal(&mut self, range: Range<usize>) {
        self.pieces.push((self.text.len(), range.start, false));
        self.text.push_str(&self.source[range]);
    }

    fn tag(&mut self, range: Range<usize>, kind: Kind) {
        if range.is_empty() {
            return;
        }
        self.pieces.push((self.text.len(), range.start, true));
        self.text
            .push_str(&format!("{}{}{END}", self.prefix, self.tags.len()));
        self.tags.push(Tag {
            source: range,
            kind,
        });
    }

    pub(crate) fn source(&self) -> &'s str {
        self.source
    }

    /// What no text of the user contains.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where in `text` the first word stands whose tag prints nothing.
    pub(crate) fn first_silent(&self, text: &str) -> Option<usize> {
        let (mut at, mut rest) = (0, text);
        while let Some((range, tag)) = self.next_word(rest) {
            if self.tags[tag].kind != Kind::Prints {
                return Some(at + range.start);
            }
            at += range.end;
            rest = &rest[range.end..];
        }
        None
    }

    /// The place in the source of an offset into `text`.
    pub(crate) fn origin(&self, at: usize) -> usize {
        let piece = self
            .pieces
            .partition_point(|piece| piece.0 <= at)
            .checked_sub(1);
        match piece.map(|piece| self.pieces[piece]) {
            Some((_, source, true)) => source,
            Some((start, source, false)) => (source + at - start).min(self.source.len()),
            None => 0,
        }
    }

    /// The next word in `text`: its range and the number of its tag.
    pub(crate) fn next_word(&self, text: &str) -> Option<(Range<usize>, usize)> {
        let start = text.find(&self.prefix)?;
        let number = start + self.prefix.len();
        let end = number + text[number..].find(END)?;
        let tag: usize = text[number..end].parse().ok()?;
        (tag < self.tags.len()).then_some((start..end + END.len_utf8(), tag))
    }

    /// The word that `text` begins with.
    pub(crate) fn word_at_start(&self, text: &str) -> Option<Range<usize>> {
        let word = text
            .starts_with(&self.prefix)
            .then(|| self.next_word(text))?;
        word.map(|(range, _)| range)
    }

    /// Every word in `text`, in order, by the number of its tag.
    pub(crate) fn words(&self, text: &str) -> Vec<usize> {
        let (mut words, mut rest) = (Vec::new(), text);
        while let Some((range, tag)) = self.next_word(rest) {
            words.push(tag);
            rest = &rest[range.end..];
        }
        words
    }

    pub(crate) fn has_silent(&self, text: &str) -> bool {
        self.first_silent(text).is_some()
    }

    /// Turns the words of a converted text into tags again. What looks like a
    /// tag but was none in the source becomes text that prints as itself.
    pub(crate) fn reveal(&self, converted: &str) -> Revealed {
        let mut revealed = Revealed {
            source: String::with_capacity(converted.len()),
            tags: Vec::new(),
        };
        let mut rest = converted;
        while let Some((range, tag)) = self.next_word(rest) {
            push_literal(&mut revealed.source, &rest[..range.start]);
            let origin = self.tags[tag].source.clone();
            revealed.tags.push((revealed.source.len(), origin.start));
            revealed.source.push_str(&self.source[origin]);
            rest = &rest[range.end..];
        }
        push_literal(&mut revealed.source, rest);
        // The engine drops one newline at the end of a source.
        if revealed.source.ends_with('\n') {
            revealed.source.push('\n');
        }
        revealed
    }
}

/// A template made from a converted source, and where its tags came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revealed {
    pub(crate) source: String,
    /// Offset of each tag here and in the user's source.
    pub(crate) tags: Vec<(usize, usize)>,
}

impl Revealed {
    /// The place in the user's source of an offset into a tag of this template.
    pub(crate) fn origin(&self, at: usize) -> Option<usize> {
        let tag = self
            .tags
            .partition_point(|tag| tag.0 <= at)
            .checked_sub(1)?;
        let (here, there) = self.tags[tag];
        Some(there + at - here)
    }
}

fn block_kind(tag: &str) -> Kind {
    let inside = tag.trim_start_matches(['{', '%', '-', '+']).trim_start();
    let keyword = inside
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .next();
    match keyword {
        Some("if" | "for" | "with") => Kind::Opens,
        _ => Kind::Silent,
    }
}

fn opens_tag(text: &str) -> bool {
    ["{{", "{%", "{#"]
        .iter()
        .any(|opener| text.contains(opener))
}

fn push_literal(out: &mut String, literal: &str) {
    let mut rest = literal;
    // A brace at the seam would open a tag together with what follows it.
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let next = rest[at + 1..].chars().next();
        match next {
            Some('{' | '%' | '#') | None => out.push_str("{{ '{' }}"),
            Some(_) => out.push('{'),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

const WORD: &str = "zjinja";

/// A word of letters and digits that the source does not contain in any case.
fn prefix(source: &str) -> String {
    let lower = source.to_ascii_lowercase();
    let taken: BTreeSet<u64> = lower
        .match_indices(WORD)
        .filter_map(|(at, _)| {
            let after = &lower[at + WORD.len()..];
            let end = after
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(after.len());
            after[..end.min(19)].parse().ok()
        })
        .collect();
    let free = (0..).find(|number| !taken.contains(number));
    format!(
        "{WORD}{}x",
        free.expect("a finite source does not contain every number")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hiding_and_revealing_changes_nothing() {
        for source in [
            "a {{ b }} c {% if x %}{{ y }}{% endif %}{# z #}d\n",
            "{{ a }}{{ b }}",
            "x  {{- a -}}  y\n{%- if b %} z {% endif -%}\n",
            "{% raw %}{{ not a tag }}{% endraw %} and {% raw %}plain{% endraw %}",
            "é {{ '}}' }} {% set a = \"%}\" %}\r\n",
            "{# only #}",
            "",
            "{ { x",
            "ends {",
        ] {
            let hidden = Hidden::new(source);
            assert!(
                !opens_tag(&hidden.text),
                "{source:?} became {:?}",
                hidden.text
            );
            let revealed = hidden.reveal(&hidden.text);
            let same = revealed.source.replace("{{ '{' }}", "{");
            assert_eq!(same.trim_end_matches('\n'), source.trim_end_matches('\n'));
        }
    }

    #[test]
    fn what_only_looks_like_a_tag_after_conversion_prints_as_itself() {
        let hidden = Hidden::new("x");
        assert_eq!(
            hidden.reveal("a {{ b }} {% {{").source,
            "a {{ '{' }}{ b }} {{ '{' }}% {{ '{' }}{{ '{' }}"
        );
    }

    #[test]
    fn a_place_in_a_converted_text_leads_back_to_the_source() {
        let source = "ab {{ c }} de {{ f }}";
        let hidden = Hidden::new(source);
        let revealed = hidden.reveal(&format!("<p>{}</p>", hidden.text));
        let at = revealed.source.find("f }}").expect("the tag is there");
        assert_eq!(revealed.origin(at), source.find("f }}"));
        assert_eq!(revealed.origin(0), None);
        let de = hidden.text.find("de").expect("the text is there");
        assert_eq!(
            hidden.origin(de),
            source.find("de").expect("the text is there")
        );
    }

    #[test]
    fn a_source_that_holds_the_word_gets_another_word() {
        let source = "zjinja0x0q ZJINJA1x {{ a }}";
        let revealed = Hidden::new(source).reveal(&Hidden::new(source).text);
        assert_eq!(revealed.source, source);
    }
}
