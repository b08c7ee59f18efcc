//! Templates that are written to exhaust or to read the process.

use std::time::{Duration, Instant};

use content::{Context, Format, RenderError, limits};
use serde_json::json;

use crate::{compile, compiled, problem};

/// Generous: the machine may be busy. Without its bounds, each attack needs
/// hours or more memory than there is.
const SOON: Duration = Duration::from_secs(20);

fn refused(body: &str) {
    let start = Instant::now();
    let problems = compile(Format::Text, body).expect_err("must be refused");
    assert!(!problems.is_empty());
    assert!(
        start.elapsed() < SOON,
        "{} took {:?}",
        problems[0],
        start.elapsed()
    );
}

fn ends(body: &str, context: &Context) -> RenderError {
    let mail = compiled(Format::Text, body);
    let start = Instant::now();
    let error = mail.render(context).expect_err("must not render");
    assert!(start.elapsed() < SOON, "{error} took {:?}", start.elapsed());
    error
}

fn long() -> Context {
    let list: Vec<_> = (0..4_000).collect();
    Context::new()
        .with("x", "a".repeat(60_000))
        .with("list", json!(list))
}

#[test]
fn the_attacks_known_for_the_engine_are_refused() {
    refused("{{ '%1000000000s'|format('x') }}");
    refused(&format!(
        "{{% set ns = namespace(s='aaaaaaaa') %}}{}",
        "{% set ns.s = ns.s ~ ns.s %}".repeat(22)
    ));
    refused("{{ range(99999)|join(range(99999)|join('x')) }}");
    refused(&format!(
        "{{% set s = 'aaaaaaaa' %}}{}{{{{ s }}}}",
        "{% set s = s + s %}".repeat(40)
    ));
    refused(&format!(
        "{{% set s = 'aaaaaaaa' %}}{}{{{{ s }}}}",
        "{% set s = s ~ s %}".repeat(40)
    ));
    refused(&"{% set s %}{{ s }}{{ s }}{% endset %}".repeat(40));
    refused("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}");
    refused("{{ 'x' * 1000000000 }}");
    refused("{{ 9 ** 9 * 'x' }}");
    refused("{% for x in range(1000000000) %}x{% endfor %}");
    refused("{% for x in y recursive %}{{ loop(y) }}{% endfor %}");
    refused("{% set l = [1] %}{% for i in l %}{% set l = l + l %}{% endfor %}");
    refused("{{ lead|tojson|indent(99999999) }}");
    refused("{{ x|batch(1)|list|pprint }}");
}

#[test]
fn nothing_outside_the_context_can_be_read() {
    for body in [
        "{% include '/etc/passwd' %}",
        "{% extends '/etc/passwd' %}",
        "{% import '/etc/passwd' as p %}",
        "{% from '/etc/passwd' import p %}",
        "{% block a %}{% endblock %}",
        "{{ debug() }}",
        "{{ self.body() }}",
        "{{ lead.__class__.mro() }}",
        "{{ super() }}",
    ] {
        refused(body);
    }
    let include = "<mjml><mj-body><mj-include path=\"/etc/passwd\" /></mj-body></mjml>";
    assert_eq!(problem(Format::Mjml, include).code, "mjml_invalid");
}

#[test]
fn loops_end() {
    let nested = "{% for a in list %}{% for b in list %}{% for c in list %}{% endfor %}{% endfor %}{% endfor %}";
    assert_eq!(ends(nested, &long()).code(), "template_too_expensive");
    let searching = "{% for a in list %}{% for b in list %}{% if 'ab' in x %}{% endif %}{% endfor %}{% endfor %}";
    assert_eq!(ends(searching, &long()).code(), "template_too_expensive");
    let letters = "{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}";
    let error = ends(letters, &long());
    assert!(
        matches!(error.code(), "template_too_expensive" | "template_failed"),
        "{error}"
    );
}

