//! `docs/security.md` says of every requirement what shows it, and what it names is there.

use std::collections::BTreeSet;

use crate::workspace::{read, root};

/// A row of the document's tables: a requirement's id, what is said of it, and what shows it.
struct Row {
    id: String,
    said: String,
    shown: String,
}

fn rows() -> Vec<Row> {
    let text = read("docs/security.md");
    let cells = |line: &str| {
        let line = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let [id, said, shown] = <[String; 3]>::try_from(cells).ok()?;
        let is_id = id.starts_with(|c: char| c.is_ascii_digit());
        is_id.then_some(Row { id, said, shown })
    };
    text.lines().filter_map(cells).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_requirement_is_answered_once() {
    let list = include_str!("asvs.txt").lines();
    let wanted: Vec<_> = list
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect();
    let rows = rows();
    let answered: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(wanted.len(), 253);
    assert_eq!(answered, wanted);
    for Row { id, said, shown } in &rows {
        assert!(said.ends_with('.'), "{id} says nothing: {said}");
        let test = quoted(shown).any(|name| name.contains("::"));
        let honest = [
            "**untested**",
            "**not yet**",
            "**not applicable**",
            "**document**",
        ];
        let marked = honest.iter().any(|mark| shown.starts_with(mark));
        assert!(test || marked, "{id} is shown by nothing: {shown}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut missing = BTreeSet::new();
    for Row { id, shown, .. } in rows() {
        for name in quoted(&shown).filter(|name| !name.starts_with('/')) {
            let found = match name.split_once("::") {
                Some((file, test)) => is_test(file, test),
                None => root().join(name).is_file(),
            };
            if !found {
                missing.insert(format!("{id}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether a file below `crates` has a function of this name that tests run.
fn is_test(file: &str, test: &str) -> bool {
    let Ok(source) = std::fs::read_to_string(root().join("crates").join(file)) else {
        return false;
    };
    let Some((before, _)) = source.split_once(&format!("fn {test}(")) else {
        return false;
    };
    // Its attributes are between it and whatever ends before it.
    let attributes = before.rsplit(['}', ';']).next().unwrap_or_default();
    attributes.contains("test]") || attributes.contains("::test(")
}

#[test]
fn the_counts_at_the_top_are_those_below() {
    let (text, rows) = (read("docs/security.md"), rows());
    let marked = |mark: &str| {
        rows.iter()
            .filter(|row| row.shown.starts_with(mark))
            .count()
    };
    let [documents, untested, not_yet, none] = [
        "**document**",
        "**untested**",
        "**not yet**",
        "**not applicable**",
    ]
    .map(marked);
    let tests = rows.len() - documents - untested - not_yet - none;
    let summary = format!(
        "Of {} requirements {tests} are shown by tests, {documents} are documents, {untested} are \
         untested, {not_yet} are not yet met, {none} do not apply.",
        rows.len()
    );
    assert!(text.contains(&summary), "it should say: {summary}");
}
