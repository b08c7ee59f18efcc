//! What it takes to spread the tables over machines, by workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};

use crate::support::App;

/// Tables that stay on one machine, and why.
const STAY: [(&str, &str); 12] = [
    (
        "ingest_batches",
        "a batch holds events of several workspaces",
    ),
    ("visit_flushes", "a flush holds pages of several workspaces"),
    ("write_keys", "few rows, and a trigger of the audit trail"),
    ("goals", "few rows, and a trigger of the audit trail"),
    ("erasures", "few rows, of all workspaces"),
    ("shares", "few rows, and a trigger of the audit trail"),
    ("audit_entries", "of the chassis"),
    ("outbox", "of the chassis: one order of all events"),
    ("feed_consumers", "of the chassis"),
    ("feed_positions", "of the chassis"),
    ("idempotency_keys", "of the chassis"),
    ("jobs", "of the chassis"),
];

/// Queries that ask for rows of all workspaces, and why.
const OF_ALL: [(&str, &str); 11] = [
    (
        "SELECT workspace_id, hour, count(*) AS marks FROM rollup_dirty",
        "what is calm and to be counted next",
    ),
    (
        "INSERT INTO ingest_batches (id, duplicates, committed_at) VALUES ($1",
        "of a batch, whosever events it holds",
    ),
    (
        "SELECT DISTINCT workspace_id, hour FROM rollup_dirty ORDER BY hour LIMIT $1",
        "what is to be counted next",
    ),
    (
        "SELECT workspace_id FROM held_clicks WHERE tell_at <= $1",
        "whose clicks others are told of next",
    ),
    (
        "SELECT workspace_id FROM person_changes LIMIT 1",
        "whose people are to be followed next",
    ),
    (
        "INSERT INTO rollup_dirty SELECT * FROM unnest",
        "marks hours of a batch",
    ),
    (
        "SELECT workspace_id, email FROM person_emails",
        "which addresses leads is asked about next",
    ),
    (
        "DELETE FROM rollup_steps WHERE hour >= $1",
        "a day past its retention",
    ),
    (
        "SELECT workspace_id, id, received_at, type AS kind, user_agent",
        "clarion rescore reads all events in order",
    ),
    (
        "CREATE TABLE {name} (LIKE events INCLUDING ALL)",
        "a day's partition",
    ),
    (
        "ALTER TABLE events DETACH PARTITION",
        "a day past its retention",
    ),
];

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The tables of the service's schema that are no partitions.
fn tables(conn: &mut PgConnection) -> BTreeSet<String> {
    let rows: Vec<Name> = sql_query(
        "SELECT relname::text AS name FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
           AND NOT relispartition AND relname NOT LIKE '\\_\\_%'",
    )
    .load(conn)
    .expect("the catalog can be read");
    rows.into_iter().map(|row| row.name).collect()
}

fn stay() -> BTreeMap<&'static str, &'static str> {
    STAY.into_iter().collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn distribution() -> String {
    std::fs::read_to_string(root().join("deploy/citus/distribute.sql")).expect("the file is there")
}

#[tokio::test]
async fn every_unique_key_of_a_table_that_is_spread_says_whose_row_it_is() {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = Bool)]
        says_whose: bool,
    }
    let app = App::start().await;
    let keys: Vec<Key> = sql_query(
        "SELECT t.relname::text AS name, i.relname::text AS key, EXISTS (
             SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (x.indkey)
                 AND a.attname = 'workspace_id') AS says_whose
         FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
         WHERE x.indisunique AND t.relnamespace = current_schema()::regnamespace",
    )
    .load(&mut app.connect())
    .expect("the catalog can be read");
    let stay = stay();
    let of_spread =
        |key: &&Key| !stay.contains_key(key.name.as_str()) && !key.name.starts_with("__diesel");
    let spread: Vec<&Key> = keys.iter().filter(of_spread).collect();
    assert!(spread.len() >= 15, "{} keys", spread.len());
    let bad: Vec<_> = spread
        .iter()
        .filter(|key| !key.says_whose)
        .map(|key| &key.key)
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[tokio::test]
async fn the_distribution_names_every_table_and_its_sql_runs() {
    let app = App::start().await;
    let mut conn = app.connect();
    let stay = stay();
    let mut expected = tables(&mut conn);
    let here: Vec<_> = stay
        .keys()
        .filter(|name| !expected.remove(**name))
        .collect();
    assert!(here.is_empty(), "no tables: {here:?}");
    // Refuses what Citus refuses, and remembers what it was asked for.
    conn.batch_execute(
        "CREATE TABLE spread (name text);
         CREATE FUNCTION create_distributed_table(
             name regclass, by text, colocate_with text DEFAULT 'default') RETURNS void
         LANGUAGE plpgsql AS $$ BEGIN
             IF EXISTS (SELECT FROM pg_index x WHERE x.indrelid = name AND x.indisunique AND NOT EXISTS (
                     SELECT FROM pg_attribute a WHERE a.attrelid = name
                         AND a.attnum = ANY (x.indkey) AND a.attname = by))
             THEN RAISE 'cannot create constraint on %', name; END IF;
             IF EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = name AND NOT t.tgisinternal)
             THEN RAISE 'triggers are not supported on distributed tables: %', name; END IF;
             IF colocate_with <> 'none' AND NOT EXISTS (
                     SELECT FROM spread s WHERE s.name = colocate_with)
             THEN RAISE 'relation % is not distributed', colocate_with; END IF;
             INSERT INTO spread VALUES (name::text);
         END $$",
    )
    .expect("a stand-in for Citus");
    conn.batch_execute(&distribution()).expect("it runs");
    let spread: Vec<Name> = sql_query("SELECT name FROM spread")
        .load(&mut conn)
        .expect("the tables that were named");
    assert_eq!(spread.len(), expected.len(), "each once");
    let spread: BTreeSet<String> = spread.into_iter().map(|row| row.name).collect();
    assert_eq!(spread, expected);
    let refused = conn.batch_execute(
        "SELECT create_distributed_table('write_keys', 'workspace_id', colocate_with => 'events')",
    );
    assert!(refused.is_err(), "a table with a trigger");
    let refused = conn.batch_execute(
        "SELECT create_distributed_table('ingest_batches', 'id_of_nobody', colocate_with => 'events')",
    );
    assert!(refused.is_err(), "a key without the column");
}

