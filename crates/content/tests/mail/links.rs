//! Rewriting as part of a render: marked at compile time, or found at render time.

use content::{Context, Format, Rendered, Tracking};

use crate::{ada, compiled};

fn tracked(format: Format, body: &str, context: &Context) -> (Rendered, Vec<(String, usize)>) {
    let mut asked = Vec::new();
    let mut rewrite = |url: &str, index: usize| {
        asked.push((url.to_owned(), index));
        Some(format!("https://t.example/c/{index}?x&y"))
    };
    let mail = compiled(format, body);
    let tracking = Tracking {
        links: Some(&mut rewrite),
        pixel: None,
        canary: None,
    };
    let rendered = mail.render_tracked(context, tracking).expect("must render");
    (rendered, asked)
}

const BODY: &str = "<p><a class=b href=\"https://a.example/é?q=1&amp;r=%20#top\">A</a> \
    <a href='https://b.example/?n={{ lead.first_name|urlencode }}&amp;m={{ lead.attributes.plan }}'>B</a> \
    <a href=\"{{ unsubscribe_url }}\">U</a> <a href=\"{{ preferences_url }}\">P</a> <a href=\"{{ view_url }}\">V</a> \
    <a href=\"mailto:x@y.z?subject={{ lead.first_name }}\">M</a> <a href=\"tel:+1\">T</a> <a href=\"#f\">F</a> \
    <a href=\"{{ home }}\">H</a>{% for tag in lead.tags %}<a href=\"https://c.example/{{ tag }}\">C</a>{% endfor %}</p>";

fn context() -> Context {
    ada().with("home", "https://h.example/?a=1&b='2'")
}

#[test]
fn both_ways_of_rewriting_agree() {
    let (fixed, asked) = tracked(Format::Html, BODY, &context());
    let (free, asked_free) = tracked(
        Format::Html,
        &format!("{BODY}{{{{ ''|safe }}}}"),
        &context(),
    );
    assert_eq!(fixed, free);
    assert_eq!(asked, asked_free);
}

#[test]
fn the_callback_gets_each_destination_as_a_browser_would_open_it() {
    let (_, asked) = tracked(Format::Html, BODY, &context());
    let urls: Vec<_> = asked
        .iter()
        .map(|(url, index)| (url.as_str(), *index))
        .collect();
    assert_eq!(
        urls,
        [
            ("https://a.example/é?q=1&r=%20#top", 0),
            ("https://b.example/?n=Ada&m=gold", 1),
            ("https://h.example/?a=1&b='2'", 2),
            ("https://c.example/a", 3),
            ("https://c.example/b", 4),
        ]
    );
}

#[test]
fn the_recipients_own_links_and_other_schemes_stay_byte_for_byte() {
    let html = tracked(Format::Html, BODY, &context()).0.html.unwrap();
    for kept in [
        "<a href=\"https://mail.example/u/token?a=1&amp;b=2\">U</a>",
        "<a href=\"https://mail.example/p/token\">P</a>",
        "<a href=\"https://mail.example/v/token\">V</a>",
        "<a href=\"mailto:x@y.z?subject=Ada\">M</a>",
        "<a href=\"tel:+1\">T</a>",
        "<a href=\"#f\">F</a>",
        "<a class=b href=\"https://t.example/c/0?x&amp;y\">A</a>",
    ] {
        assert!(html.contains(kept), "{kept} is missing in {html}");
    }
}

#[test]
fn a_destination_is_the_same_in_html_and_text() {
    let text = tracked(Format::Html, BODY, &context()).0.text;
    assert!(text.starts_with("A <https://t.example/c/0?x&y> B <https://t.example/c/1?x&y> U <https://mail.example/u/token?a=1&b=2>"), "{text}");
    assert!(text.contains("M <mailto:x@y.z?subject=Ada>"), "{text}");
}

#[test]
fn without_a_callback_links_are_left_byte_for_byte() {
    let rendered = compiled(Format::Html, BODY).render(&context()).unwrap();
    assert!(
        rendered
            .html
            .unwrap()
            .contains("href=\"https://a.example/é?q=1&amp;r=%20#top\"")
    );
}

#[test]
fn links_made_by_values_are_found_where_values_may_print_markup() {
    let context = ada().with("block", "<a href=https://x.example>x</a>");
    let (rendered, asked) = tracked(Format::Html, "{{ block|safe }}", &context);
    assert_eq!(asked, [("https://x.example".to_owned(), 0)]);
    assert_eq!(
        rendered.html.unwrap(),
        "<a href=\"https://t.example/c/0?x&amp;y\">x</a>"
    );
}

#[test]
fn tags_that_decide_what_is_markup_are_followed() {
    for body in [
        "<a {% if lead.score %}href=\"https://a.example\"{% else %}href=\"#\"{% endif %}>x</a>",
        "<a href={{ home }}>x</a>",
        "{% if lead.score %}<!-- {% endif %} --> <a href=\"https://a.example\">x</a>",
        "<{{ 'a' }} href=\"https://a.example\">x</a>",
        "<style>{% if lead.score %}</style>{% endif %}<a href=\"https://a.example\">x</a>",
    ] {
        let (rendered, asked) = tracked(Format::Html, body, &context());
        assert_eq!(asked.len(), 1, "{body}");
        assert!(
            rendered.html.unwrap().contains("https://t.example/c/0"),
            "{body}"
        );
        assert!(
            rendered.text.contains("https://t.example/c/0"),
            "{body} gave {}",
            rendered.text
        );
    }
}

#[test]
fn addresses_in_text_mail_are_rewritten() {
    let body =
        "Shop: https://a.example/{{ lead.attributes.plan }}?b=1, stop: {{ unsubscribe_url }}\n";
    let (rendered, asked) = tracked(Format::Text, body, &context());
    assert_eq!(asked, [("https://a.example/gold?b=1".to_owned(), 0)]);
    assert_eq!(
        rendered.text,
        "Shop: https://t.example/c/0?x&y, stop: https://mail.example/u/token?a=1&b=2\n"
    );
}

#[test]
fn an_address_in_a_value_is_not_rewritten_in_text() {
    let context = Context::new().with("x", "https://evil.example/");
    let (rendered, asked) = tracked(Format::Text, "by {{ x }}", &context);
    assert_eq!(
        (rendered.text.as_str(), asked.len()),
        ("by https://evil.example/", 0)
    );
}
