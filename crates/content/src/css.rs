//! Reads style sheets as far as rules can be moved into `style` attributes. It never writes CSS:
//! what it does not understand stays where it is.

use std::ops::Range;

/// A rule that can be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Where it stands, from its selectors to its closing brace.
    pub(crate) range: Range<usize>,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) declarations: Vec<Declaration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) text: String,
    pub(crate) weight: Weight,
}

/// Specificity: ids, classes and attributes, types (Selectors 4 §17).
pub(crate) type Weight = (usize, usize, usize);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) important: bool,
}

/// The rules of a style sheet that can be moved, in order. Every selector of such a rule is made of
/// types, classes, ids and attributes, below or directly below each other; rules with anything else
/// (a state, a pseudo-element, a sibling) and at-rules are left out.
pub(crate) fn rules(css: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut at = 0;
    while let Some(start) = skip_blank(css, at) {
        let Some(opened) = find(css, start, b"{;}") else {
            break;
        };
        if css.as_bytes()[opened] != b'{' {
            at = opened + 1;
            continue;
        }
        let Some(closed) = closing(css, opened) else {
            break;
        };
        at = closed + 1;
        let (prelude, block) = (&css[start..opened], &css[opened + 1..closed]);
        if !prelude.starts_with('@')
            && let (Some(selectors), Some(declarations)) = (selectors(prelude), declarations(block))
        {
            rules.push(Rule {
                range: start..at,
                selectors,
                declarations,
            });
        }
    }
    rules
}

/// Where the next thing begins that is neither white space nor a comment.
fn skip_blank(css: &str, mut at: usize) -> Option<usize> {
    loop {
        let rest = css.get(at..)?;
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if trimmed.is_empty() {
            return None;
        }
        let skipped = [("/*", "*/"), ("<!--", ""), ("-->", "")]
            .iter()
            .find_map(|(open, close)| {
                let inside = trimmed.strip_prefix(open)?;
                let end = inside
                    .find(close)
                    .map_or(inside.len(), |end| end + close.len());
                Some(open.len() + end)
            });
        match skipped {
            Some(length) => at += length,
            None => return Some(at),
        }
    }
}

/// The first of `wanted` outside of strings, comments and brackets.
fn find(css: &str, from: usize, wanted: &[u8]) -> Option<usize> {
    let bytes = css.as_bytes();
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            byte if depth == 0 && wanted.contains(byte) => return Some(at),
            b'\\' => at += 1,
            b'"' | b'\'' => at = end_of_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = css[at + 2..].find("*/").map(|end| at + 2 + end + 1)?;
            }
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The quote that ends a string, or the end of its line, where a broken one ends.
fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            byte if *byte == bytes[open] || *byte == b'\n' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The brace that closes the one at `opened`.
fn closing(css: &str, opened: usize) -> Option<usize> {
    let (mut at, mut depth) = (opened, 0_usize);
    loop {
        at = find(css, at, b"{}")?;
        match css.as_bytes()[at] {
            b'{' => depth += 1,
            _ => depth -= 1,
        }
        if depth == 0 {
            return Some(at);
        }
        at += 1;
    }
}

fn selectors(prelude: &str) -> Option<Vec<Selector>> {
    split(prelude, b',').map(selector).collect()
}

fn selector(text: &str) -> Option<Selector> {
    let text = text.trim();
    let weight = weight(text)?;
    Some(Selector {
        text: text.to_owned(),
        weight,
    })
}

