use minijinja::machinery::parse;

use super::*;

fn needs(source: &str) -> Vec<(String, Need)> {
    let root = parse(source, "", Default::default()).expect("the source must parse");
    Usage::of(&root).needs.into_iter().collect()
}

fn check(source: &str, expected: &[(&str, Need)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(p, n)| ((*p).to_owned(), *n))
        .collect();
    assert_eq!(needs(source), expected, "{source}");
}

use Need::{Conditional, Optional, Required};

#[test]
fn a_printed_variable_is_required_unless_something_stands_in_for_it() {
    check("{{ lead.first_name }}", &[("lead.first_name", Required)]);
    check(
        "{{ lead['attributes']['plan'] }}",
        &[("lead.attributes.plan", Required)],
    );
    check(
        "{{ lead.name|title|default('x') }}",
        &[("lead.name", Optional)],
    );
    check("{{ lead.name or 'x' }}", &[("lead.name", Optional)]);
    check("{{ lead.name|upper }}", &[("lead.name", Required)]);
    check("{{ lead.score|int + 1 }}", &[("lead.score", Required)]);
    check("{{ a|default(b) }}", &[("a", Optional), ("b", Optional)]);
    check("{{ tags|length }}", &[("tags", Optional)]);
    check("{{ lead.tags[0] }}", &[("lead.tags", Required)]);
    check(
        "{{ prices[lead.plan] }}",
        &[("lead.plan", Optional), ("prices", Required)],
    );
}

#[test]
fn a_branch_requires_only_what_every_branch_requires() {
    check(
        "{% if lead.locale == 'de' %}Hallo {{ a }}{{ b }}{% else %}Hi {{ a }}{% endif %}",
        &[
            ("a", Required),
            ("b", Conditional),
            ("lead.locale", Optional),
        ],
    );
    check("{% if a %}{{ a }}{% endif %}", &[("a", Conditional)]);
    check(
        "{% if a %}{{ a }}{% else %}{{ a }}{% endif %}",
        &[("a", Conditional)],
    );
    check("{{ a if a else 'x' }}", &[("a", Optional)]);
    check("{{ a if b else a }}", &[("a", Required), ("b", Optional)]);
    check(
        "{% if not a %}x{% else %}{{ a }}{% endif %}{{ b }}",
        &[("a", Conditional), ("b", Required)],
    );
}

#[test]
fn a_loop_may_run_zero_times_and_its_names_are_its_own() {
    check(
        "{% for p in cart %}{{ p.name }}{{ loop.index }}{{ who }}{% endfor %}",
        &[("cart", Optional), ("who", Conditional)],
    );
    check(
        "{% for p in cart %}{% endfor %}{{ p }}",
        &[("cart", Optional), ("p", Required)],
    );
}

#[test]
fn a_set_name_stands_for_what_it_was_set_from() {
    check("{% set n = lead.name %}{{ n }}", &[("lead.name", Required)]);
    check(
        "{% set n = lead.name|default('x') %}{{ n }}",
        &[("lead.name", Optional)],
    );
    check(
        "{% with n = lead.name %}{{ n }}{% endwith %}",
        &[("lead.name", Required)],
    );
    check("{% set n = lead.name %}x", &[("lead.name", Optional)]);
    check(
        "{% set n = 'x' %}{% if a %}{% set n = b %}{% endif %}{{ n }}",
        &[("a", Optional), ("b", Optional)],
    );
}

#[test]
fn an_offset_finds_the_paths_around_it() {
    let source = "Hi {{ lead.name|upper }} and {{ b }}";
    let root = parse(source, "", Default::default()).expect("the source must parse");
    let usage = Usage::of(&root);
    assert_eq!(
        usage.tag_at(16),
        Some((3, &Paths::from(["lead.name".to_owned()])))
    );
    assert_eq!(usage.tag_at(32), Some((29, &Paths::from(["b".to_owned()]))));
    assert_eq!(usage.tag_at(0), None);
}
