use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::context::Context;
use crate::engine::{self, Engine, mark};
use crate::html::{self, Piece, Unreadable};
use crate::inline::{self, Inlined};
use crate::limits::{GMAIL_CLIPS_AT, MAX_LINE_SOURCE, MAX_OUTPUT, MAX_PROBLEMS, MAX_SOURCE};
use crate::links::{self, Link, Marked};
use crate::problem::{Fault, Field, Problem};
use crate::source::{Format, Parts};
use crate::tags::{Hidden, Revealed};
use crate::variables::{Need, Usage};
use crate::{entities, markdown, mjml, text};

/// The content of a mail, checked and ready to be rendered for many recipients.
///
/// Compiling is where all the work is: markup is converted, links are found, the
/// text part is made. Rendering only fills in values.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) engine: Engine,
    /// What the user wrote, by field.
    pub(crate) written: BTreeMap<Field, Written>,
    /// What is rendered, by name: `subject`, `preheader`, `html`, `text`.
    pub(crate) templates: BTreeMap<&'static str, Template>,
    pub(crate) html: Html,
    links: Vec<Link>,
    warnings: Vec<Problem>,
}

/// How the HTML part is finished after it is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Html {
    /// There is none.
    None,
    /// What is a tag and what is text is the same for everybody, so links were
    /// marked and the text part was made at compile time.
    Fixed,
    /// Templates print markup: links are found, and text is made, in each mail.
    Free,
}

#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) source: String,
    pub(crate) usage: Usage,
}

#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) field: Field,
    pub(crate) revealed: Revealed,
}

impl Compiled {
    /// Checks and compiles all parts of a mail. Every problem of every part is
    /// named at once, each where the user wrote it.
    pub fn compile(parts: Parts<'_>) -> Result<Self, Vec<Problem>> {
        let mut work = Work::new();
        work.read(Field::Subject, parts.subject, MAX_LINE_SOURCE);
        if let Some(preheader) = parts.preheader {
            work.read(Field::Preheader, preheader, MAX_LINE_SOURCE);
        }
        work.read(Field::Body, &parts.source.body, MAX_SOURCE);
        if let Some(text) = &parts.source.text {
            work.read(Field::Text, text, MAX_SOURCE);
        }
        if work.problems.is_empty() {
            work.build(parts);
        }
        if work.problems.is_empty() {
            Ok(work.compiled)
        } else {
            Err(work.problems)
        }
    }

    /// What is doubtful but does not stop the mail, such as MJML tags that do not exist.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Every variable that the mail uses, as a dotted path such as
    /// `lead.attributes.plan`, and how much it needs it.
    pub fn variables(&self) -> BTreeMap<&str, Need> {
        let mut needs = BTreeMap::new();
        for (path, need) in self
            .written
            .values()
            .flat_map(|written| &written.usage.needs)
        {
            let known = needs.entry(path.as_str()).or_insert(*need);
            *known = (*known).max(*need);
        }
        needs
    }

    /// The variables that every recipient must have.
    pub fn required(&self) -> BTreeSet<&str> {
        let needs = self.variables().into_iter();
        needs
            .filter(|(_, need)| *need == Need::Required)
            .map(|(path, _)| path)
            .collect()
    }

    /// The required variables that are absent, null or empty in `context`.
    pub fn missing(&self, context: &Context) -> Vec<String> {
        let required = self.required().into_iter();
        required
            .filter(|path| !context.has(path))
            .map(str::to_owned)
            .collect()
    }

    /// The required variables that are absent or null in `context`: a render fails without them.
    pub fn absent(&self, context: &Context) -> Vec<String> {
        let required = self.required().into_iter();
        required
            .filter(|path| context.find(path).is_none())
            .map(str::to_owned)
            .collect()
    }

    /// The web links that are the same for every recipient, each once.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether the reader is shown `unsubscribe_url`: in the HTML part, or in
    /// the text of a mail that has no HTML.
    pub fn has_unsubscribe(&self) -> bool {
        let body = self.written.get(&Field::Body);
        body.is_some_and(|body| body.usage.printed.contains("unsubscribe_url"))
    }
}

struct Work {
    compiled: Compiled,
    problems: Vec<Problem>,
}

impl Work {
    fn new() -> Self {
        let compiled = Compiled {
            engine: Engine::new(),
            written: BTreeMap::new(),
            templates: BTreeMap::new(),
            html: Html::None,
            links: Vec::new(),
            warnings: Vec::new(),
        };
        Self {
            compiled,
            problems: Vec::new(),
        }
    }

