use crate::compiled::{Compiled, Html};
use crate::context::Context;
use crate::engine::Failure;
use crate::limits::{MAX_LINE_OUTPUT, MAX_OUTPUT};
use crate::links::{self, Desk, Rewrite};
use crate::problem::{Field, line_column};
use crate::weave::{Woven, weave};
use crate::{entities, text};

/// One mail, for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line without control characters.
    pub subject: String,
    /// One line without control characters. Already in the HTML, hidden.
    pub preheader: Option<String>,
    /// Absent when the mail was written as text.
    pub html: Option<String>,
    pub text: String,
}

/// What is added to a mail to learn whether it is read.
#[derive(Default)]
pub struct Tracking<'f> {
    /// Asked about every `http` and `https` link; see [`rewrite_links`](crate::rewrite_links).
    pub links: Option<&'f mut Rewrite<'f>>,
    /// Address of the open pixel.
    pub pixel: Option<&'f str>,
    /// Address of a link that nobody sees; of mails with HTML only.
    pub canary: Option<&'f str>,
}

impl std::fmt::Debug for Tracking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracking")
            .field("pixel", &self.pixel)
            .field("canary", &self.canary)
            .finish_non_exhaustive()
    }
}

/// Why a mail cannot be made for this recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Absent or null, and nothing stands in. Empty text is printed as it is,
    /// although [`Compiled::missing`] counts it: before a send it is a mistake to
    /// ask about, during one the value may well be meant.
    #[error("{field}: no value for {}", variables.join(", "))]
    MissingVariables {
        field: Field,
        variables: Vec<String>,
    },
    #[error("{field}: the template takes too long or too much memory to render")]
    TooExpensive { field: Field },
    #[error("{field}: the template makes more than {limit} bytes")]
    TooLarge { field: Field, limit: usize },
    #[error(
        "the recipient's data is larger than {} bytes or too deeply nested",
        crate::limits::MAX_CONTEXT
    )]
    DataTooLarge,
    #[error("{field}{}: {message}", at(*line))]
    Failed {
        field: Field,
        line: Option<usize>,
        message: String,
    },
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}"))
        .unwrap_or_default()
}

impl RenderError {
    /// Stable, for clients to branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingVariables { .. } => "missing_variable",
            Self::TooExpensive { .. } => "template_too_expensive",
            Self::TooLarge { .. } => "template_output_too_large",
            Self::DataTooLarge => "data_too_large",
            Self::Failed { .. } => "template_failed",
        }
    }
}

impl Compiled {
    /// Renders all parts for one recipient, with no tracking.
    pub fn render(&self, context: &Context) -> Result<Rendered, RenderError> {
        self.render_tracked(context, Tracking::default())
    }

    /// Renders all parts for one recipient. Links are rewritten in the HTML and
    /// in the text, the same destination the same way in both.
    pub fn render_tracked<'f>(
        &'f self,
        context: &'f Context,
        tracking: Tracking<'f>,
    ) -> Result<Rendered, RenderError> {
        if context.is_too_large() {
            return Err(RenderError::DataTooLarge);
        }
        let job = Job {
            compiled: self,
            context,
            root: context.root(),
        };
        let subject = one_line(&job.part("subject", MAX_LINE_OUTPUT)?);
        let preheader = match self.templates.contains_key("preheader") {
            true => Some(one_line(&job.part("preheader", MAX_LINE_OUTPUT)?)),
            false => None,
        };
        let mut desk = Desk::new(context.reserved(), tracking.links);
        let signs = tracking.pixel.map(pixel_html).unwrap_or_default()
            + &tracking.canary.map(canary_html).unwrap_or_default();
        let (html, own_text) = job.html(&mut desk, preheader.as_deref(), &signs)?;
        let text = match own_text {
            Some(text) => text,
            None => job.text(&mut desk)?,
        };
        Ok(Rendered {
            subject,
            preheader,
            html,
            text,
        })
    }
}

struct Job<'c> {
    compiled: &'c Compiled,
    context: &'c Context,
    root: minijinja::Value,
}

