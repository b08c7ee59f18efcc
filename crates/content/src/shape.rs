//! Bounds the shape of a source before the recursive parser sees it.

use minijinja::machinery::{Token, Tokenizer};

use crate::limits::{MAX_BRACKETS, MAX_LITERAL, MAX_NESTING, MAX_TAGS, MAX_TOKENS};
use crate::problem::Fault;

/// Refuses a source whose parse could recurse deeply or whose syntax tree could grow large.
///
/// The parser guards only some of its recursion: a chain of `not`, of `elif` or
/// of inline `else` would exhaust the stack. Lexical errors are left to the
/// parser, which words them better.
pub(crate) fn check(source: &str) -> Result<(), Fault> {
    let mut lexer = Tokenizer::new(source, "", false, Default::default());
    let mut shape = Shape::default();
    while let Ok(Some((token, span))) = lexer.next_token() {
        shape.take(&token, span.start_offset as usize)?;
    }
    Ok(())
}

#[derive(Default)]
struct Shape {
    tags: usize,
    tokens: usize,
    literal: usize,
    brackets: usize,
    /// The next token is the keyword of a block.
    keyword: bool,
    /// One entry per open block: itself and its `elif`s.
    blocks: Vec<usize>,
    depth: usize,
}

impl Shape {
    fn take(&mut self, token: &Token<'_>, at: usize) -> Result<(), Fault> {
        let keyword = std::mem::take(&mut self.keyword);
        match token {
            Token::TemplateData(_) | Token::VariableEnd | Token::BlockEnd => return Ok(()),
            Token::VariableStart | Token::BlockStart => {
                self.keyword = matches!(token, Token::BlockStart);
                return self.open_tag(at);
            }
            Token::Ident(word) if keyword => self.block(word),
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => self.brackets += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            Token::Str(text) => self.literal += text.len(),
            Token::String(text) => self.literal += text.len(),
            _ => {}
        }
        self.tokens += 1;
        self.verdict(at)
    }

    fn open_tag(&mut self, at: usize) -> Result<(), Fault> {
        self.tags += 1;
        self.tokens = 0;
        self.literal = 0;
        self.brackets = 0;
        match self.tags {
            n if n > MAX_TAGS => Err(too_complex(at, format!("more than {MAX_TAGS} tags"))),
            _ => Ok(()),
        }
    }

    fn block(&mut self, word: &str) {
        if word == "elif" {
            self.depth += 1;
            if let Some(block) = self.blocks.last_mut() {
                *block += 1;
            }
        } else if word.starts_with("end") {
            let closed = self.blocks.pop().unwrap_or(0);
            self.depth = self.depth.saturating_sub(closed);
        } else if !matches!(word, "else" | "set" | "do") {
            self.depth += 1;
            self.blocks.push(1);
        }
    }

    fn verdict(&self, at: usize) -> Result<(), Fault> {
        let reason = if self.tokens > MAX_TOKENS {
            format!("a tag of more than {MAX_TOKENS} words and signs")
        } else if self.literal > MAX_LITERAL {
            format!("quoted text of more than {MAX_LITERAL} bytes")
        } else if self.brackets > MAX_BRACKETS {
            format!("more than {MAX_BRACKETS} open brackets")
        } else if self.depth > MAX_NESTING {
            format!("more than {MAX_NESTING} nested blocks")
        } else {
            return Ok(());
        };
        Err(too_complex(at, reason))
    }
}

fn too_complex(at: usize, reason: String) -> Fault {
    Fault::at(
        at,
        "template_too_complex",
        format!("the template has {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) {
        assert_eq!(
            check(source).expect_err("must be refused").code,
            "template_too_complex"
        );
    }

    #[test]
    fn shapes_that_exhaust_a_recursive_parser_are_refused() {
        refused(&format!("{{{{ {}x }}}}", "not ".repeat(100_000)));
        refused(&format!("{{{{ {}x }}}}", "-".repeat(100_000)));
        refused(&format!("{{{{ {} }}}}", "a if b else ".repeat(100_000)));
        refused(&format!("{{{{ {} }}}}", "(".repeat(100_000)));
        refused(&format!("{{{{ a{} }}}}", ".b".repeat(100_000)));
        refused(&format!("{{{{ a{} }}}}", "|trim".repeat(100_000)));
        refused(&format!(
            "{{% if a %}}{}{{% endif %}}",
            "{% elif a %}".repeat(50_000)
        ));
        refused(&"{% if a %}".repeat(51));
        refused(&"{{ a }}".repeat(5_001));
        refused(&format!("{{{{ '{}' }}}}", "x".repeat(9_000)));
        refused(&format!(
            "{{{{ {} }}}}",
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' ".repeat(190)
        ));
    }

    #[test]
    fn siblings_do_not_count_as_nesting() {
        assert_eq!(
            check(&"{% if a %}x{% elif b %}y{% endif %}".repeat(1_000)),
            Ok(())
        );
        assert_eq!(check(&"{% set a = 1 %}".repeat(1_000)), Ok(()));
    }
}
