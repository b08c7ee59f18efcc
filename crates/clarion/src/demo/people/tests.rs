use std::collections::HashSet;

use super::*;

#[test]
fn the_shipped_file_is_what_the_generator_makes() {
    let made = Crowd::new(SHIPPED_PEOPLE).csv;
    assert!(
        made == SHIPPED,
        "run `clarion demo --write-csv crates/clarion/src/demo/assets/leads.csv`"
    );
}

#[test]
fn every_row_is_counted_once() {
    let crowd = Crowd::new(SHIPPED_PEOPLE);
    assert_eq!(crowd.people.len(), SHIPPED_PEOPLE);
    assert_eq!(
        (crowd.updated, crowd.unchanged, crowd.refused.len()),
        (200, 200, 401)
    );
    let counted = crowd.people.len() as u64 + crowd.updated + crowd.unchanged;
    assert_eq!(crowd.rows, counted + crowd.refused.len() as u64);
}

#[test]
fn everybody_is_somebody_else() {
    let crowd = Crowd::new(SHIPPED_PEOPLE);
    let keys: HashSet<String> = crowd.people.iter().map(Person::key).collect();
    assert_eq!(keys.len(), SHIPPED_PEOPLE);
    for person in &crowd.people {
        assert!(
            common::values::EmailAddress::parse(&person.email).is_ok(),
            "{}",
            person.email
        );
    }
}

#[test]
fn every_kind_of_bad_row_and_every_fate_occurs() {
    let crowd = Crowd::new(SHIPPED_PEOPLE);
    for kind in &bad::KINDS {
        assert!(
            crowd
                .refused
                .iter()
                .filter(|refused| refused.reason == kind.reason)
                .count()
                > 10
        );
    }
    let count = |fate| crowd.with_fate(fate).count();
    assert_eq!(count(Fate::Rejected), 5);
    assert_eq!((count(Fate::Lost), count(Fate::KeptWithoutReply)), (2, 2));
    assert!(
        crowd
            .people
            .iter()
            .any(|person| person.email.starts_with("slow+"))
    );
}

#[test]
fn an_ordinary_reader_finds_the_same_people() {
    let crowd = Crowd::new(200);
    // The last row is left out: to an ordinary reader its open quote swallows the end.
    let end = crowd.csv.len() - bad::UNCLOSED.len();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(&crowd.csv[3..end]);
    assert!(
        reader
            .byte_headers()
            .unwrap()
            .iter()
            .eq(COLUMNS.iter().map(|name| name.as_bytes()))
    );
    let rows: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64 + 1, crowd.rows);
    let texts = rows
        .iter()
        .map(|row| row.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    let found: HashSet<Vec<Vec<u8>>> = texts.collect();
    for person in &crowd.people[100..103] {
        assert!(found.contains(&person.cells()), "{person:?}");
    }
}

#[test]
fn refused_rows_stand_on_the_lines_they_are_said_to() {
    let crowd = Crowd::new(60);
    let lines: Vec<&[u8]> = crowd.csv.split(|byte| *byte == b'\n').collect();
    let [first, .., last] = &crowd.refused[..] else {
        panic!("some rows are refused")
    };
    let on =
        |refusal: &Refusal| String::from_utf8_lossy(lines[refusal.line as usize - 1]).into_owned();
    assert!(on(first).contains(" at "), "{}", on(first));
    assert!(on(last).starts_with("unclosed@"), "{}", on(last));
}

#[test]
fn a_person_who_changed_is_what_the_last_row_says() {
    let crowd = Crowd::new(200);
    let (moved, upgraded) = (&crowd.people[7], &crowd.people[88]);
    assert_eq!(
        (moved.city.as_str(), moved.first_name.as_str()),
        ("Nürnberg", "")
    );
    assert!(moved.tags.contains(&"moved".to_owned()) && moved.tags.len() > 1);
    assert_eq!(upgraded.plan, "enterprise");
    assert!(crowd.changed.contains(&7) && crowd.changed.contains(&88));
}

#[test]
fn a_person_depends_on_nothing_but_the_number() {
    let (few, many) = (Crowd::new(150), Crowd::new(300));
    assert_eq!(few.people[..100], many.people[..100]);
}
