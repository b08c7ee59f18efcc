//! Moves the rules of `<style>` into `style` attributes, because some readers of mail drop
//! `<style>`. What depends on a reader (media queries, `:hover`) stays there.
//!
//! Like everything that touches HTML here it answers edits and leaves all other bytes alone. Tags
//! of the template are hidden behind words by then, so they cannot break anything; a `<style>` that
//! a tag opens or closes parts of stays whole.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use lol_html::html_content::Element;
use lol_html::{Settings, element, end_tag};

use crate::css::{self, Declaration, Rule, Weight};
use crate::html::{self, Unreadable};
use crate::limits::{MAX_INLINED_WORDS, MAX_MATCHES, MAX_OUTPUT};
use crate::tags::Hidden;

/// Elements that nobody sees.
const UNSEEN: [&str; 7] = ["head", "title", "meta", "link", "style", "script", "base"];

type Edits = Vec<(Range<usize>, String)>;

/// What there is to do, in order.
pub(crate) enum Inlined {
    Edits(Edits),
    /// It would take too long or become too large; the styles stay where they are.
    TooMuch,
}

/// The edits that move what can be moved.
pub(crate) fn styles(html: &str, hidden: &Hidden<'_>) -> Result<Inlined, Unreadable> {
    let sheets: Vec<_> = sheets(html)?
        .into_iter()
        .filter(|sheet| !hidden.has_silent(&html[sheet.clone()]))
        .collect();
    let rules: Vec<Rule> = sheets
        .iter()
        .flat_map(|sheet| {
            let rules = css::rules(&html[sheet.clone()]).into_iter();
            rules.map(|rule| Rule {
                range: rule.range.start + sheet.start..rule.range.end + sheet.start,
                ..rule
            })
        })
        .filter(|rule| selects_plainly(rule, hidden))
        .collect();
    let selectors: usize = rules.iter().map(|rule| rule.selectors.len()).sum();
    if selectors == 0 {
        return Ok(Inlined::Edits(Vec::new()));
    }
    let elements = memchr::memchr_iter(b'<', html.as_bytes()).count();
    if selectors.saturating_mul(elements) > MAX_MATCHES {
        return Ok(Inlined::TooMuch);
    }
    let Matched { targets, changing } = matched(html, &rules, hidden)?;
    let mut edits = Edits::new();
    let (mut added, mut words) = (0, 0);
    for target in targets.values() {
        let edit = target.edit(html, &rules);
        added += edit.1.len();
        words += hidden.words(&edit.1).len();
        if added > MAX_OUTPUT || words > MAX_INLINED_WORDS {
            return Ok(Inlined::TooMuch);
        }
        edits.push(edit);
    }
    if !changing {
        // Nobody else needs them.
        edits.extend(rules.into_iter().map(|rule| (rule.range, String::new())));
    }
    edits.sort_by_key(|edit| (edit.0.start, edit.0.end));
    Ok(Inlined::Edits(edits))
}

/// Whether lol_html understands all selectors of a rule, and no word is in them.
fn selects_plainly(rule: &Rule, hidden: &Hidden<'_>) -> bool {
    rule.selectors.iter().all(|selector| {
        hidden.next_word(&selector.text).is_none()
            && selector.text.parse::<lol_html::Selector>().is_ok()
    })
}

/// Where the style sheets for all readers stand.
fn sheets(html: &str) -> Result<Vec<Range<usize>>, Unreadable> {
    let found = Rc::new(RefCell::new(Vec::new()));
    let ends = Rc::clone(&found);
    let settings = Settings {
        element_content_handlers: vec![element!("style", move |tag| {
            let media = tag.get_attribute("media").unwrap_or_default();
            let (start, ends) = (tag.source_location().bytes().end, Rc::clone(&ends));
            if let Some(handlers) = tag.end_tag_handlers()
                && ["", "all"].contains(&media.trim().to_ascii_lowercase().as_str())
            {
                handlers.push(end_tag!(move |close| {
                    ends.borrow_mut()
                        .push(start..close.source_location().bytes().start);
                    Ok(())
                }));
            }
            Ok(())
        })],
        ..Settings::new()
    };
    html::read(html, settings)?;
    Ok(std::mem::take(&mut *found.borrow_mut()))
}

