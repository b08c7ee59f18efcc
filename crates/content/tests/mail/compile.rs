use content::{Compiled, Field, Format, Need, Parts, Source};

use crate::{ada, compile, compiled, html, problem};

#[test]
fn a_syntax_error_has_its_line_and_column() {
    let error = problem(Format::Html, "<p>é</p>\n<p>é {{ lead.first_name }</p>");
    assert_eq!((error.field, error.code), (Field::Body, "template_syntax"));
    assert_eq!((error.line, error.column), (Some(2), Some(25)));
    assert!(
        error.to_string().starts_with("body, line 2, column 25: "),
        "{error}"
    );

    let open = problem(Format::Html, "a\n{% if x %}b");
    assert_eq!((open.code, open.line), ("template_syntax", Some(2)));
}

#[test]
fn a_syntax_error_in_mjml_stands_in_the_users_source() {
    let body = "<mjml>\n <mj-body>\n  <mj-text>{% if %}</mj-text>\n </mj-body>\n</mjml>";
    let error = problem(Format::Mjml, body);
    assert_eq!(
        (error.code, error.line, error.column),
        ("template_syntax", Some(3), Some(18))
    );
}

#[test]
fn every_part_is_checked_at_once() {
    let source = Source {
        format: Format::Text,
        body: "{{ a ~ b }}\n{{ c|nope }}".into(),
        text: Some("{{ x".into()),
    };
    let parts = Parts {
        subject: "{{ f() }}",
        preheader: Some("{% if %}"),
        source: &source,
    };
    let problems = Compiled::compile(parts).unwrap_err();
    let found: Vec<_> = problems
        .iter()
        .map(|p| (p.field.pointer(), p.code, p.line))
        .collect();
    assert_eq!(
        found,
        [
            ("/subject", "template_not_allowed", Some(1)),
            ("/preheader", "template_syntax", Some(1)),
            ("/content/body", "template_not_allowed", Some(1)),
            ("/content/body", "unknown_filter", Some(2)),
            ("/content/text", "template_syntax", Some(1)),
        ]
    );
}

#[test]
fn a_problem_serializes_for_the_api() {
    let error = serde_json::to_value(problem(Format::Text, "{{ a|nope }}")).unwrap();
    assert_eq!(
        error,
        serde_json::json!({
            "field": "body", "line": 1, "column": 6, "code": "unknown_filter",
            "message": "there is no filter `nope`",
        })
    );
}

#[test]
fn an_unknown_field_of_content_is_refused() {
    let error =
        serde_json::from_str::<Source>(r#"{"format": "html", "body": "", "css": ""}"#).unwrap_err();
    assert!(error.to_string().contains("css"), "{error}");
    let source: Source = serde_json::from_str(r#"{"format": "markdown", "body": "x"}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&source).unwrap(),
        r#"{"format":"markdown","body":"x"}"#
    );
}

#[test]
fn a_tag_that_the_conversion_takes_apart_is_an_error_in_the_source() {
    // `mj-attributes` prints nothing, so the `endif` outside of it loses its `if`.
    let body = "<mjml><mj-head><mj-attributes>{% if x %}</mj-attributes></mj-head>\n\
                <mj-body><mj-raw>{% endif %}</mj-raw></mj-body></mjml>";
    let problems = compile(Format::Mjml, body).unwrap_err();
    assert!(
        problems.iter().all(|problem| problem.field == Field::Body),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.code.starts_with("template_") || problem.code == "mjml_invalid")
    );
}

#[test]
fn doubtful_content_is_a_warning() {
    let mail = html(
        "<a href='www.example.com'>a</a>\n<a href=''>b</a><a href='#c'>c</a><a href='mailto:d'>d</a>",
    );
    let warned: Vec<_> = mail.warnings().iter().map(|w| (w.code, w.line)).collect();
    assert_eq!(
        warned,
        [
            ("link_without_scheme", Some(1)),
            ("link_without_scheme", Some(2))
        ]
    );

    let long = html(&"<p>0123456789</p>".repeat(7_000));
    assert_eq!(long.warnings()[0].code, "html_too_long");

    let lost = compiled(
        Format::Mjml,
        "<mjml><mj-body><mj-image alt=\"x\" foo=\"{{ y }}\" /></mj-body></mjml>",
    );
    assert_eq!(
        lost.warnings().iter().map(|w| w.code).collect::<Vec<_>>(),
        ["tag_dropped"]
    );
}

#[test]
fn variables_of_all_parts_are_known_with_their_need() {
    let source = Source {
        format: Format::Html,
        body: "{{ lead.first_name|default('x') }}{% if lead.vip %}{{ lead.manager }}{% endif %}"
            .into(),
        text: Some("{{ lead.attributes.plan }}".into()),
    };
    let parts = Parts {
        subject: "{{ lead.first_name }}",
        preheader: Some("{{ campaign.name }}"),
        source: &source,
    };
    let mail = Compiled::compile(parts).unwrap();
    let needs: Vec<_> = mail.variables().into_iter().collect();
    assert_eq!(
        needs,
        [
            ("campaign.name", Need::Required),
            ("lead.attributes.plan", Need::Required),
            ("lead.first_name", Need::Required),
            ("lead.manager", Need::Conditional),
            ("lead.vip", Need::Optional),
        ]
    );
    assert_eq!(mail.missing(&ada()), Vec::<String>::new());
}