    /// Checks one part as the user wrote it.
    fn read(&mut self, field: Field, source: &str, limit: usize) {
        match check(field, source, limit) {
            Ok(usage) => {
                let written = Written {
                    source: source.to_owned(),
                    usage,
                };
                self.compiled.written.insert(field, written);
            }
            Err(faults) => {
                let faults = faults.into_iter().take(MAX_PROBLEMS);
                self.problems
                    .extend(faults.map(|fault| fault.in_field(field, source)));
            }
        }
    }

    fn build(&mut self, parts: Parts<'_>) {
        let subject = Hidden::new(parts.subject);
        self.template(
            "subject",
            Field::Subject,
            subject.reveal(&subject.text),
            parts.subject,
        );
        if let Some(source) = parts.preheader {
            let preheader = Hidden::new(source);
            self.template(
                "preheader",
                Field::Preheader,
                preheader.reveal(&preheader.text),
                source,
            );
        }
        let body = Hidden::new(&parts.source.body);
        match parts.source.format {
            Format::Text => self.text(Field::Body, &body),
            format => self.html(format, &body, parts.source.text.is_none()),
        }
        if let (Some(source), false) = (&parts.source.text, parts.source.format == Format::Text) {
            self.text(Field::Text, &Hidden::new(source));
        }
        self.compiled.links.sort();
        self.compiled
            .links
            .dedup_by(|later, first| later.url == first.url);
    }

    fn template(&mut self, name: &'static str, field: Field, revealed: Revealed, source: &str) {
        // Conversion can drop or move tags, so what passed as written may not pass now.
        let outcome = engine::check_converted(&revealed.source)
            .and_then(|()| self.compiled.engine.add(name, revealed.source.clone()));
        match outcome {
            Ok(()) => drop(
                self.compiled
                    .templates
                    .insert(name, Template { field, revealed }),
            ),
            Err(mut fault) => {
                fault.at = fault.at.and_then(|at| revealed.origin(at));
                self.problems.push(fault.in_field(field, source));
            }
        }
    }

    fn text(&mut self, field: Field, hidden: &Hidden<'_>) {
        let marked = links::mark_text(hidden);
        let source = html::splice(&hidden.text, &marked.edits);
        self.template("text", field, hidden.reveal(&source), hidden.source());
        if field == Field::Body {
            self.compiled.links = marked.links;
        }
    }

    fn html(&mut self, format: Format, hidden: &Hidden<'_>, with_text: bool) {
        let outcome = self.convert(format, hidden).and_then(|html| {
            let built = self.finish(format, hidden, &html, with_text);
            built.map_err(|Unreadable| {
                Fault::nowhere("html_unreadable", "the HTML is nested too deeply")
            })
        });
        if let Err(fault) = outcome {
            self.problems
                .push(fault.in_field(Field::Body, hidden.source()));
        }
    }

    fn warn(&mut self, hidden: &Hidden<'_>, faults: impl IntoIterator<Item = Fault>) {
        let room = MAX_PROBLEMS.saturating_sub(self.compiled.warnings.len());
        let faults = faults.into_iter().take(room);
        let problems = faults.map(|fault| fault.in_field(Field::Body, hidden.source()));
        self.compiled.warnings.extend(problems);
    }

    fn convert(&mut self, format: Format, hidden: &Hidden<'_>) -> Result<String, Fault> {
        let html = match format {
            Format::Mjml => {
                let (html, warnings) = mjml::to_html(hidden)?;
                self.warn(hidden, warnings);
                html
            }
            Format::Markdown => markdown::to_html(hidden)?,
            Format::Html | Format::Text => hidden.text.clone(),
        };
        if html.len() > MAX_OUTPUT {
            return Err(Fault::nowhere(
                "template_too_large",
                "the body makes more than 1 MiB of HTML",
            ));
        }
        self.warn(hidden, dropped(hidden, &html));
        if html.len() > GMAIL_CLIPS_AT {
            let message = format!(
                "the HTML has {} kB; Gmail cuts it off at 102 kB",
                html.len() / 1024
            );
            self.warn(hidden, [Fault::nowhere("html_too_long", message)]);
        }
        Ok(html)
    }

    /// Moves styles to where they apply. MJML has done that: what it leaves in `<style>` is meant
    /// to stay there.
    fn inline(
        &mut self,
        format: Format,
        hidden: &Hidden<'_>,
        html: &str,
    ) -> Result<Vec<(Range<usize>, String)>, Unreadable> {
        if format == Format::Mjml {
            return Ok(Vec::new());
        }
        let edits = match inline::styles(html, hidden)? {
            Inlined::Edits(edits) => edits,
            Inlined::TooMuch => {
                let message = "there are too many styles to inline; they stay in <style>";
                self.warn(hidden, [Fault::nowhere("styles_not_inlined", message)]);
                Vec::new()
            }
        };
        Ok(edits)
    }