/// An element that rules apply to.
#[derive(Debug)]
struct Target {
    /// After its name.
    insert_at: usize,
    /// The value of its own `style`.
    style: Option<Range<usize>>,
    /// Rules by the weight of the selector that matched, and by their order.
    rules: Vec<(Weight, usize)>,
}

struct Matched {
    /// By where they begin.
    targets: BTreeMap<usize, Target>,
    /// Some class or id is printed, so nobody knows yet what rules apply to it.
    changing: bool,
}

fn matched(html: &str, rules: &[Rule], hidden: &Hidden<'_>) -> Result<Matched, Unreadable> {
    let found = Rc::new(RefCell::new(BTreeMap::new()));
    let mut handlers = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for selector in &rule.selectors {
            let (found, weight) = (Rc::clone(&found), selector.weight);
            handlers.push(element!(selector.text.as_str(), move |tag| {
                if let Some((at, fresh)) = target(tag) {
                    let mut found = found.borrow_mut();
                    let target: &mut Target = found.entry(at).or_insert(fresh);
                    target.rules.push((weight, index));
                }
                Ok(())
            }));
        }
    }
    let changing = Rc::new(RefCell::new(false));
    let seen = Rc::clone(&changing);
    handlers.push(element!("*", move |tag| {
        let printed = ["class", "id"]
            .iter()
            .filter_map(|name| tag.get_attribute(name))
            .any(|value| hidden.next_word(&value).is_some());
        *seen.borrow_mut() |= printed;
        Ok(())
    }));
    let settings = Settings {
        element_content_handlers: handlers,
        ..Settings::new()
    };
    html::read(html, settings)?;
    let changing = *changing.borrow();
    Ok(Matched {
        targets: std::mem::take(&mut *found.borrow_mut()),
        changing,
    })
}

/// Where an element begins, and what is known of it; none of one that takes no style.
fn target(tag: &Element<'_, '_>) -> Option<(usize, Target)> {
    let name = tag.tag_name();
    let start = tag.source_location().bytes().start;
    let style = tag.attributes().iter().find(|own| own.name() == "style");
    let style = match style {
        Some(own) => Some(own.value_source_location()?.bytes()),
        None => None,
    };
    let target = Target {
        insert_at: start + 1 + name.len(),
        style,
        rules: Vec::new(),
    };
    (!UNSEEN.contains(&name.as_str())).then_some((start, target))
}

impl Target {
    /// The weakest first, as a later declaration wins in an attribute too. What was important loses
    /// that word: the same word in a media query must be able to win.
    fn edit(&self, html: &str, rules: &[Rule]) -> (Range<usize>, String) {
        let mut order = self.rules.clone();
        order.sort_unstable();
        // Of a rule that matched twice the strongest counts.
        let mut last = BTreeMap::new();
        for (place, (_, index)) in order.iter().enumerate() {
            last.insert(*index, place);
        }
        let order: Vec<_> = order
            .iter()
            .enumerate()
            .filter(|(place, (_, index))| last.get(index) == Some(place))
            .map(|(_, (_, index))| &rules[*index].declarations)
            .collect();
        let pick = |important: bool| {
            let chosen = order.iter().map(|declarations| {
                declarations
                    .iter()
                    .filter(move |d| d.important == important)
            });
            css_text(&chosen.map(Iterator::collect).collect::<Vec<_>>())
        };
        let (usual, important) = (pick(false), pick(true));
        let Some(own) = &self.style else {
            let text = format!(" style=\"{}\"", escape(&join([&usual, &important]), '"'));
            return (self.insert_at..self.insert_at, text);
        };
        let before = own.start.checked_sub(1).map(|at| html.as_bytes()[at]);
        let quote = match before {
            Some(b'\'') => '\'',
            _ => '"',
        };
        let [usual, important] = [usual, important].map(|text| escape(&text, quote));
        let text = join([
            &usual,
            html[own.clone()].trim().trim_end_matches(';'),
            &important,
        ]);
        match before {
            Some(b'"' | b'\'') => (own.clone(), text),
            _ => (own.clone(), format!("\"{text}\"")),
        }
    }
}