#[test]
fn missing_counts_absent_null_and_empty() {
    let mail = html(
        "{{ lead.first_name }}{{ lead.last_name }}{{ lead.company }}{{ lead.nope }}{{ lead.x|d('') }}",
    );
    assert_eq!(
        mail.missing(&ada()),
        ["lead.company", "lead.last_name", "lead.nope"]
    );
}

#[test]
fn static_links_are_known_with_their_line() {
    let body = "<a href='https://a.example/?b=1&amp;c=2'>x</a>\n<a href='https://a.example/{{ lead.id }}'>y</a>\n\
                <a href='{{ unsubscribe_url }}'>z</a><a href='https://b.example'>w</a><a href='https://b.example'>w</a>";
    let found: Vec<_> = html(body)
        .links()
        .iter()
        .map(|link| (link.url.clone(), link.line))
        .collect();
    assert_eq!(
        found,
        [
            ("https://a.example/?b=1&c=2".to_owned(), Some(1)),
            ("https://b.example".to_owned(), Some(3))
        ]
    );

    let mjml = "<mjml><mj-body><mj-section><mj-column>\n<mj-button href=\"https://c.example/?a&amp;b\">go</mj-button>\
                </mj-column></mj-section></mj-body></mjml>";
    let found = compiled(Format::Mjml, mjml).links().to_vec();
    assert_eq!(
        (found[0].url.as_str(), found[0].line),
        ("https://c.example/?a&b", Some(2))
    );

    let markdown = compiled(Format::Markdown, "a\n\n[x](https://d.example/?a&b)")
        .links()
        .to_vec();
    assert_eq!(
        (markdown[0].url.as_str(), markdown[0].line),
        ("https://d.example/?a&b", Some(3))
    );

    let text = compiled(Format::Text, "a\nhttps://e.example/x.")
        .links()
        .to_vec();
    assert_eq!(
        (text[0].url.as_str(), text[0].line),
        ("https://e.example/x", Some(2))
    );
}

#[test]
fn an_unsubscribe_link_counts_where_it_is_shown() {
    assert!(html("<a href='{{ unsubscribe_url }}'>x</a>").has_unsubscribe());
    assert!(compiled(Format::Text, "{{ unsubscribe_url }}").has_unsubscribe());
    assert!(
        compiled(Format::Markdown, "[x]({{ unsubscribe_url|default('#') }})").has_unsubscribe()
    );
    assert!(!html("{% if unsubscribe_url %}x{% endif %}").has_unsubscribe());
    assert!(!html("unsubscribe_url").has_unsubscribe());
    let source = Source {
        format: Format::Html,
        body: "x".into(),
        text: Some("{{ unsubscribe_url }}".into()),
    };
    let only_text = Compiled::compile(Parts {
        subject: "x",
        preheader: None,
        source: &source,
    })
    .unwrap();
    assert!(!only_text.has_unsubscribe());
}

#[test]
fn styles_are_inlined_once_and_links_are_still_found() {
    let body = "<html><head><style>a{color:#111} p{margin:0} @media (max-width:1px){p{margin:9px!important}}</style>\
                </head><body><p>Dear {{ lead.first_name }}</p>{% if lead.score > 1 %}\
                <a href=\"https://shop.example/\">Shop</a>{% endif %}</body></html>";
    let compiled = html(body);
    let mut seen = Vec::new();
    let mut rewrite = |url: &str, _: usize| {
        seen.push(url.to_owned());
        Some("https://click.example/".to_owned())
    };
    let tracking = content::Tracking {
        links: Some(&mut rewrite),
        pixel: None,
        canary: None,
    };
    let mail = compiled
        .render_tracked(&ada(), tracking)
        .expect("it renders");
    let html = mail.html.expect("an HTML part");
    assert!(
        html.contains("<p style=\"margin:0\">Dear Ada</p>"),
        "{html}"
    );
    let link = "<a style=\"color:#111\" href=\"https://click.example/\">Shop</a>";
    assert!(html.contains(link), "{html}");
    assert!(
        html.contains("@media (max-width:1px){p{margin:9px!important}}</style>"),
        "{html}"
    );
    assert!(!html.contains("a{color"), "{html}");
    assert_eq!(seen, ["https://shop.example/"]);
}

#[test]
fn too_many_styles_stay_where_they_are_with_a_warning() {
    let body = format!(
        "<style>{}</style>{}",
        "p{a:b}".repeat(5_000),
        "<p>x</p>".repeat(900)
    );
    let compiled = html(&body);
    let codes: Vec<_> = compiled
        .warnings()
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert!(codes.contains(&"styles_not_inlined"), "{codes:?}");
    let mail = compiled.render(&ada()).expect("it renders");
    assert!(mail.html.expect("an HTML part").contains("p{a:b}p{a:b}"));
}
