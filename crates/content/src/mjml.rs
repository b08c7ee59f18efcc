use htmlparser::{ElementEnd, Token, Tokenizer};
use mrml::prelude::parser::{Error, WarningKind};
use mrml::prelude::render::RenderOptions;

use crate::limits::{MAX_ATTRIBUTES, MAX_ELEMENT_DEPTH, MAX_ELEMENTS};
use crate::problem::Fault;
use crate::tags::Hidden;

/// HTML from MJML with hidden tags, and what looks wrong in the MJML.
/// Offsets count in the user's source.
pub(crate) fn to_html(hidden: &Hidden<'_>) -> Result<(String, Vec<Fault>), Fault> {
    let ascii = Ascii::of(hidden);
    let mut warnings = measure(&ascii)?;
    let parsed = mrml::parse(&ascii.text).map_err(|error| fault(&ascii, &error))?;
    warnings.extend(parsed.warnings.iter().map(|warning| {
        let at = ascii.origin(warning.span.start);
        match warning.kind {
            WarningKind::UnexpectedAttribute => Fault::at(
                at,
                "mjml_unknown_attribute",
                "MJML does not know this attribute here",
            ),
            WarningKind::InlineStyleUnsupported => Fault::at(
                at,
                "mjml_inline_style",
                "styles are not inlined; write them on the elements",
            ),
        }
    }));
    let html = parsed
        .element
        .render(&RenderOptions::default())
        .map_err(|error| {
            Fault::nowhere(
                "mjml_invalid",
                format!("the MJML cannot be rendered: {error}"),
            )
        })?;
    Ok((ascii.undo(&html), warnings))
}

fn fault(ascii: &Ascii<'_>, error: &Error) -> Fault {
    let (at, message) = match error {
        Error::UnexpectedElement { position, .. } => {
            (position.start, "this element cannot stand here".to_owned())
        }
        Error::UnexpectedToken { position, .. } => (
            position.start,
            "this cannot stand here; is an element not closed?".to_owned(),
        ),
        Error::MissingAttribute { name, position, .. } => {
            (position.start, format!("the attribute `{name}` is missing"))
        }
        Error::InvalidAttribute { position, .. } => {
            (position.start, "this attribute is not valid".to_owned())
        }
        Error::InvalidFormat { position, .. } => (position.start, "this cannot be read".to_owned()),
        Error::IncludeLoaderError { position, .. } => {
            (position.start, "`mj-include` is not available".to_owned())
        }
        Error::ParserError { source, .. } => {
            let place = source.pos();
            let at = offset(&ascii.text, place.row as usize, place.col as usize);
            (at, "this is not well-formed markup".to_owned())
        }
        Error::EndOfStream { .. } => (ascii.text.len(), "an element is not closed".to_owned()),
        Error::NoRootNode => return Fault::at(0, "mjml_invalid", "there is no `mjml` element"),
        Error::SizeLimit { .. } => return Fault::nowhere("mjml_invalid", "the MJML is too long"),
    };
    Fault::at(ascii.origin(at), "mjml_invalid", message)
}

/// The offset of a row and a column, both counted from 1.
fn offset(text: &str, row: usize, column: usize) -> usize {
    let line: usize = text
        .split_inclusive('\n')
        .take(row.saturating_sub(1))
        .map(str::len)
        .sum();
    let into = text[line..].char_indices().nth(column.saturating_sub(1));
    line + into.map_or(0, |(at, _)| at)
}

/// Hidden text with every other letter spelled in ASCII: the tokenizer cuts texts
/// between bytes, and a letter of several bytes before a `>` makes it panic.
struct Ascii<'h> {
    hidden: &'h Hidden<'h>,
    text: String,
    /// Begins the spelling of a letter.
    prefix: String,
    /// Offsets here and in the hidden text, after each spelled letter.
    steps: Vec<(usize, usize)>,
}

impl<'h> Ascii<'h> {
    fn of(hidden: &'h Hidden<'h>) -> Self {
        let mut ascii = Self {
            hidden,
            text: String::with_capacity(hidden.text.len()),
            prefix: format!("{}u", hidden.prefix()),
            steps: vec![(0, 0)],
        };
        for (at, letter) in hidden.text.char_indices() {
            if letter.is_ascii() {
                ascii.text.push(letter);
            } else {
                let spelled = format!("{}{:x}{SPELLED}", ascii.prefix, u32::from(letter));
                ascii.text.push_str(&spelled);
                ascii.steps.push((ascii.text.len(), at + letter.len_utf8()));
            }
        }
        ascii
    }

    /// The place in the user's source of an offset into `text`.
    fn origin(&self, at: usize) -> usize {
        let step = self
            .steps
            .partition_point(|step| step.0 <= at)
            .saturating_sub(1);
        let (here, there) = self.steps[step];
        self.hidden
            .origin((there + at - here).min(self.hidden.text.len()))
    }