impl Job<'_> {
    fn part(&self, name: &'static str, cap: usize) -> Result<String, RenderError> {
        let rendered = self.compiled.engine.render(name, self.root.clone(), cap);
        rendered.map_err(|failure| self.error(name, cap, failure))
    }

    /// The HTML part, and the text made from it when it can only be made now.
    fn html(
        &self,
        desk: &mut Desk<'_>,
        preheader: Option<&str>,
        pixel: &str,
    ) -> Result<(Option<String>, Option<String>), RenderError> {
        if self.compiled.html == Html::None {
            return Ok((None, None));
        }
        let rendered = self.part("html", MAX_OUTPUT)?;
        let preheader = preheader.map(preheader_html).unwrap_or_default();
        let woven = Woven {
            pixel,
            preheader: &preheader,
        };
        if self.compiled.html == Html::Fixed {
            return Ok((Some(weave(&rendered, &woven, |link| desk.html(link))), None));
        }
        let unreadable = |_| RenderError::Failed {
            field: Field::Body,
            line: None,
            message: "the HTML is nested too deeply".to_owned(),
        };
        let rewritten = links::rewrite_at(&rendered, desk).map_err(unreadable)?;
        let text = match self.compiled.templates.contains_key("text") {
            true => None,
            false => Some(text::tidy(
                &text::from_html(&rewritten).map_err(unreadable)?,
            )),
        };
        Ok((Some(weave(&rewritten, &woven, |_| None)), text))
    }

    fn text(&self, desk: &mut Desk<'_>) -> Result<String, RenderError> {
        let rendered = self.part("text", MAX_OUTPUT)?;
        let woven = weave(
            &rendered,
            &Woven {
                pixel: "",
                preheader: "",
            },
            |link| desk.text(link),
        );
        let made =
            self.compiled.html != Html::None && !self.compiled.written.contains_key(&Field::Text);
        Ok(if made { text::tidy(&woven) } else { woven })
    }

    fn error(&self, name: &'static str, limit: usize, failure: Failure) -> RenderError {
        let template = &self.compiled.templates[name];
        let field = template.field;
        let origin = |at: Option<usize>| at.and_then(|at| template.revealed.origin(at));
        match failure {
            Failure::TooExpensive => RenderError::TooExpensive { field },
            Failure::TooLarge => RenderError::TooLarge { field, limit },
            Failure::Missing { at } => {
                let at = origin(at);
                let mut variables = self.missing(field, at);
                if variables.is_empty() {
                    variables.extend(self.tag_text(field, at));
                }
                RenderError::MissingVariables { field, variables }
            }
            Failure::Wrong { at, message } => self.wrong(field, origin(at), message),
        }
    }

    /// Arithmetic with nothing fails as such; what is missing says more.
    fn wrong(&self, field: Field, at: Option<usize>, message: String) -> RenderError {
        let variables = self.missing(field, at);
        if !variables.is_empty() {
            return RenderError::MissingVariables { field, variables };
        }
        let source = &self.compiled.written[&field].source;
        let line = at.map(|at| line_column(source, at).0);
        RenderError::Failed {
            field,
            line,
            message,
        }
    }

    /// Names what is absent or null in the tag around an offset; or, when that is
    /// no path of the data but a part of a list, the tag itself.
    fn missing(&self, field: Field, at: Option<usize>) -> Vec<String> {
        let paths = at.and_then(|at| self.compiled.written[&field].usage.tag_at(at));
        let paths = paths.into_iter().flat_map(|(_, paths)| paths);
        paths
            .filter(|path| self.context.find(path).is_none())
            .cloned()
            .collect()
    }

    fn tag_text(&self, field: Field, at: Option<usize>) -> Option<String> {
        let written = &self.compiled.written[&field];
        let (start, _) = at.and_then(|at| written.usage.tag_at(at))?;
        let tag = written.source[start..].trim_start_matches(['{', '%', '-', '+']);
        let end = tag.find(['}', '%', '\n']).unwrap_or(tag.len());
        Some(
            tag[..end]
                .trim_end_matches('-')
                .trim()
                .chars()
                .take(80)
                .collect(),
        )
    }
}

/// Headers are one line each: whatever could end or hide a line becomes a space.
fn one_line(text: &str) -> String {
    let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    match text.contains(breaks) {
        true => {
            let words = text
                .split(breaks)
                .map(str::trim)
                .filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        }
        false => text.trim().to_owned(),
    }
}

fn pixel_html(url: &str) -> String {
    let url = entities::escape(url);
    format!(
        "<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\" style=\"display:block;width:1px;height:1px;border:0;\">"
    )
}

/// No reader shows it, and no screen reader tells of it; programs that follow every link follow it.
fn canary_html(url: &str) -> String {
    let url = entities::escape(url);
    format!("<a href=\"{url}\" tabindex=\"-1\" aria-hidden=\"true\" style=\"display:none;\"></a>")
}

/// Hidden text at the top, with filler so that clients do not go on with the body.
fn preheader_html(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut html = String::with_capacity(text.len() + 1_200);
    html.push_str(
        "<div style=\"display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;\
         font-size:1px;line-height:1px;color:transparent;\">",
    );
    html.push_str(&entities::escape(text));
    html.push_str(&"&nbsp;&zwnj;".repeat(60));
    html.push_str("</div>");
    html
}
