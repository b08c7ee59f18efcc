//! The parts that are made from other parts.

use content::{Compiled, Format, Parts, Rendered, Source, Tracking};

use crate::{ada, compiled, mail};

fn with_preheader(body: &str) -> Rendered {
    let source = Source {
        format: Format::Html,
        body: body.to_owned(),
        text: None,
    };
    let parts = Parts {
        subject: "S",
        preheader: Some("For {{ lead.first_name }} <&>"),
        source: &source,
    };
    let tracking = Tracking {
        links: None,
        pixel: Some("https://t/o/1.gif?a&b"),
        canary: None,
    };
    Compiled::compile(parts)
        .expect("must compile")
        .render_tracked(&ada(), tracking)
        .expect("must render")
}

#[test]
fn the_preheader_begins_the_body_and_the_pixel_ends_it() {
    for body in [
        "<html><body class=\"x\"><p>Hi {{ lead.first_name }}</p></body></html>",
        "<html><body class=\"x\"><p>{{ \"Hi Ada\"|safe }}</p></body></html>",
    ] {
        let rendered = with_preheader(body);
        assert_eq!(rendered.preheader.as_deref(), Some("For Ada <&>"));
        let html = rendered.html.unwrap();
        assert!(
            html.starts_with("<html><body class=\"x\"><div style=\"display:none;"),
            "{html}"
        );
        assert!(
            html.contains("transparent;\">For Ada &lt;&amp;&gt;&nbsp;"),
            "{html}"
        );
        assert!(
            html.contains("</div><p>Hi Ada</p><img src=\"https://t/o/1.gif?a&amp;b\" "),
            "{html}"
        );
        assert!(html.ends_with("border:0;\"></body></html>"), "{html}");
        assert_eq!(
            rendered.text, "Hi Ada\n",
            "the preheader is not part of the text"
        );
    }
}

#[test]
fn a_document_without_a_body_gets_both_too() {
    let html = with_preheader("<p>x</p>").html.unwrap();
    assert!(
        html.starts_with("<div style=\"display:none;") && html.ends_with("border:0;\">"),
        "{html}"
    );
}

#[test]
fn the_link_that_nobody_sees_ends_the_body_and_is_no_text() {
    let source = Source {
        format: Format::Html,
        body: "<body><a href=\"https://a.example/\">x</a></body>".to_owned(),
        text: None,
    };
    let parts = Parts {
        subject: "S",
        preheader: None,
        source: &source,
    };
    let mut asked = 0;
    let mut rewrite = |_: &str, index: usize| {
        asked = index + 1;
        None
    };
    let tracking = Tracking {
        links: Some(&mut rewrite),
        pixel: None,
        canary: Some("https://t/c/9?a&b"),
    };
    let compiled = Compiled::compile(parts).expect("must compile");
    let rendered = compiled
        .render_tracked(&ada(), tracking)
        .expect("must render");
    assert_eq!(
        rendered.html.as_deref(),
        Some(
            "<body><a href=\"https://a.example/\">x</a><a href=\"https://t/c/9?a&amp;b\" tabindex=\"-1\" \
             aria-hidden=\"true\" style=\"display:none;\"></a></body>"
        )
    );
    assert_eq!(rendered.text, "x <https://a.example/>\n");
    assert_eq!(asked, 1, "it is no link of the author's");
}

#[test]
fn without_them_nothing_is_added() {
    assert_eq!(mail("<body>x</body>").html.unwrap(), "<body>x</body>");
}

#[test]
fn text_made_from_html_has_the_same_values() {
    let body = "<h1>Hi {{ lead.first_name }}</h1><ul>{% for tag in lead.tags %}<li>{{ tag }}</li>{% endfor %}</ul>\
                {% if lead.last_name %}<p>{{ lead.last_name }}</p>{% endif %}<p><a href=\"https://a.example/{{ lead.score }}\">go &amp; see</a></p>";
    assert_eq!(
        mail(body).text,
        "Hi Ada\n\n- a\n- b\n\ngo & see <https://a.example/42>\n"
    );
}

#[test]
fn text_made_at_render_time_reads_the_same() {
    let body = "<h1>Hi {{ lead.first_name }}</h1><ul>{% for tag in lead.tags %}<li>{{ tag }}</li>{% endfor %}</ul>\
                <p><a href=\"https://a.example/{{ lead.score }}\">go &amp; see</a></p>";
    assert_eq!(
        mail(body).text,
        mail(&format!("{body}{{{{ ''|safe }}}}")).text
    );
}

#[test]
fn a_text_that_the_user_wrote_is_kept_as_written() {
    let source = Source {
        format: Format::Html,
        body: "<p>html</p>".into(),
        text: Some("\n\n\n own {{ lead.score }}  \n".into()),
    };
    let mail = Compiled::compile(Parts {
        subject: "S",
        preheader: None,
        source: &source,
    })
    .unwrap();
    assert_eq!(mail.render(&ada()).unwrap().text, "\n\n\n own 42  \n");
}

#[test]
fn text_mail_has_no_html() {
    let mail = compiled(Format::Text, "a < b {{ lead.first_name }}")
        .render(&ada())
        .unwrap();
    assert_eq!((mail.html, mail.text.as_str()), (None, "a < b Ada"));
}

#[test]
fn markdown_becomes_both_parts() {
    let body = "# Hi {{ lead.first_name }}\n\n{% for tag in lead.tags %}\n- {{ tag }}\n{% endfor %}\n\n[go]({{ view_url }}) *now*\n";
    let mail = compiled(Format::Markdown, body).render(&ada()).unwrap();
    let html = mail.html.unwrap();
    assert!(html.contains("<h1>Hi Ada</h1>"), "{html}");
    assert!(
        html.contains("<a href=\"https://mail.example/v/token\">go</a> <em>now</em>"),
        "{html}"
    );
    assert!(mail.text.starts_with("Hi Ada\n\n- a\n"), "{}", mail.text);
    assert!(
        mail.text
            .ends_with("go <https://mail.example/v/token> now\n"),
        "{}",
        mail.text
    );
}

#[test]
fn mjml_becomes_both_parts() {
    let body = "<mjml><mj-head><mj-preview>Peek</mj-preview></mj-head><mj-body>{% if lead.score > 40 %}<mj-section><mj-column>\
                <mj-text>Hi {{ lead.first_name }}</mj-text><mj-button href=\"https://shop.example/?p={{ lead.attributes.plan|urlencode }}\">Buy</mj-button>\
                </mj-column></mj-section>{% endif %}<mj-section><mj-column><mj-text><a href=\"{{ unsubscribe_url }}\">Stop</a></mj-text>\
                </mj-column></mj-section></mj-body></mjml>";
    let mail = compiled(Format::Mjml, body).render(&ada()).unwrap();
    assert!(
        mail.html
            .unwrap()
            .contains("href=\"https://shop.example/?p=gold\"")
    );
    assert_eq!(
        mail.text,
        "Hi Ada\n\nBuy <https://shop.example/?p=gold>\n\nStop <https://mail.example/u/token?a=1&b=2>\n"
    );
}