#[test]
fn filters_together_have_one_purse() {
    // Each stays small; kept in variables or repeated, they would add up.
    let kept: String = (0..2_000)
        .map(|n| format!("{{% set v{n} = x|upper %}}"))
        .collect();
    assert_eq!(ends(&kept, &long()).code(), "template_too_expensive");
    let looped = "{% for a in list %}{% set y = x|lower %}{% endfor %}";
    assert_eq!(ends(looped, &long()).code(), "template_too_expensive");
    let chain = format!(
        "{{{{ x{} }}}}",
        "|replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaa')".repeat(8)
    );
    assert_eq!(ends(&chain, &long()).code(), "template_too_expensive");
    let joined = "{% set y = list|join(x) %}";
    assert_eq!(ends(joined, &long()).code(), "template_too_expensive");
    let encoded = format!("{{{{ x{} }}}}", "|urlencode".repeat(20));
    assert_eq!(ends(&encoded, &long()).code(), "template_too_expensive");
    let measured = "{% for a in list %}{% if x|length > 3 %}{% endif %}{% endfor %}";
    assert_eq!(ends(measured, &long()).code(), "template_too_expensive");
}

#[test]
fn output_ends_at_its_cap() {
    let body = "{% for a in list %}{{ x }}{% endfor %}";
    let error = ends(body, &long());
    assert_eq!(error.code(), "template_output_too_large");
    let raw = format!("{{% for a in list %}}{}{{% endfor %}}", "y".repeat(500_000));
    assert_eq!(ends(&raw, &long()).code(), "template_output_too_large");
}

#[test]
fn data_is_bounded() {
    let context = Context::new().with("x", "a".repeat(limits::MAX_CONTEXT + 1));
    assert_eq!(ends("{{ x }}", &context).code(), "data_too_large");
}

#[test]
fn sources_are_bounded_whatever_they_hold() {
    refused(&"x".repeat(limits::MAX_SOURCE + 1));
    refused(&"{".repeat(limits::MAX_SOURCE + 1));
    for unit in [
        "{{",
        "{%",
        "{#",
        "{% if a %}",
        "{{ a }}",
        "{% raw %}",
        "{{ '",
        "{{-",
        "{% for",
        "{{ (",
        "{{ a.",
    ] {
        let start = Instant::now();
        let body = unit.repeat(40_000 / unit.len());
        assert!(compile(Format::Text, &body).is_err(), "{unit}");
        assert!(start.elapsed() < SOON, "{unit} took {:?}", start.elapsed());
    }
    for unit in [
        "<a href=",
        "<a ",
        "<!--",
        "<p>",
        "</",
        "<style>",
        "<a href=\"https://x\">",
        "&",
        "&#",
        "<![CDATA[",
    ] {
        let start = Instant::now();
        let body = unit.repeat(40_000 / unit.len());
        let _ = compile(Format::Html, &body).map(|mail| mail.render(&Context::new()));
        let _ = compile(Format::Markdown, &body);
        let _ = compile(
            Format::Mjml,
            &format!("<mjml><mj-body>{body}</mj-body></mjml>"),
        );
        assert!(start.elapsed() < SOON, "{unit} took {:?}", start.elapsed());
    }
    for unit in [
        "> ",
        "- ",
        "[",
        "![",
        "*",
        "_",
        "`",
        "|",
        "[a](",
        "1. ",
        "\t",
        "***a",
        "[a]: b\n[a]\n",
    ] {
        let start = Instant::now();
        let _ = compile(Format::Markdown, &unit.repeat(40_000 / unit.len()));
        assert!(
            start.elapsed() < SOON,
            "{unit:?} took {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_line_cannot_become_two_headers() {
    let source = content::Source {
        format: Format::Text,
        body: String::new(),
        text: None,
    };
    for subject in ["Hi\r\nBcc: a@b.c", "Hi\nX: y", "Hi\0", "{{ a }}\r"] {
        let parts = content::Parts {
            subject,
            preheader: Some(subject),
            source: &source,
        };
        let problems = content::Compiled::compile(parts).expect_err("must be refused");
        assert!(
            problems
                .iter()
                .all(|problem| problem.code == "control_character"),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 2);
    }
    let parts = content::Parts {
        subject: "Hi {{ name }}",
        preheader: Some("{{ name }}"),
        source: &source,
    };
    let mail = content::Compiled::compile(parts).expect("must compile");
    let context = Context::new().with("name", "Ada\r\nBcc: x@y.z\u{2028}\u{85}\0 B");
    let rendered = mail.render(&context).expect("must render");
    assert_eq!(rendered.subject, "Hi Ada Bcc: x@y.z B");
    assert_eq!(rendered.preheader.as_deref(), Some("Ada Bcc: x@y.z B"));
}
