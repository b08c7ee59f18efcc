//! Rows of a CSV as leads, with a reason for each row that is none.

use std::borrow::Cow;
use std::collections::HashMap;

use common::values::EmailAddress;
use serde_json::{Map, Value};

use super::columns::{Plan, Target};
use super::csv::{Rows, Step};
use super::lead::{self, Profile};

/// Most characters in a cell that becomes an attribute.
const MAX_ATTRIBUTE: usize = 10_000;
/// Most bytes kept of a refused row.
const MAX_KEPT: usize = 16 * 1024;

/// One person in a file. What the file leaves empty is left as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Imported {
    pub email: String,
    pub key: String,
    pub profile: Profile,
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub line: i64,
    pub reason: String,
    pub cells: Vec<String>,
}

/// Rows read in one go, each person once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub leads: Vec<Imported>,
    pub rejected: Vec<Rejected>,
    /// Rows read, good and bad.
    pub rows: i64,
    /// Repetitions of a person within the batch that said something new, and that did not.
    pub repeated_updated: i64,
    pub repeated_unchanged: i64,
    /// Where the next batch begins, in the window, and on which line.
    pub next_at: usize,
    pub next_line: u64,
    /// Whether the file ends here.
    pub last: bool,
}

impl Batch {
    /// Reads up to `limit` rows of a window that begins on `line`.
    pub(crate) fn read(plan: &Plan, window: &[u8], line: u64, last: bool, limit: i64) -> Self {
        let mut rows = Rows::new(window, line, plan.delimiter, last);
        let mut batch = Self::default();
        let mut seen = HashMap::new();
        let mut cells = Vec::with_capacity(plan.targets.len());
        while batch.rows < limit {
            match rows.next(&mut cells) {
                Step::Row { line } => batch.take(plan, &mut seen, &cells, line),
                Step::Broken { line, reason, text } => {
                    batch.rows += 1;
                    batch.reject(line, reason.to_owned(), &[Cow::Borrowed(text)]);
                }
                Step::NeedMore => break,
                Step::End => {
                    batch.last = true;
                    break;
                }
            }
        }
        (batch.next_at, batch.next_line) = (rows.at, rows.line);
        batch
    }

