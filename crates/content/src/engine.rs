//! The template engine, closed on all sides.

use std::io;

use minijinja::machinery::Token;
use minijinja::value::ValueKind;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};

use crate::limits::{FUEL, MAX_NESTING};
use crate::problem::Fault;
use crate::variables::Usage;
use crate::{entities, filters, grammar, shape};

/// Characters that mark places in rendered parts. No value can print them.
pub(crate) mod mark {
    pub(crate) const LINK: char = '\u{1}';
    pub(crate) const LINK_END: char = '\u{2}';
    pub(crate) const PIXEL: char = '\u{3}';
    pub(crate) const PREHEADER: char = '\u{4}';
}

/// Checks a source and tells what it uses. Nothing is rendered or evaluated
/// before every check has passed: the compiler folds constants, and a folded
/// constant can be large.
pub(crate) fn check(source: &str) -> Result<Usage, Vec<Fault>> {
    if let Some(at) = source.find(is_control) {
        return Err(vec![Fault::at(
            at,
            "control_character",
            "control characters are not allowed",
        )]);
    }
    shape::check(source).map_err(|fault| vec![fault])?;
    let root = minijinja::machinery::parse(source, "", Default::default())
        .map_err(|error| vec![syntax(source, &error)])?;
    let faults = grammar::check(&root);
    if faults.is_empty() {
        Ok(Usage::of(&root))
    } else {
        Err(faults)
    }
}

fn is_control(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')
}

/// Checks a template that was made from a checked source. It holds the same tags,
/// perhaps fewer or more often, but it also holds `mark`s.
pub(crate) fn check_converted(source: &str) -> Result<(), Fault> {
    shape::check(source)?;
    let root = minijinja::machinery::parse(source, "", Default::default())
        .map_err(|error| syntax(source, &error))?;
    grammar::check(&root).into_iter().next().map_or(Ok(()), Err)
}

/// Whether a part of a checked source is a template by itself.
pub(crate) fn is_whole(fragment: &str) -> bool {
    minijinja::machinery::parse(fragment, "", Default::default()).is_ok()
}

/// Whether a checked source may print markup: it uses the filter `safe`.
pub(crate) fn prints_markup(source: &str) -> bool {
    let mut after_pipe = false;
    minijinja::machinery::tokenize(source, false, Default::default())
        .map_while(Result::ok)
        .any(|(token, _)| {
            let safe = after_pipe && matches!(token, Token::Ident("safe"));
            after_pipe = matches!(token, Token::Pipe);
            safe
        })
}

fn syntax(source: &str, error: &Error) -> Fault {
    let message = error
        .detail()
        .unwrap_or("the template cannot be read")
        .to_owned();
    let at = error.range().map_or(source.len(), |range| range.start);
    Fault::at(at, "template_syntax", message)
}

/// The templates of one mail, ready to render.
#[derive(Debug)]
pub(crate) struct Engine {
    env: Environment<'static>,
}

/// Why a part could not be rendered, by an offset into its template.
#[derive(Debug)]
pub(crate) enum Failure {
    Missing { at: Option<usize> },
    TooExpensive,
    TooLarge,
    Wrong { at: Option<usize>, message: String },
}

impl Engine {
    pub(crate) fn new() -> Self {
        let mut env = Environment::empty();
        env.set_auto_escape_callback(|name| match name {
            "html" => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        // Looking up a part of nothing is nothing, so that `default` can replace
        // it; printing nothing is an error, see `print`.
        env.set_undefined_behavior(UndefinedBehavior::Chainable);
        env.set_formatter(print);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(MAX_NESTING * 2);
        env.set_debug(false);
        filters::install(&mut env);
        Self { env }
    }

    /// Adds a checked template. The name `html` turns on escaping.
    pub(crate) fn add(&mut self, name: &'static str, source: String) -> Result<(), Fault> {
        let copy = source.clone();
        self.env
            .add_template_owned(name, source)
            .map_err(|error| syntax(&copy, &error))
    }

    pub(crate) fn render(&self, name: &str, context: Value, cap: usize) -> Result<String, Failure> {
        let mut out = Capped {
            bytes: Vec::with_capacity(cap.min(16 << 10)),
            cap,
            full: false,
        };
        let outcome = self
            .env
            .get_template(name)
            .and_then(|template| template.render_captured_to(context, &mut out).map(drop));
        match outcome {
            Ok(()) => Ok(String::from_utf8(out.bytes).expect("only whole texts are written")),
            Err(_) if out.full => Err(Failure::TooLarge),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &Error) -> Failure {
    let at = error.range().map(|range| range.start);
    match error.kind() {
        ErrorKind::UndefinedError => Failure::Missing { at },
        ErrorKind::OutOfFuel => Failure::TooExpensive,
        _ => Failure::Wrong {
            at,
            message: error
                .detail()
                .map_or_else(|| error.kind().to_string(), str::to_owned),
        },
    }
}

/// Prints text, numbers and booleans. Nothing prints a missing value, a list or a map.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        let escape = matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe();
        return print_text(out, text, escape);
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Number => Ok(write!(out, "{value}")?),
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a {kind} cannot be printed; name one of its fields, or use `join`"),
        )),
    }
}

/// Control characters are dropped: no mail needs them, and `mark` does.
fn print_text(out: &mut Output<'_>, text: &str, escape: bool) -> Result<(), Error> {
    for clean in text.split(is_control) {
        match escape {
            true => entities::escape_into(out, clean)?,
            false => out.write_str(clean)?,
        }
    }
    Ok(())
}

/// A writer that refuses to grow past its cap.
struct Capped {
    bytes: Vec<u8>,
    cap: usize,
    full: bool,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.cap {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(name: &'static str, source: &str, context: Value) -> Result<String, Failure> {
        let mut engine = Engine::new();
        engine
            .add(name, source.to_owned())
            .expect("the source must compile");
        engine.render(name, context, 1_000)
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let context = Value::from_pairs([("a", "<b>&/'\u{1}\u{7f}")]);
        assert_eq!(
            render("html", "{{ a }}", context.clone()).unwrap(),
            "&lt;b&gt;&amp;/&#39;"
        );
        assert_eq!(
            render("text", "{{ a }}", context.clone()).unwrap(),
            "<b>&/'"
        );
        assert_eq!(
            render("html", "{{ a|safe }}", context.clone()).unwrap(),
            "<b>&/'"
        );
        assert_eq!(render("text", "{{ a|e }}", context).unwrap(), "<b>&/'");
    }

    #[test]
    fn a_failure_tells_its_kind_and_place() {
        let missing = render("text", "ab {{ x.y.z }}", Value::from(()));
        assert!(
            matches!(missing, Err(Failure::Missing { at: Some(7) })),
            "{missing:?}"
        );
        let list = render(
            "text",
            "{{ x }}",
            Value::from_pairs([("x", Value::from(vec![1]))]),
        );
        assert!(
            matches!(list, Err(Failure::Wrong { at: Some(3), .. })),
            "{list:?}"
        );
        let large = render("text", &"x".repeat(1_001), Value::from(()));
        assert!(matches!(large, Err(Failure::TooLarge)), "{large:?}");
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        let faults = check("ab\n  {{ x ").unwrap_err();
        assert_eq!(faults[0].code, "template_syntax");
        assert_eq!(faults[0].at, Some(8));
        assert_eq!(check("a\0b").unwrap_err()[0].at, Some(1));
    }
}