/// The string literals of a source, with constants of other literals filled in.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let (mut text, mut inside, mut before) = (String::new(), false, ' ');
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match (inside, c) {
            (false, '/') if chars.peek() == Some(&'/') => {
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            (false, '"') if before != '\'' => inside = true,
            (true, '\\') => text.extend(chars.next()),
            (true, '"') => {
                found.push(std::mem::take(&mut text));
                inside = false;
            }
            (true, c) => text.push(c),
            (false, _) => {}
        }
        before = c;
    }
    found
}

/// Whether a piece of SQL asks one of these tables for rows, or writes some.
fn mentions(sql: &str, tables: &BTreeSet<String>) -> bool {
    let words: Vec<&str> = sql
        .split(|c: char| !(c.is_alphanumeric() || "_{}".contains(c)))
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(2).any(|pair| {
        let verb = ["FROM", "JOIN", "INTO", "UPDATE", "TABLE"].contains(&pair[0]);
        let table = pair[1].split('{').next().unwrap_or_default();
        let prefix = pair[1].contains('{') && !table.is_empty();
        verb && (tables.contains(pair[1])
            || (prefix && tables.iter().any(|name| name.starts_with(table))))
    })
}

/// Whether it says whose rows.
fn says_whose(sql: &str) -> bool {
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    ["workspace_id = ", "(workspace_id,", "(workspace_id)"]
        .iter()
        .any(|sign| flat.contains(sign))
}

#[tokio::test]
async fn every_query_says_whose_rows_it_asks_for() {
    let app = App::start().await;
    let mut tables = tables(&mut app.connect());
    for (name, _) in STAY {
        tables.remove(name);
    }
    tables.insert("events_default".into());
    let mut sources = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut asked, mut silent, mut used) = (0, Vec::new(), BTreeSet::new());
    let mut constants: BTreeMap<String, String> = BTreeMap::new();
    let mut texts = Vec::new();
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            sources.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            let text = std::fs::read_to_string(&path).expect("a source");
            for part in text.split("const ").skip(1) {
                if let Some((name, value)) = part.split_once(": &str =")
                    && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                    && let Some(value) = literals(value).into_iter().next()
                {
                    constants.insert(format!("{{{name}}}"), value);
                }
            }
            texts.push(text);
        }
    }
    for literal in texts.iter().flat_map(|text| literals(text)) {
        if !mentions(&literal, &tables) {
            continue;
        }
        asked += 1;
        let mut filled = literal.clone();
        for (name, value) in &constants {
            filled = filled.replace(name, value);
        }
        let reason = OF_ALL.iter().find(|(part, _)| literal.contains(part));
        used.extend(reason.map(|(part, _)| *part));
        if reason.is_none() && !says_whose(&filled) {
            silent.push(literal);
        }
    }
    assert!(asked >= 40, "{asked} queries were found");
    assert!(silent.is_empty(), "of all workspaces: {silent:#?}");
    let idle: Vec<_> = OF_ALL
        .iter()
        .filter(|(part, _)| !used.contains(part))
        .collect();
    assert!(idle.is_empty(), "listed and not there: {idle:?}");
}

#[test]
fn a_query_that_does_not_say_whose_is_found() {
    let tables = BTreeSet::from(["events".to_owned(), "rollup_hits".to_owned()]);
    let found = literals("sql(\"SELECT 1\n FROM events WHERE id = $1\") // \"FROM events\"\n");
    assert_eq!(found.len(), 1);
    assert!(mentions(&found[0], &tables) && !says_whose(&found[0]));
    assert!(mentions("SELECT 1 FROM rollup_{what} WHERE true", &tables));
    assert!(!mentions("SELECT 1 FROM rollup_other", &tables));
    assert!(says_whose("SELECT FROM events e WHERE e.workspace_id = $1"));
}
