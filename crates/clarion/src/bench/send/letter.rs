//! What is sent: a campaign of about 5 kB a message, in HTML and text, written to each reader, with
//! links that lead nowhere, so that no network is asked.

use common::WorkspaceId;
use notifications::measure::Load;
use serde_json::{Value, json};

use super::CONNECTIONS;
use super::sink::Sink;

/// The domain that no key signs for.
pub(in crate::bench) const UNSIGNED: &str = "bench.example";

/// A campaign to a list, from a domain.
pub(super) fn letter(list: &str, from: &str) -> Value {
    json!({
        "name": format!("Letter from {from}"),
        "subject": "{{ lead.first_name }}, your seats at {{ lead.company }}",
        "preheader": "News for {{ lead.attributes.city }}",
        "from": { "name": "Clarion Bench", "email": format!("letters@{from}") },
        "content": { "format": "html", "body": html(), "text": text() },
        "audience": { "list_ids": [list] },
    })
}

/// The same letters without a ledger.
pub(super) fn load(sink: &Sink, messages: usize) -> anyhow::Result<Load> {
    let nowhere = letter("", UNSIGNED);
    let snapshot = json!({
        "workspace_id": WorkspaceId::new(),
        "name": nowhere["name"],
        "subject": nowhere["subject"],
        "preheader": nowhere["preheader"],
        "from": nowhere["from"],
        "content": nowhere["content"],
    });
    let person = |number: usize| {
        json!({
            "email": format!("path{number}@bench.example"),
            "first_name": "Jürgen",
            "last_name": "Lovelace",
            "company": format!("Company {number}"),
            "attributes": { "plan": "team", "city": "Łódź", "seats": number },
        })
    };
    Ok(Load {
        snapshot: serde_json::from_value(snapshot)?,
        people: (0..1_000).map(person).collect(),
        messages,
        server: sink.url(),
        connections: CONNECTIONS,
    })
}

const PARAGRAPH: &str = "You have {{ lead.attributes.seats }} seats on the {{ lead.attributes.plan }} plan, and \
    {{ lead.attributes.city }} has a new meeting place. Come by when you are near; bring a friend, and ask for the \
    table at the window.";

fn html() -> String {
    let paragraphs: String = (0..3)
        .map(|number| {
            format!(
                "<tr><td style=\"padding:12px 24px;font:16px/1.5 Arial,sans-serif;color:#222\"><h2>Part {number}</h2>\
                 <p>{PARAGRAPH}</p><p><a href=\"http://127.0.0.1:9/offers/{number}?from=letter\">Read more</a></p></td></tr>"
            )
        })
        .collect();
    format!(
        "<!doctype html><html><body><table width=\"600\" align=\"center\"><tr><td><h1>Hello {{{{ lead.first_name }}}} \
         {{{{ lead.last_name }}}}!</h1></td></tr>{paragraphs}<tr><td><a href=\"{{{{ unsubscribe_url }}}}\">Unsubscribe</a>\
         </td></tr></table></body></html>"
    )
}

fn text() -> String {
    let paragraphs: String = (0..3)
        .map(|number| format!("{PARAGRAPH}\n\nhttp://127.0.0.1:9/offers/{number}?from=letter\n\n"))
        .collect();
    format!(
        "Hello {{{{ lead.first_name }}}} {{{{ lead.last_name }}}}!\n\n{paragraphs}{{{{ unsubscribe_url }}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_written_in_the_template_language() {
        for text in [html(), text()] {
            assert!(
                text.contains("{{ unsubscribe_url }}") && text.contains("{{ lead.first_name }}"),
                "{text}"
            );
            assert!(!text.contains("{{{"), "{text}");
        }
    }
}