    fn take(
        &mut self,
        plan: &Plan,
        seen: &mut HashMap<String, usize>,
        cells: &[Cow<'_, [u8]>],
        line: u64,
    ) {
        self.rows += 1;
        let lead = match read_row(plan, cells) {
            Ok(lead) => lead,
            Err(reason) => return self.reject(line, reason, cells),
        };
        match seen.get(&lead.key) {
            None => {
                seen.insert(lead.key.clone(), self.leads.len());
                self.leads.push(lead);
            }
            Some(&index) => match overlay(&mut self.leads[index].profile, lead.profile) {
                true => self.repeated_updated += 1,
                false => self.repeated_unchanged += 1,
            },
        }
    }

    fn reject(&mut self, line: u64, reason: String, cells: &[Cow<'_, [u8]>]) {
        let mut left = MAX_KEPT;
        let mut keep = |cell: &Cow<'_, [u8]>| {
            let part = &cell[..cell.len().min(left)];
            left -= part.len();
            String::from_utf8_lossy(part).replace('\0', "\u{fffd}")
        };
        self.rejected.push(Rejected {
            line: i64::try_from(line).unwrap_or(i64::MAX),
            reason,
            cells: cells.iter().map(&mut keep).collect(),
        });
    }
}

/// Lays a later row of the same person over an earlier one; answers whether it said anything new.
fn overlay(earlier: &mut Profile, later: Profile) -> bool {
    let before = earlier.clone();
    let fields = [
        (&mut earlier.first_name, later.first_name),
        (&mut earlier.last_name, later.last_name),
        (&mut earlier.phone, later.phone),
        (&mut earlier.company, later.company),
        (&mut earlier.status, later.status),
        (&mut earlier.source, later.source),
        (&mut earlier.timezone, later.timezone),
        (&mut earlier.locale, later.locale),
    ];
    for (field, value) in fields {
        if value.is_some() {
            *field = value;
        }
    }
    earlier.score = later.score.or(earlier.score);
    for tag in later.tags {
        if !earlier.tags.contains(&tag) {
            earlier.tags.push(tag);
        }
    }
    // Only the first level is merged, as the database merges it.
    earlier.attributes.extend(later.attributes);
    before != *earlier
}

/// One row as a lead, or everything that is wrong with it.
fn read_row(plan: &Plan, cells: &[Cow<'_, [u8]>]) -> Result<Imported, String> {
    let expected = plan.targets.len();
    let surplus = cells.get(expected..).unwrap_or_default();
    if cells.len() < expected || surplus.iter().any(|cell| !cell.is_empty()) {
        return Err(format!(
            "has {} cells, the header has {expected}",
            cells.len()
        ));
    }
    let (mut address, mut profile, mut wrong) = (None, Profile::default(), Vec::new());
    for ((cell, target), name) in cells.iter().zip(&plan.targets).zip(&plan.names) {
        let taken = match std::str::from_utf8(cell) {
            Err(_) => Err("is not UTF-8".to_owned()),
            Ok(text) if text.contains('\0') => Err("must not contain a NUL character".to_owned()),
            Ok(text) if *target == Target::Email => EmailAddress::parse(text)
                .map(|parsed| address = Some(parsed))
                .map_err(|why| why.to_string()),
            Ok(text) => fill(&mut profile, target, unguarded(text)),
        };
        if let Err(why) = taken {
            wrong.push(format!("{name} {why}"));
        }
    }
    if wrong.is_empty()
        && let Err(why) = lead::check_attributes(&profile.attributes)
    {
        wrong.push(format!("attributes {why}"));
    }
    match address {
        Some(address) if wrong.is_empty() => Ok(Imported {
            key: address.key(),
            email: address.into(),
            profile,
        }),
        _ => Err(wrong.join("; ")),
    }
}

/// A cell without the apostrophe that our export puts before what a spreadsheet would compute.
fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => text,
    }
}

fn fill(profile: &mut Profile, target: &Target, text: &str) -> Result<(), String> {
    match target {
        Target::Email | Target::Ignored => {}
        Target::FirstName => set(&mut profile.first_name, one_line(text, 200)?),
        Target::LastName => set(&mut profile.last_name, one_line(text, 200)?),
        Target::Phone => set(&mut profile.phone, one_line(text, 50)?),
        Target::Company => set(&mut profile.company, one_line(text, 200)?),
        Target::Source => set(&mut profile.source, one_line(text, 200)?),
        Target::Status => set(&mut profile.status, lead::status(&text.to_lowercase())?),
        Target::Timezone => set(&mut profile.timezone, lead::timezone(text)?),
        Target::Locale => set(&mut profile.locale, lead::locale(text)?),
        Target::Score => profile.score = score(text)?,
        Target::Tags => profile.tags = lead::tags(text.split([';', ',']))?,
        Target::Attributes => attributes(profile, text)?,
        Target::Attribute(path) => attribute(profile, path, text)?,
    }
    Ok(())
}

fn set(field: &mut Option<String>, value: Option<String>) {
    *field = value;
}

/// Line breaks inside a cell of one line become spaces: they come from spreadsheets, not from
/// people.
fn one_line(text: &str, limit: usize) -> Result<Option<String>, String> {
    if text.contains(['\n', '\r', '\t']) {
        let words: Vec<&str> = text.split_whitespace().collect();
        return lead::line(&words.join(" "), limit);
    }
    lead::line(text, limit)
}

fn score(text: &str) -> Result<Option<i32>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "must be a whole number".to_owned()),
    }
}

fn attributes(profile: &mut Profile, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Ok(());
    }
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "must be a JSON object".to_owned())?;
    profile.attributes.extend(object);
    Ok(())
}