/// Declarations one after another; of a property that several rules set, that of the last one.
fn css_text(rules: &[Vec<&Declaration>]) -> String {
    let mut texts = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        for declaration in rule {
            let later = rules[place + 1..].iter().flatten();
            if later
                .into_iter()
                .all(|other| other.name != declaration.name)
            {
                texts.push(format!("{}:{}", declaration.name, declaration.value));
            }
        }
    }
    texts.join(";")
}

fn join<const N: usize>(parts: [&str; N]) -> String {
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(";")
}

/// As an attribute's value between such quotes.
fn escape(text: &str, quote: char) -> String {
    let text = text.replace('&', "&amp;");
    match quote {
        '\'' => text.replace('\'', "&#39;"),
        _ => text.replace('"', "&quot;"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inlined(source: &str) -> String {
        let hidden = Hidden::new(source);
        match styles(&hidden.text, &hidden).expect("readable") {
            Inlined::Edits(edits) => hidden.reveal(&html::splice(&hidden.text, &edits)).source,
            Inlined::TooMuch => panic!("too much"),
        }
    }

    #[test]
    fn the_cascade_is_kept() {
        let source = "<style>p{color:red;margin:0} .a{color:blue} p{color:green} #b{color:navy}\
                      .a{top:1px !important}</style><p class=a>1</p><p id=b style='top:2px;'>2</p><p>3";
        assert_eq!(
            inlined(source),
            "<style>   </style><p style=\"margin:0;color:blue;top:1px\" class=a>1</p>\
             <p id=b style='margin:0;color:navy;top:2px'>2</p><p style=\"margin:0;color:green\">3"
        );
    }

    #[test]
    fn what_depends_on_the_reader_stays() {
        let source = "<style media=print>p{a:b}</style><style>@media x{p{a:b!important}} a:hover{a:b}\
                      td>a{c:d}</style><td><a>x</a></td><b><a>y</a></b>";
        assert_eq!(
            inlined(source),
            "<style media=print>p{a:b}</style><style>@media x{p{a:b!important}} a:hover{a:b}</style>\
             <td><a style=\"c:d\">x</a></td><b><a>y</a></b>"
        );
    }

    #[test]
    fn tags_are_not_broken_wherever_they_stand() {
        let source = "<style>p{color:{{ data.color }};font:\"A\"}</style>{% if x %}<p title=\"{{ t }}\">{{ y }}</p>{% endif %}";
        assert_eq!(
            inlined(source),
            "<style></style>{% if x %}<p style=\"color:{{ data.color }};font:&quot;A&quot;\" title=\"{{ t }}\">{{ y }}</p>{% endif %}"
        );
        for whole in [
            "<style>{% if x %}p{a:b}{% endif %}</style><p>x</p>",
            "<style>.{{ x }}{a:b}</style><p>x</p>",
            "<style>p{ {{ x }} }</style><p>x</p>",
        ] {
            assert_eq!(inlined(whole), whole);
        }
        let printed = "<style>.a{b:c}</style><p class=\"{{ x }}\">1</p><p class=a>2</p>";
        assert_eq!(
            inlined(printed),
            "<style>.a{b:c}</style><p class=\"{{ x }}\">1</p><p style=\"b:c\" class=a>2</p>"
        );
    }

    #[test]
    fn what_would_take_too_long_or_become_too_large_is_left_alone() {
        let many = |css: &str, body: &str| {
            let source = format!("<style>{css}</style>{body}");
            let hidden = Hidden::new(&source);
            let began = std::time::Instant::now();
            let edits = styles(&hidden.text, &hidden).expect("readable");
            assert!(
                began.elapsed().as_secs() < 5,
                "it took {:?}",
                began.elapsed()
            );
            matches!(edits, Inlined::TooMuch)
        };
        assert!(many(&"p{a:b}".repeat(5_000), &"<p>".repeat(900)));
        assert!(many(
            &format!("*{{a:{}}}", "x".repeat(2_000)),
            &"<br>".repeat(5_000)
        ));
        assert!(many("p{a:{{ x }}}", &"<p></p>".repeat(1_000)));
        assert!(!many(
            &"b b b b b b b b b b{a:b}".repeat(100),
            &"<b></b>".repeat(2_000)
        ));
    }
}
