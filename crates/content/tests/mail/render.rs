use content::{Compiled, Context, Field, Format, Parts, Prepared, RenderError, Source};
use serde_json::json;

use crate::{ada, compiled, html, mail, print};

fn missing(body: &str, context: &Context) -> Vec<String> {
    match html(body).render(context) {
        Err(RenderError::MissingVariables {
            field: Field::Body,
            variables,
        }) => variables,
        other => panic!("{body} gave {other:?}"),
    }
}

#[test]
fn a_missing_variable_is_named() {
    assert_eq!(missing("Hi {{ lead.nope }}", &ada()), ["lead.nope"]);
    assert_eq!(
        missing("{{ lead.first_name }} {{ lead.last_name|upper }}", &ada()),
        ["lead.last_name"]
    );
    assert_eq!(
        missing("{{ lead.score + lead.nope|int }}", &ada()),
        ["lead.nope"]
    );
    assert_eq!(
        missing("{% set a = lead.nope %}<p>{{ a }}", &ada()),
        ["lead.nope"]
    );
    assert_eq!(
        missing("{{ lead.attributes.x.y }}", &ada()),
        ["lead.attributes.x.y"]
    );
    assert_eq!(
        missing("{{ lead.nope or lead.last_name }}", &ada()),
        ["lead.last_name", "lead.nope"]
    );
    assert_eq!(missing("{{ unknown }}", &Context::new()), ["unknown"]);
    assert_eq!(
        missing(
            "{% for tag in lead.tags %}{{ tag.name|upper }}{% endfor %}",
            &ada()
        ),
        ["tag.name|upper"]
    );
    assert_eq!(missing("{{- lead.tags[9] -}}", &ada()), ["lead.tags[9]"]);
    let error = html("{{ lead.nope }}").render(&ada()).unwrap_err();
    assert_eq!(error.to_string(), "body: no value for lead.nope");
    assert_eq!(error.code(), "missing_variable");
}

#[test]
fn a_missing_variable_in_mjml_is_named_too() {
    let body = "<mjml><mj-body><mj-section><mj-column><mj-text>{{ lead.first_name }}</mj-text>\
                <mj-text>{{ lead.nope }}</mj-text></mj-column></mj-section></mj-body></mjml>";
    let error = compiled(Format::Mjml, body).render(&ada()).unwrap_err();
    assert_eq!(error.to_string(), "body: no value for lead.nope");
}

#[test]
fn guards_and_branches_keep_a_missing_variable_from_failing() {
    let body = "{% if lead.last_name %}{{ lead.last_name }}{% else %}-{% endif %}{{ lead.nope or 'x' }}\
                {{ lead.nope if lead.nope else 'y' }}{% for a in lead.nope %}{{ a }}{% endfor %}[{{ lead.company }}]";
    assert_eq!(print(body, &ada()).unwrap(), "-xy[]");
}

#[test]
fn html_is_escaped_and_text_and_subject_are_not() {
    let source = Source {
        format: Format::Html,
        body: "<p title=\"{{ x }}\">{{ x }}</p>".into(),
        text: None,
    };
    let parts = Parts {
        subject: "{{ x }}",
        preheader: None,
        source: &source,
    };
    let context = Context::new().with("x", "<b>\"Tom\" & 'Ann'</b>");
    let mail = Compiled::compile(parts).unwrap().render(&context).unwrap();
    let escaped = "&lt;b&gt;&quot;Tom&quot; &amp; &#39;Ann&#39;&lt;/b&gt;";
    assert_eq!(
        mail.html.unwrap(),
        format!("<p title=\"{escaped}\">{escaped}</p>")
    );
    assert_eq!(mail.subject, "<b>\"Tom\" & 'Ann'</b>");
    assert_eq!(mail.text, "<b>\"Tom\" & 'Ann'</b>\n");
}

#[test]
fn a_list_or_a_map_is_never_printed() {
    for body in ["{{ lead }}", "{{ lead.tags }}"] {
        let error = print(body, &ada()).unwrap_err();
        assert!(error.to_string().contains("line 1: a "), "{error}");
        assert_eq!(error.code(), "template_failed");
    }
}

#[test]
fn a_failure_tells_the_line_in_the_users_source() {
    let body = "<mjml><mj-body><mj-section><mj-column>\n\n<mj-text>{{ lead.first_name|int }}</mj-text>\
                </mj-column></mj-section></mj-body></mjml>";
    let error = compiled(Format::Mjml, body).render(&ada()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "body, line 3: expected a number, found string"
    );
}

#[test]
fn control_characters_of_values_reach_no_part() {
    let context = Context::new().with("x", "a\u{1}b\u{2}\u{3}\u{4}\u{0}c");
    let mail = html("<a href=\"https://h/{{ x }}\">{{ x }}</a>")
        .render(&context)
        .unwrap();
    assert_eq!(mail.html.unwrap(), "<a href=\"https://h/abc\">abc</a>");
    assert_eq!(mail.text, "abc <https://h/abc>\n");
}

#[test]
fn prepared_values_are_shared() {
    let campaign = Prepared::from(json!({"name": "Spring"}));
    for who in ["Ada", "Bob"] {
        let context = Context::new().with("campaign", &campaign).with("who", who);
        assert_eq!(
            print("{{ who }} {{ campaign.name }}", &context).unwrap(),
            format!("{who} Spring")
        );
    }
}

#[test]
fn line_ends_and_final_newlines_are_kept_in_text() {
    assert_eq!(
        print("a\r\nb {{ lead.score }}\n", &ada()).unwrap(),
        "a\r\nb 42\n"
    );
    assert_eq!(
        print("{% raw %}{{ x }}{% endraw %} {# no #}{{- 1 }}", &ada()).unwrap(),
        "{{ x }} 1"
    );
}

#[test]
fn a_subject_that_grows_too_long_fails() {
    let source = Source {
        format: Format::Text,
        body: "x".into(),
        text: None,
    };
    let parts = Parts {
        subject: "{{ x }}{{ x }}",
        preheader: None,
        source: &source,
    };
    let error = Compiled::compile(parts)
        .unwrap()
        .render(&Context::new().with("x", "a".repeat(3_000)))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "subject: the template makes more than 4096 bytes"
    );
    assert_eq!(error.code(), "template_output_too_large");
}

#[test]
fn markup_from_values_is_possible_only_with_safe() {
    let context = Context::new().with("x", "<b>B</b>");
    let rendered = html("{{ x|safe }}{{ x }}{{ x|e }}")
        .render(&context)
        .unwrap();
    assert_eq!(
        rendered.html.unwrap(),
        "<b>B</b>&lt;b&gt;B&lt;/b&gt;&lt;b&gt;B&lt;/b&gt;"
    );
    assert_eq!(rendered.text, "B<b>B</b><b>B</b>\n");
}

#[test]
fn unicode_survives() {
    assert_eq!(
        mail("<p>Žluťoučký 🐎 {{ lead.first_name }}</p>")
            .html
            .unwrap(),
        "<p>Žluťoučký 🐎 Ada</p>"
    );
}