    fn finish(
        &mut self,
        format: Format,
        hidden: &Hidden<'_>,
        html: &str,
        with_text: bool,
    ) -> Result<(), Unreadable> {
        let places = Places::new(format, hidden, html);
        let marked = links::mark_html(html, hidden, |range| places.find(range))?;
        let mut kind = match is_fixed(html, hidden)? {
            true => Html::Fixed,
            false => Html::Free,
        };
        if with_text && kind == Html::Fixed {
            let text = hidden.reveal(&text::from_template(html, hidden)?);
            match engine::check_converted(&text.source) {
                Ok(()) => self.template("text", Field::Body, text, hidden.source()),
                Err(_) => kind = Html::Free,
            }
        }
        let Marked {
            edits,
            links,
            warnings,
        } = marked;
        self.warn(hidden, warnings);
        self.compiled.links = links;
        self.compiled.html = kind;
        let mut edits = if kind == Html::Fixed {
            edits
        } else {
            Vec::new()
        };
        edits.extend(self.inline(format, hidden, html)?);
        let source = html::splice(html, &with_body_marks(html::body(html)?, edits));
        self.template("html", Field::Body, hidden.reveal(&source), hidden.source());
        Ok(())
    }
}

fn check(field: Field, source: &str, limit: usize) -> Result<Usage, Vec<Fault>> {
    if source.len() > limit {
        let message = format!("the {field} is longer than {limit} bytes");
        return Err(vec![Fault::nowhere("template_too_large", message)]);
    }
    let is_line = matches!(field, Field::Subject | Field::Preheader);
    if let (true, Some(at)) = (is_line, source.find(char::is_control)) {
        let message = format!("the {field} is one line, without control characters");
        return Err(vec![Fault::at(at, "control_character", message)]);
    }
    engine::check(source)
}

/// Adds the marks for the preheader and the pixel, in order among the links.
fn with_body_marks(
    body: html::Body,
    mut edits: Vec<(Range<usize>, String)>,
) -> Vec<(Range<usize>, String)> {
    edits.push((body.start..body.start, mark::PREHEADER.to_string()));
    edits.push((body.end..body.end, mark::PIXEL.to_string()));
    edits.sort_by_key(|edit| (edit.0.start, edit.0.end));
    edits
}

/// Whether every tag stands where it cannot change what is markup.
fn is_fixed(html: &str, hidden: &Hidden<'_>) -> Result<bool, Unreadable> {
    if engine::prints_markup(hidden.source()) {
        return Ok(false);
    }
    let mut harmless = 0;
    for piece in html::pieces(html)? {
        let (text, enclosed) = match &piece {
            Piece::Text(text) => (text, false),
            Piece::Value(text) | Piece::Enclosed(text) => (text, true),
        };
        if enclosed && hidden.has_silent(text) && !engine::is_whole(&hidden.reveal(text).source) {
            return Ok(false);
        }
        harmless += hidden.words(text).len();
    }
    Ok(harmless == hidden.words(html).len())
}

/// Tags that the conversion lost, because they stand where nothing is printed.
fn dropped(hidden: &Hidden<'_>, html: &str) -> Vec<Fault> {
    let kept: BTreeSet<usize> = hidden.words(html).into_iter().collect();
    let lost = hidden
        .tags
        .iter()
        .enumerate()
        .filter(|(number, _)| !kept.contains(number));
    lost.map(|(_, tag)| (tag, hidden.source()[tag.source.clone()].trim()))
        .filter(|(_, text)| !text.is_empty())
        .map(|(tag, text)| {
            let message = format!("`{text}` stands where nothing is printed and is left out");
            Fault::at(tag.source.start, "tag_dropped", message)
        })
        .collect()
}

/// Where in the user's source a piece of the HTML was written.
struct Places<'h> {
    format: Format,
    hidden: &'h Hidden<'h>,
    html: &'h str,
    /// Searches that are left: each may read the whole source.
    searches: Cell<usize>,
}

impl<'h> Places<'h> {
    fn new(format: Format, hidden: &'h Hidden<'h>, html: &'h str) -> Self {
        Self {
            format,
            hidden,
            html,
            searches: Cell::new(200),
        }
    }

    /// Converted HTML does not tell where it came from, so the piece is looked for.
    fn find(&self, range: &Range<usize>) -> Option<usize> {
        if self.format == Format::Html {
            return Some(self.hidden.origin(range.start));
        }
        self.searches.set(self.searches.get().checked_sub(1)?);
        let value = Some(&self.html[range.clone()]).filter(|value| !value.is_empty())?;
        let source = self.hidden.source();
        source
            .find(value)
            .or_else(|| source.find(entities::decode_attribute(value).as_ref()))
    }
}
