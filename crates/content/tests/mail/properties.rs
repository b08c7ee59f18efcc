use content::{Compiled, Context, Format, Parts, Source, Tracking, limits, rewrite_links};
use proptest::prelude::*;

use crate::ada;

/// Pieces that combine into templates which are often nearly right.
fn jinja() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{{ lead.first_name }}".to_owned()),
        Just("{% if lead.score > 3 %}".to_owned()),
        Just("{% endif %}".to_owned()),
        Just("{% else %}".to_owned()),
        Just("{% elif lead.nope %}".to_owned()),
        Just("{% for t in lead.tags %}".to_owned()),
        Just("{% endfor %}".to_owned()),
        Just("{{ t|upper|default('x') }}".to_owned()),
        Just("{% set n = lead.score|int * 2 %}{{ n }}".to_owned()),
        Just("{{- lead.tags|join('<') -}}".to_owned()),
        Just("{% raw %}{{ a }}{% endraw %}".to_owned()),
        Just("{# c #}".to_owned()),
        Just("{{ x|safe }}".to_owned()),
        Just("<a href=\"".to_owned()),
        Just("<a href='https://a.example/?b&amp;c'>".to_owned()),
        Just("https://".to_owned()),
        Just("</a>".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("<style>".to_owned()),
        Just("</style>".to_owned()),
        Just("<body>".to_owned()),
        Just("<p>".to_owned()),
        Just("\">".to_owned()),
        Just("\n".to_owned()),
        "[{}%#|()'\"\\[\\]a-z0-9 ._<>=/&;é~-]{0,8}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Html),
        Just(Format::Markdown),
        Just(Format::Text),
        Just(Format::Mjml)
    ]
}

/// Markup without Jinja, to rewrite.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<p class='x'>".to_owned()),
        Just("<a href='mailto:a@b'>".to_owned()),
        Just("<a title=y>".to_owned()),
        Just("<img src=\"https://i.example\">".to_owned()),
        Just("<!-- <a href='https://c.example'> -->".to_owned()),
        Just("</a></p>".to_owned()),
        "[a-zé &;]{0,8}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn marked(part: &str) -> bool {
    part.contains(['\u{1}', '\u{2}', '\u{3}', '\u{4}'])
}

fn escaped(url: &str) -> String {
    url.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rendering_never_panics_and_is_bounded(body in jinja(), subject in jinja(), format in formats()) {
        let body = match format {
            Format::Mjml => format!("<mjml><mj-body><mj-text>{body}</mj-text></mj-body></mjml>"),
            _ => body,
        };
        let source = Source { format, body, text: None };
        let Ok(mail) = Compiled::compile(Parts { subject: &subject, preheader: Some("{{ lead.first_name }}"), source: &source })
            else { return Ok(()) };
        let mut rewrite = |_: &str, index: usize| Some(format!("https://t/{index}"));
        let tracking = Tracking { links: Some(&mut rewrite), pixel: Some("https://p"), canary: None };
        let context = ada().with("x", "<a href='https://z.example'>");
        if let Ok(rendered) = mail.render_tracked(&context, tracking) {
            prop_assert!(!rendered.subject.contains(char::is_control));
            prop_assert!(rendered.text.len() <= 2 * limits::MAX_OUTPUT);
            let html = rendered.html.unwrap_or_default();
            prop_assert!(html.len() <= 2 * limits::MAX_OUTPUT);
            prop_assert!(!marked(&html));
            prop_assert!(!marked(&rendered.text));
        }
    }

    #[test]
    fn both_ways_of_rewriting_agree_on_any_template(body in jinja()) {
        let make = |body: &str| {
            let source = Source { format: Format::Html, body: body.to_owned(), text: Some(String::new()) };
            let mail = Compiled::compile(Parts { subject: "", preheader: None, source: &source }).ok()?;
            let mut rewrite = |url: &str, index: usize| Some(format!("https://t/{index}/{url}"));
            let tracking = Tracking { links: Some(&mut rewrite), pixel: None, canary: None };
            mail.render_tracked(&ada().with("x", "y"), tracking).ok()?.html
        };
        // A `safe` in front makes the same mail take the other way.
        let free = make(&format!("{{{{ ''|safe }}}}{body}"));
        if let (Some(fixed), Some(free)) = (make(&body), free) {
            prop_assert_eq!(fixed, free);
        }
    }

    #[test]
    fn bytes_that_are_no_web_link_never_change(html in markup()) {
        let same = rewrite_links(&html, &[], |_, _| Some("https://changed".to_owned())).unwrap();
        prop_assert_eq!(same, html);
    }

    #[test]
    fn a_link_is_the_only_thing_that_changes(
        before in markup(), after in markup(), path in "[a-zé/?=&#%\"<0-9;.~-]{0,30}",
    ) {
        let url = format!("https://a.example/{path}");
        let html = format!("{before}<a id=1 href=\"{}\" x>t</a>{after}", escaped(&url));
        let mut seen = Vec::new();
        let rewritten = rewrite_links(&html, &[], |url, _| { seen.push(url.to_owned()); Some("https://t".to_owned()) }).unwrap();
        prop_assert_eq!(seen, vec![url]);
        prop_assert_eq!(rewritten, format!("{before}<a id=1 href=\"https://t\" x>t</a>{after}"));
    }

    #[test]
    fn a_destination_from_a_value_reaches_the_callback_unchanged(path in "[^\\p{Cc}]{0,30}") {
        let url = format!("https://a.example/{path}x");
        for extra in ["", "{{ ''|safe }}"] {
            let source = Source { format: Format::Html, body: format!("<a href=\"{{{{ url }}}}\">x</a>{extra}"), text: None };
            let mail = Compiled::compile(Parts { subject: "", preheader: None, source: &source }).unwrap();
            let context = Context::new().with("url", url.as_str());
            let mut seen = Vec::new();
            let mut rewrite = |url: &str, _: usize| { seen.push(url.to_owned()); None };
            let rendered = mail.render_tracked(&context, Tracking { links: Some(&mut rewrite), pixel: None, canary: None }).unwrap();
            prop_assert_eq!(&seen[0], &url);
            let untouched = mail.render(&context).unwrap();
            prop_assert_eq!(rendered.html, untouched.html);
        }
    }
}