/// Attributes from cells are text: a CSV does not say more, and `01234` must stay what it is.
fn attribute(profile: &mut Profile, path: &[String], text: &str) -> Result<(), String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(());
    }
    if text.chars().count() > MAX_ATTRIBUTE {
        return Err(format!("must be at most {MAX_ATTRIBUTE} characters long"));
    }
    let mut value = Value::String(text.to_owned());
    for name in path.iter().skip(1).rev() {
        value = Value::Object(Map::from_iter([(name.clone(), value)]));
    }
    let name = path.first().cloned().unwrap_or_default();
    lead::merge(&mut profile.attributes, Map::from_iter([(name, value)]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::columns::{Mapping, plan};
    use serde_json::json;

    fn batch(text: &[u8]) -> Batch {
        let plan = plan(text, true, &Mapping::new()).expect("a good header");
        let rest = &text[plan.first_byte..];
        Batch::read(&plan, rest, plan.first_line, true, 1_000)
    }

    #[test]
    fn every_bad_row_has_its_line_and_reason() {
        let batch = batch(
            b"email,score,timezone,first_name\n\
              no-at,1,,\n\
              a@example.com,many,Mars/One,A\n\
              b@example.com,1,,J\xf6rg\n\
              c@example.com,1,,\"two\nlines\"\n\
              d@example.com,1\n\
              e@example.com,1,,x\0y\n\
              f@example.com,1,,F,surplus\n\
              ,1,,\n",
        );
        let found: Vec<_> = batch
            .rejected
            .iter()
            .map(|r| (r.line, r.reason.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (2, "email must contain an @"),
                (
                    3,
                    "score must be a whole number; timezone must be an IANA time zone such as Europe/Berlin"
                ),
                (4, "first_name is not UTF-8"),
                (7, "has 2 cells, the header has 4"),
                (8, "first_name must not contain a NUL character"),
                (9, "has 5 cells, the header has 4"),
                (10, "email must contain an @"),
            ]
        );
        assert_eq!(
            batch.leads[0].profile.first_name.as_deref(),
            Some("two lines")
        );
        assert_eq!((batch.rows, batch.last), (8, true));
        assert!(
            !batch.rejected[4]
                .cells
                .iter()
                .any(|cell| cell.contains('\0'))
        );
    }

    #[test]
    fn the_later_row_of_a_person_wins_where_it_says_something() {
        let batch = batch(
            b"email,first_name,company,tags,plan\n\
              Ada@example.com,Ada,Acme,a,free\n\
              ada@EXAMPLE.com,Augusta,,b;a,pro\n\
              ada@example.com,Augusta,,,\n",
        );
        assert_eq!((batch.repeated_updated, batch.repeated_unchanged), (1, 1));
        let [ada] = &batch.leads[..] else {
            panic!("one person")
        };
        assert_eq!(ada.email, "Ada@example.com");
        assert_eq!(ada.profile.first_name.as_deref(), Some("Augusta"));
        assert_eq!(ada.profile.company.as_deref(), Some("Acme"));
        assert_eq!(ada.profile.tags, ["a", "b"]);
        assert_eq!(
            Value::Object(ada.profile.attributes.clone()),
            json!({ "plan": "pro" })
        );
    }

    #[test]
    fn attribute_columns_nest_and_the_exports_guard_is_taken_off() {
        let batch = batch(
            b"email,attributes.address.city,attributes.address.zip,attributes,phone\n\
              a@example.com,Wien,01234,\"{\"\"age\"\":7}\",'+49 1\n",
        );
        let profile = &batch.leads[0].profile;
        assert_eq!(
            Value::Object(profile.attributes.clone()),
            json!({ "address": { "city": "Wien", "zip": "01234" }, "age": 7 })
        );
        assert_eq!(profile.phone.as_deref(), Some("+49 1"));
    }

    #[test]
    fn a_batch_goes_on_where_the_last_one_ended() {
        let text = b"email\na@example.com\nb@example.com\nc@example.com\n";
        let plan = plan(text, true, &Mapping::new()).expect("a good header");
        let rest = &text[plan.first_byte..];
        let first = Batch::read(&plan, rest, plan.first_line, true, 2);
        assert_eq!(
            (first.leads.len(), first.last, first.next_line),
            (2, false, 4)
        );
        let second = Batch::read(&plan, &rest[first.next_at..], first.next_line, true, 2);
        assert_eq!((second.leads.len(), second.last), (1, true));
        assert_eq!(second.leads[0].email, "c@example.com");
    }
}
