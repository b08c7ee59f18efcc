use content::{Context, RenderError};
use serde_json::json;

use crate::{ada, print};

fn shows(body: &str, expected: &str) {
    assert_eq!(print(body, &ada()).as_deref(), Ok(expected), "{body}");
}

fn fails(body: &str) -> String {
    match print(body, &ada()) {
        Err(RenderError::Failed { message, line, .. }) => {
            assert_eq!(line, Some(1), "{body}");
            message
        }
        other => panic!("{body} gave {other:?}"),
    }
}

#[test]
fn default_stands_in_for_absent_null_and_empty() {
    shows(
        "{{ lead.nope|default('x') }}{{ lead.last_name|d('y') }}{{ lead.company|d('z') }}",
        "xyz",
    );
    shows("{{ lead.nope.deeper.still|default('x') }}", "x");
    shows(
        "{{ lead.nope|title|truncate(3)|default('there') }}",
        "there",
    );
    shows(
        "{{ 0|default(1) }} {{ false|default(true) }}[{{ lead.nope|d }}]",
        "0 false[]",
    );
    shows("{{ lead.nope|default(lead.first_name, true) }}", "Ada");
}

#[test]
fn text_filters() {
    shows(
        "{{ 'éa'|upper }} {{ 'ÉA'|lower }} {{ 'éA b'|capitalize }}",
        "ÉA éa Éa b",
    );
    shows("{{ \"jean-luc o'neill\"|title }}", "Jean-Luc O'neill");
    shows("{{ '  x '|trim }}|{{ ''|capitalize }}", "x|");
    shows("{{ 'a b&c/é~'|urlencode }}", "a%20b%26c%2F%C3%A9~");
    shows("{{ 'aXbX'|replace('X', '--') }}", "a--b--");
    shows("{{ 42|upper }} {{ true|lower }}", "42 true");
    shows("{{ 'the quick brown fox'|truncate(12) }}", "the quick…");
    shows(
        "{{ 'the quick brown fox'|truncate(12, true, '...') }}",
        "the quick...",
    );
    shows(
        "{{ 'the quick'|truncate(9) }}{{ 'äöü'|truncate(2, true, '') }}{{ 'abc'|truncate(0) }}",
        "the quickäö…",
    );
    assert!(fails("{{ lead.tags|upper }}").contains("expected text"));
    assert!(fails("{{ 'a'|replace('', 'b') }}").contains("look for"));
}

#[test]
fn number_filters() {
    shows(
        "{{ '12'|int + 1 }} {{ '3.9'|int }} {{ 2.5|round }} {{ 3.14159|round(2) }} {{ -3|abs }}",
        "13 3 3 3.14 3",
    );
    shows(
        "{{ '1.5'|float * 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 10 }} {{ -1.5|abs }}",
        "3.0 3 3 1024 1.5",
    );
    shows("{{ lead.score + 1 }} {{ true|int }}", "43 1");
    assert!(fails("{{ 'x'|int }}").contains("expected a number"));
    assert!(fails("{{ 'nan'|float }}").contains("expected a number"));
    assert!(fails("{{ 1 // 0 }}").contains("//"));
    assert!(fails("{{ lead.first_name + 1 }}").contains('+'));
}

#[test]
fn list_filters() {
    shows(
        "{{ lead.tags|join(', ') }} {{ lead.tags|length }} {{ lead.tags|first }} {{ lead.tags|last }}",
        "a, b 2 a b",
    );
    shows(
        "{{ lead.nope|length }} {{ 'äb'|count }} {{ lead.nope|first|d('-') }} {{ lead.nope|last|d('-') }}",
        "0 2 - -",
    );
    shows(
        "{% for x in [] %}{% else %}none{% endfor %}{% for x in lead.nope %}{% else %}none{% endfor %}",
        "nonenone",
    );
    assert!(fails("{{ lead.attributes|join }}").contains("expected a list"));
    assert!(fails("{{ lead|first }}").contains("expected a list"));
    assert!(fails("{{ 5|last }}").contains("expected a list"));
    assert!(fails("{{ 5|length }}").contains("no length"));
    let nested = Context::new()
        .with("x", json!([["a"]]))
        .with("empty", json!([]));
    assert!(print("{{ x|join }}", &nested).is_err());
    assert_eq!(
        print(
            "{{ empty|first|d('-') }}{{ empty|last|d('-') }}{{ empty|join }}",
            &nested
        )
        .unwrap(),
        "--"
    );
}

#[test]
fn dates_print_in_the_recipients_zone() {
    shows("{{ '2026-01-05T23:30:00Z'|date }}", "5 January 2026");
    shows(
        "{{ '2026-01-05T23:30:00Z'|date('%d.%m. %H:%M', lead.timezone) }}",
        "06.01. 00:30",
    );
    shows(
        "{{ '2026-01-05T23:30:00Z'|date('%H:%M', lead.nope) }}",
        "23:30",
    );
    shows(
        "{{ '2026-02-03'|date('%A') }} {{ lead.nope|date|d('-') }}",
        "Tuesday -",
    );
    assert!(fails("{{ 'soon'|date }}").contains("expected a date"));
    assert!(fails("{{ '2026-02-03'|date('%Q') }}").contains("not a date format"));
    assert!(fails("{{ '2026-02-03'|date('%H') }}").contains("has no part"));
    assert!(
        fails("{{ '2026-01-05T23:30:00Z'|date('%H', 'Mars/Base') }}").contains("not a time zone")
    );
    assert!(
        fails(&format!(
            "{{{{ '2026-02-03'|date('{}') }}}}",
            "%Y".repeat(40)
        ))
        .contains("at most")
    );
}

#[test]
fn money_is_in_minor_units() {
    let context = Context::new()
        .with("total", json!({"amount": 123456, "currency": "EUR"}))
        .with("n", json!(null));
    assert_eq!(
        print(
            "{{ total|money }} {{ 5|money('jpy') }} {{ n|money|d('-') }}",
            &context
        )
        .unwrap(),
        "€1,234.56 ¥5 -"
    );
    assert!(fails("{{ 'x'|money('EUR') }}").contains("minor units"));
    assert!(fails("{{ 5|money('EURO') }}").contains("ISO 4217"));
    assert!(fails("{{ 5|money }}").contains("minor units"));
}

#[test]
fn tests_answer() {
    shows(
        "{{ lead.last_name is defined }} {{ lead.nope is undefined }} {{ lead.last_name is none }}",
        "false true true",
    );
    shows(
        "{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby(3) }} {{ 'a' is string }} {{ 1 is number }}",
        "true false true true true",
    );
    shows(
        "{{ 'abc' is startingwith('ab') }} {{ 'abc' is endingwith('x') }} {{ 5 is startingwith('5') }}",
        "true false false",
    );
    shows(
        "{{ lead.attributes.plan in ['gold', 'silver'] }} {{ 'a' not in lead.tags }} {{ 1 < lead.score < 50 }}",
        "true false true",
    );
    assert!(fails("{{ 'x' is odd }}").contains("whole number"));
    assert!(fails("{{ 4 is divisibleby(0) }}").contains("zero"));
}
