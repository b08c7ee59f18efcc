//! What a CSV's header says: which column means which field.

use std::collections::HashMap;

use common::FieldError;
use serde::{Deserialize, Serialize};

use super::csv::{Rows, Step, sniff_delimiter};

/// Most columns a file may have.
pub(crate) const MAX_COLUMNS: usize = 500;

/// What the cells of one column mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Email,
    FirstName,
    LastName,
    Phone,
    Company,
    Status,
    Score,
    Source,
    Timezone,
    Locale,
    Tags,
    /// A JSON object, as the export writes it.
    Attributes,
    /// One attribute, by its path.
    Attribute(Vec<String>),
    Ignored,
}

/// How a file is read, decided once from its head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub delimiter: u8,
    pub names: Vec<String>,
    pub targets: Vec<Target>,
    /// Where the first row after the header begins.
    pub first_byte: usize,
    pub first_line: u64,
}

/// Which column means what, in the caller's words; null leaves a column out.
pub(crate) type Mapping = HashMap<String, Option<String>>;

/// Why a file is no CSV of leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub code: &'static str,
    pub errors: Vec<FieldError>,
}

impl Unusable {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            errors: vec![FieldError::new("file", detail)],
        }
    }
}

/// Refuses what is not text before anything of it is kept.
pub(crate) fn check_format(head: &[u8]) -> Result<(), Unusable> {
    const BINARY: [(&[u8], &str); 6] = [
        (
            b"PK\x03\x04",
            "is a ZIP file (an Excel workbook is one too); save it as CSV",
        ),
        (b"PK\x05\x06", "is an empty ZIP file; save it as CSV"),
        (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
        (b"%PDF", "is a PDF"),
        (
            b"\xd0\xcf\x11\xe0",
            "is an old Excel workbook; save it as CSV",
        ),
        (b"\x89PNG", "is a picture"),
    ];
    if let Some((_, what)) = BINARY.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Unusable::new("not_a_csv", *what));
    }
    let start = &head[..head.len().min(4096)];
    let nuls = |parity: usize| {
        start
            .iter()
            .skip(parity)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let half = start.len() / 2;
    let marked = start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff");
    if marked || (half > 4 && (nuls(0) * 10 > half * 8 || nuls(1) * 10 > half * 8)) {
        return Err(Unusable::new("not_a_csv", "is UTF-16; save it as UTF-8"));
    }
    let line = &start[..memchr::memchr2(b'\r', b'\n', start).unwrap_or(start.len())];
    if line.contains(&0) {
        return Err(Unusable::new("not_a_csv", "is binary, not text"));
    }
    Ok(())
}