/// The specificity of a selector that can be moved.
fn weight(selector: &str) -> Option<Weight> {
    let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let (mut ids, mut classes, mut types) = (0, 0, 0);
    let (mut rest, mut begins) = (selector, true);
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let word = after.find(|letter| !name(letter)).unwrap_or(after.len());
        let compound_ends = first.is_ascii_whitespace() || first == '>';
        match first {
            '.' | '#' if word == 0 => return None,
            '.' => classes += 1,
            '#' => ids += 1,
            '[' => classes += 1,
            '*' if begins => {}
            '>' if begins => return None,
            _ if compound_ends => {}
            first if begins && first.is_ascii_alphabetic() => types += 1,
            _ => return None,
        }
        rest = match first {
            '[' => &after[find(after, 0, b"]")? + 1..],
            '*' => after,
            _ if compound_ends => {
                let next = after.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '>');
                let skipped = &after[..after.len() - next.len()];
                let arrows = skipped.matches('>').count() + usize::from(first == '>');
                if next.is_empty() || arrows > 1 {
                    return None;
                }
                next
            }
            _ => &after[word..],
        };
        begins = compound_ends;
    }
    (!begins).then_some((ids, classes, types))
}

/// All declarations of a block, or none when there is anything else in it.
pub(crate) fn declarations(block: &str) -> Option<Vec<Declaration>> {
    if block.contains("/*") || find(block, 0, b"{}").is_some() {
        return None;
    }
    split(block, b';')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(declaration)
        .collect()
}

fn declaration(text: &str) -> Option<Declaration> {
    let (name, value) = text.split_once(':')?;
    let name = name.trim().to_ascii_lowercase();
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    if name.is_empty() || !name.bytes().all(sound) {
        return None;
    }
    let value = value.trim();
    let (value, important) = match value.rsplit_once('!') {
        Some((before, mark)) if mark.trim().eq_ignore_ascii_case("important") => {
            (before.trim_end(), true)
        }
        _ => (value, false),
    };
    (!value.is_empty()).then(|| Declaration {
        name,
        value: value.to_owned(),
        important,
    })
}

/// The parts between separators that stand outside of strings and brackets.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = find(whole, 0, &[separator]);
        rest = end.map(|end| &whole[end + 1..]);
        Some(end.map_or(whole, |end| &whole[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(css: &str) -> Vec<&str> {
        rules(css)
            .into_iter()
            .map(|rule| &css[rule.range])
            .collect()
    }

    #[test]
    fn plain_rules_are_found_and_others_left_out() {
        let css = "/* a{ */ p{color:red} @media (max-width:9px){p{color:blue}} a:hover{x:y}\n\
                   .b , td > .c[x=\"}\"]{font:1px \"a;b}\"} @import url(x;y); h1+p{a:b} p::before{a:b}\n\
                   q { r { a:b } } em{a:b;}\n<!-- i{a:b} --> u{/**/a:b} s{a:b";
        assert_eq!(
            texts(css),
            [
                "p{color:red}",
                ".b , td > .c[x=\"}\"]{font:1px \"a;b}\"}",
                "em{a:b;}",
                "i{a:b}"
            ]
        );
    }

    #[test]
    fn specificity_counts_ids_classes_and_types() {
        for (selector, weight_) in [
            ("p", (0, 0, 1)),
            ("*", (0, 0, 0)),
            ("table td.a > b#c", (1, 1, 3)),
            (".a.b[c]", (0, 3, 0)),
            ("#a-b_1", (1, 0, 0)),
        ] {
            assert_eq!(weight(selector), Some(weight_), "{selector}");
        }
        for selector in [
            "", "a:hover", "a~b", "a+b", ">a", "a>", "a>>b", ".", "a|b", "a\\b", "5", "a .", "[x",
        ] {
            assert_eq!(weight(selector), None, "{selector}");
        }
    }

    #[test]
    fn declarations_keep_their_values() {
        let found =
            declarations("COLOR : Red !IMPORTANT; background:url(a;b) ; --x:1").map(|all| {
                let show = |d: Declaration| {
                    format!(
                        "{}={}{}",
                        d.name,
                        d.value,
                        if d.important { "!" } else { "" }
                    )
                };
                all.into_iter().map(show).collect::<Vec<_>>()
            });
        let wanted = ["color=Red!", "background=url(a;b)", "--x=1"].map(str::to_owned);
        assert_eq!(found, Some(wanted.to_vec()));
        assert_eq!(declarations("no colon"), None);
        assert_eq!(declarations("5x: y"), None);
    }
}