    fn undo(&self, html: &str) -> String {
        let mut result = String::with_capacity(html.len());
        let mut pieces = html.split(self.prefix.as_str());
        result.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (spelled, rest) = piece.split_once(SPELLED).unwrap_or((piece, ""));
            let letter = u32::from_str_radix(spelled, 16)
                .ok()
                .and_then(char::from_u32);
            result.extend(letter);
            result.push_str(rest);
        }
        result
    }
}

/// Ends the spelling of a letter; no hexadecimal digit.
const SPELLED: char = 'q';

/// Refuses what would exhaust the stack or the memory of the recursive parser
/// and of the renderer, and finds tags that MJML does not know, which it would
/// pass on as HTML that no client shows. Reads the tokens that the parser reads,
/// so nothing can hide from it.
fn measure(ascii: &Ascii<'_>) -> Result<Vec<Fault>, Fault> {
    let mut measure = Measure::default();
    for token in Tokenizer::from(ascii.text.as_str()).map_while(Result::ok) {
        measure.take(token, |at| ascii.origin(at))?;
    }
    match measure.open.pop() {
        Some((name, at)) => Err(invalid(at, format!("`{name}` is not closed"))),
        None => Ok(measure.unknown),
    }
}

#[derive(Default)]
struct Measure<'t> {
    depth: usize,
    elements: usize,
    attributes: usize,
    /// The start tag being read, and where it begins.
    tag: (&'t str, usize),
    /// MJML elements that are open.
    open: Vec<(&'t str, usize)>,
    unknown: Vec<Fault>,
}

impl<'t> Measure<'t> {
    fn take(&mut self, token: Token<'t>, origin: impl Fn(usize) -> usize) -> Result<(), Fault> {
        match token {
            Token::ElementStart { local, span, .. } => {
                self.tag = (local.as_str(), origin(span.start()));
                self.elements += 1;
                self.attributes = 0;
                within(self.elements, MAX_ELEMENTS, "elements", self.tag.1)
            }
            Token::Attribute { .. } => {
                self.attributes += 1;
                within(
                    self.attributes,
                    MAX_ATTRIBUTES,
                    "attributes on one element",
                    self.tag.1,
                )
            }
            Token::ElementEnd { end, span } => match end {
                ElementEnd::Close(_, local) => self.close(local.as_str(), origin(span.start())),
                ElementEnd::Open => self.begin(true),
                ElementEnd::Empty => self.begin(false),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, has_content: bool) -> Result<(), Fault> {
        let (name, at) = self.tag;
        if is_mjml(name) && name != "mjml" && !KNOWN.contains(&name) {
            let message = format!("MJML does not know `{name}`");
            self.unknown
                .push(Fault::at(at, "mjml_unknown_tag", message));
        }
        if has_content && is_mjml(name) {
            self.open.push((name, at));
        }
        self.depth += usize::from(has_content && !VOID.contains(&name));
        within(self.depth, MAX_ELEMENT_DEPTH, "nested elements", at)
    }

    /// The parser takes any closing tag for the right one; a mail with a
    /// misplaced one looks broken instead.
    fn close(&mut self, name: &str, at: usize) -> Result<(), Fault> {
        self.depth = self.depth.saturating_sub(1);
        if !is_mjml(name) {
            return Ok(());
        }
        match self.open.pop() {
            Some((opened, _)) if opened == name => Ok(()),
            Some((opened, _)) => Err(invalid(
                at,
                format!("`{name}` is closed, but `{opened}` is open"),
            )),
            None => Err(invalid(at, format!("`{name}` is closed, but not open"))),
        }
    }
}

fn is_mjml(name: &str) -> bool {
    name == "mjml" || name.starts_with("mj-")
}

fn invalid(at: usize, message: String) -> Fault {
    Fault::at(at, "mjml_invalid", message)
}

fn within(count: usize, limit: usize, what: &str, at: usize) -> Result<(), Fault> {
    match count > limit {
        true => Err(Fault::at(
            at,
            "template_too_complex",
            format!("the MJML has more than {limit} {what}"),
        )),
        false => Ok(()),
    }
}

/// Elements whose start tag is all of them; fewer than the parser knows, to be safe.
const VOID: &[&str] = &[
    "area", "br", "col", "hr", "img", "input", "link", "meta", "wbr",
];

const KNOWN: &[&str] = &[
    "mj-accordion",
    "mj-accordion-element",
    "mj-accordion-text",
    "mj-accordion-title",
    "mj-all",
    "mj-attributes",
    "mj-body",
    "mj-breakpoint",
    "mj-button",
    "mj-carousel",
    "mj-carousel-image",
    "mj-class",
    "mj-column",
    "mj-divider",
    "mj-font",
    "mj-group",
    "mj-head",
    "mj-hero",
    "mj-image",
    "mj-include",
    "mj-navbar",
    "mj-navbar-link",
    "mj-preview",
    "mj-raw",
    "mj-section",
    "mj-social",
    "mj-social-element",
    "mj-spacer",
    "mj-style",
    "mj-table",
    "mj-text",
    "mj-title",
    "mj-wrapper",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::line_column;

    fn place(source: &str, fault: &Fault) -> (usize, usize) {
        line_column(source, fault.at.expect("the fault has a place"))
    }

    fn convert(source: &str) -> Result<(String, Vec<Fault>), Fault> {
        let hidden = Hidden::new(source);
        to_html(&hidden).map(|(html, warnings)| (hidden.reveal(&html).source, warnings))
    }

    fn column(inside: &str) -> String {
        format!(
            "<mjml><mj-body><mj-section><mj-column>{inside}</mj-column></mj-section></mj-body></mjml>"
        )
    }

    #[test]
    fn tags_survive_mjml_wherever_they_stand() {
        let source = "<mjml><mj-head><mj-title>{{ t }}</mj-title></mj-head><mj-body>\
            {% if a < b %}<mj-section><mj-column>{% for x in y %}<mj-text>{{ x|default(\"<q>\") }}</mj-text>\
            {% endfor %}<mj-button href=\"{{ \"https://a\" }}?b=1&amp;c={{ d }}\">go</mj-button>\
            </mj-column></mj-section>{% endif %}</mj-body></mjml>";
        let (html, warnings) = convert(source).unwrap();
        assert_eq!(warnings, []);
        for tag in [
            "{{ t }}",
            "{% if a < b %}",
            "{% for x in y %}",
            "{{ x|default(\"<q>\") }}",
            "{% endfor %}",
            "{% endif %}",
        ] {
            assert!(html.contains(tag), "{tag} is missing in {html}");
        }
        assert!(
            html.contains("href=\"{{ \"https://a\" }}?b=1&amp;c={{ d }}\""),
            "{html}"
        );
    }

    #[test]
    fn a_fault_stands_where_the_user_wrote_it() {
        let source = "<mjml>\n<mj-body>\n {{ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }}<mj-section></mj-column>\n</mj-body></mjml>";
        let fault = convert(source).unwrap_err();
        assert_eq!(fault.code, "mjml_invalid");
        assert_eq!(place(source, &fault).0, 3, "{fault:?}");
        assert_eq!(convert("<p>x</p>").unwrap_err().code, "mjml_invalid");
        assert_eq!(convert("").unwrap_err().code, "mjml_invalid");
        assert_eq!(convert("<mjml><mj-body>").unwrap_err().code, "mjml_invalid");
        assert_eq!(
            convert("<mjml><mj-body a=></mj-body></mjml>")
                .unwrap_err()
                .code,
            "mjml_invalid"
        );
        let include = "<mjml><mj-body><mj-include path='/etc/passwd' /></mj-body></mjml>";
        assert_eq!(
            convert(include).unwrap_err().message,
            "`mj-include` is not available"
        );
    }

    #[test]
    fn what_mjml_does_not_know_is_a_warning() {
        let source = "<mjml nope='1'><mj-head><mj-style inline='inline'>p{}</mj-style></mj-head>\
                      <mj-body><mj-txt>x</mj-txt></mj-body></mjml>";
        let mut codes: Vec<_> = convert(source)
            .unwrap()
            .1
            .into_iter()
            .map(|w| w.code)
            .collect();
        codes.sort_unstable();
        assert_eq!(
            codes,
            [
                "mjml_inline_style",
                "mjml_unknown_attribute",
                "mjml_unknown_tag"
            ]
        );
    }

    #[test]
    fn letters_of_many_bytes_survive_wherever_they_stand() {
        let inside = "<mj-text css-class=\"é\">é> 🐎>{{ 'ü'|upper }}ž]]</mj-text><mj-raw><!-- é> --></mj-raw>";
        let html = convert(&column(inside)).unwrap().0;
        for kept in ["é> 🐎>{{ 'ü'|upper }}ž]]", "<!-- é> -->"] {
            assert!(html.contains(kept), "{kept} is missing in {html}");
        }
        let source = "<mjml><mj-body>éé🐎</mj-text></mj-body></mjml>";
        assert_eq!(place(source, &convert(source).unwrap_err()), (1, 19));
    }

    #[test]
    fn a_wrong_closing_tag_is_named() {
        let source = "<mjml><mj-body><mj-section>\n</mj-column></mj-section></mj-body></mjml>";
        let fault = convert(source).unwrap_err();
        assert_eq!(
            fault.message,
            "`mj-column` is closed, but `mj-section` is open"
        );
        assert_eq!(place(source, &fault), (2, 1));
        assert_eq!(
            convert("<mjml></mjml></mjml>").unwrap_err().code,
            "mjml_invalid"
        );
        let open = convert("<mjml>\n<mj-body></mjml>").unwrap_err();
        assert_eq!(open.message, "`mjml` is closed, but `mj-body` is open");
    }

    #[test]
    fn mjml_that_exhausts_the_parser_is_refused() {
        for inside in [
            "<a>".repeat(100_000),
            "<mj-divider/>".repeat(5_001),
            format!("<mj-text {}/>", "a='b' ".repeat(101)),
        ] {
            assert_eq!(
                convert(&column(&inside)).unwrap_err().code,
                "template_too_complex"
            );
        }
    }
}