/// Reads the header out of the first bytes of a file; `whole` says that they are all of it.
pub(crate) fn plan(head: &[u8], whole: bool, mapping: &Mapping) -> Result<Plan, Unusable> {
    check_format(head)?;
    let bom = if head.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let text = &head[bom..];
    let first_line = &text[..memchr::memchr2(b'\r', b'\n', text).unwrap_or(text.len())];
    let mut rows = Rows::new(text, 1, sniff_delimiter(first_line), whole);
    let mut cells = Vec::new();
    match rows.next(&mut cells) {
        Step::Row { .. } => {}
        Step::End => return Err(Unusable::new("empty_file", "is empty")),
        Step::NeedMore => return Err(Unusable::new("not_a_csv", "has no end to its header row")),
        Step::Broken { reason, .. } => {
            return Err(Unusable::new(
                "not_a_csv",
                format!("has a header in which {reason}"),
            ));
        }
    }
    if cells.len() > MAX_COLUMNS {
        let detail = format!(
            "has {} columns; at most {MAX_COLUMNS} can be imported",
            cells.len()
        );
        return Err(Unusable::new("too_many_columns", detail));
    }
    let names = cells
        .iter()
        .map(|cell| std::str::from_utf8(cell).map(|name| name.trim().to_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| {
            Unusable::new(
                "not_a_csv",
                "has a header that is not UTF-8; save it as UTF-8",
            )
        })?;
    Ok(Plan {
        targets: targets(&names, mapping)?,
        names,
        delimiter: sniff_delimiter(first_line),
        first_byte: bom + rows.at,
        first_line: rows.line,
    })
}

fn targets(names: &[String], mapping: &Mapping) -> Result<Vec<Target>, Unusable> {
    let mut errors: Vec<FieldError> = mapping
        .keys()
        .filter(|column| !names.contains(column))
        .map(|column| FieldError::new(format!("mapping/{column}"), "is not a column of the file"))
        .collect();
    let mut targets: Vec<Target> = Vec::with_capacity(names.len());
    for name in names {
        let target = match mapping.get(name) {
            Some(None) => Ok(Target::Ignored),
            Some(Some(field)) => named(field),
            None => Ok(guess(name)),
        };
        match target {
            Ok(Target::Ignored) => targets.push(Target::Ignored),
            Ok(target) if targets.contains(&target) => {
                errors.push(FieldError::new(format!("file/{name}"), "appears twice"));
            }
            Ok(target) => targets.push(target),
            Err(detail) => errors.push(FieldError::new(format!("mapping/{name}"), detail)),
        }
    }
    if !errors.is_empty() {
        return Err(Unusable {
            code: "bad_columns",
            errors,
        });
    }
    if !targets.contains(&Target::Email) {
        let found: String = names.join(", ").chars().take(500).collect();
        let detail = format!("has no email column; its columns are: {found}");
        return Err(Unusable::new("no_email_column", detail));
    }
    Ok(targets)
}

/// The field that a mapping names.
fn named(field: &str) -> Result<Target, String> {
    known(field)
        .or_else(|| attribute(field.strip_prefix("attributes.")?))
        .ok_or_else(|| format!("names the field {field}, which leads do not have"))
}

fn known(field: &str) -> Option<Target> {
    Some(match field {
        "email" => Target::Email,
        "first_name" => Target::FirstName,
        "last_name" => Target::LastName,
        "phone" => Target::Phone,
        "company" => Target::Company,
        "status" => Target::Status,
        "score" => Target::Score,
        "source" => Target::Source,
        "timezone" => Target::Timezone,
        "locale" => Target::Locale,
        "tags" => Target::Tags,
        "attributes" => Target::Attributes,
        _ => return None,
    })
}

fn attribute(path: &str) -> Option<Target> {
    let path: Vec<String> = path.split('.').map(|part| part.trim().to_owned()).collect();
    let sound = path.len() <= 8
        && path.iter().all(|part| {
            (1..=100).contains(&part.chars().count()) && !part.chars().any(char::is_control)
        });
    sound.then_some(Target::Attribute(path))
}

/// What a column means that nobody mapped: a field by its usual names, else an attribute.
fn guess(name: &str) -> Target {
    let plain = name.to_lowercase().replace([' ', '-'], "_");
    match plain.as_str() {
        // The export writes these; they are not a person's data.
        "" | "id" | "created_at" | "updated_at" => Target::Ignored,
        "e_mail" | "email_address" => Target::Email,
        "firstname" => Target::FirstName,
        "lastname" => Target::LastName,
        plain => known(plain)
            .or_else(|| attribute(name.strip_prefix("attributes.").unwrap_or(name)))
            .unwrap_or(Target::Ignored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(head: &[u8]) -> &'static str {
        plan(head, true, &Mapping::new())
            .expect_err("unusable")
            .code
    }

    #[test]
    fn what_is_no_csv_is_told_apart() {
        assert_eq!(code(b"PK\x03\x04rest"), "not_a_csv");
        assert_eq!(code(b"\xff\xfee\0m\0a\0i\0l\0"), "not_a_csv");
        assert_eq!(code(b"e\0m\0a\0i\0l\0,\0n\0a\0m\0e\0\n\0"), "not_a_csv");
        assert_eq!(code(b"email,vorn\xe4me\na@b.de,x\n"), "not_a_csv");
        assert_eq!(code(b"\x00\x01\x02"), "not_a_csv");
        assert_eq!(code(b"\"email,name\n"), "not_a_csv");
        assert_eq!(code(b"\xef\xbb\xbf\n"), "empty_file");
        assert_eq!(code(",".repeat(4_999).as_bytes()), "too_many_columns");
        assert_eq!(code(b"email,Email\n"), "bad_columns");
    }

    #[test]
    fn a_missing_email_column_names_what_was_found() {
        let refused = plan(b"name;phone\nAda;1\n", true, &Mapping::new()).expect_err("no email");
        assert_eq!(refused.code, "no_email_column");
        assert!(refused.errors[0].detail.contains("name, phone"));
    }

    #[test]
    fn a_header_without_end_needs_the_whole_file() {
        assert!(plan(b"email,name", false, &Mapping::new()).is_err());
        assert!(plan(b"email,name", true, &Mapping::new()).is_ok());
    }

    #[test]
    fn columns_find_their_fields() {
        let plan = plan(
            "\u{feff}E-Mail;First Name;Plan;attributes.address.city;id\r\nx".as_bytes(),
            true,
            &Mapping::new(),
        )
        .expect("a good header");
        let attribute =
            |path: &[&str]| Target::Attribute(path.iter().map(|p| (*p).to_owned()).collect());
        assert_eq!(
            plan.targets,
            [
                Target::Email,
                Target::FirstName,
                attribute(&["Plan"]),
                attribute(&["address", "city"]),
                Target::Ignored
            ]
        );
        assert_eq!((plan.delimiter, plan.first_line), (b';', 2));
    }

    #[test]
    fn a_mapping_is_checked_against_the_file() {
        let mapping = Mapping::from([
            ("Mail".to_owned(), Some("email".to_owned())),
            ("Gone".to_owned(), None),
            ("Name".to_owned(), Some("nickname".to_owned())),
        ]);
        let refused = plan(b"Mail,Name\n", true, &mapping).expect_err("two mistakes");
        let mut pointers: Vec<_> = refused.errors.iter().map(|e| e.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["mapping/Gone", "mapping/Name"]);
    }
}
