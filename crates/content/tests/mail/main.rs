//! The crate as its users see it.

mod attacks;
mod compile;
mod filters;
mod links;
mod parts;
mod properties;
mod render;

use content::{Compiled, Context, Format, Parts, Problem, RenderError, Rendered, Source};
use serde_json::json;

fn source(format: Format, body: &str) -> Source {
    Source {
        format,
        body: body.to_owned(),
        text: None,
    }
}

fn compile(format: Format, body: &str) -> Result<Compiled, Vec<Problem>> {
    let source = source(format, body);
    Compiled::compile(Parts {
        subject: "Hello",
        preheader: None,
        source: &source,
    })
}

fn compiled(format: Format, body: &str) -> Compiled {
    compile(format, body).unwrap_or_else(|problems| panic!("{body:?} must compile: {problems:?}"))
}

fn html(body: &str) -> Compiled {
    compiled(Format::Html, body)
}

/// The code of the only problem of a body.
fn problem(format: Format, body: &str) -> Problem {
    let mut problems = compile(format, body).expect_err("the body must be refused");
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn ada() -> Context {
    Context::new()
        .with(
            "lead",
            json!({
                "first_name": "Ada", "last_name": null, "company": "", "score": 42,
                "tags": ["a", "b"], "attributes": {"plan": "gold"}, "timezone": "Europe/Rome",
            }),
        )
        .with("campaign", json!({"name": "Spring"}))
        .with("unsubscribe_url", "https://mail.example/u/token?a=1&b=2")
        .with("preferences_url", "https://mail.example/p/token")
        .with("view_url", "https://mail.example/v/token")
}

/// The text of a mail that is written as text.
fn print(body: &str, context: &Context) -> Result<String, RenderError> {
    compiled(Format::Text, body)
        .render(context)
        .map(|mail| mail.text)
}

fn mail(body: &str) -> Rendered {
    html(body)
        .render(&ada())
        .unwrap_or_else(|error| panic!("{body:?} must render: {error}"))
}
