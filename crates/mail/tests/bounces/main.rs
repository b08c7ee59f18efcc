//! The reader of bounces against a corpus of real ones.

mod hostile;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mail::bounce::{Class, read};

/// What a corpus says of a file: the recipients, each with the class that it should get.
fn expected(folder: &Path) -> BTreeMap<String, Vec<(String, Class, String)>> {
    let table = std::fs::read_to_string(folder.join("expected.tsv")).expect("the verdicts");
    let mut files = BTreeMap::<_, Vec<_>>::new();
    for line in table.lines().skip(1) {
        let cells: Vec<_> = line.split('\t').collect();
        let class = match (cells[2], cells[3]) {
            ("feedback", _) => Class::Complaint,
            ("vacation", _) => Class::AutoReply,
            ("delivered", _) => Class::Delivered,
            (_, "1") => Class::Hard,
            _ => Class::Soft,
        };
        let verdict = (cells[1].to_lowercase(), class, cells[2].to_owned());
        files.entry(cells[0].to_owned()).or_default().push(verdict);
    }
    files
}

#[test]
fn most_recipients_and_classes_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bounces");
    let (mut all, mut people, mut classes) = (0_u32, 0_u32, 0_u32);
    for (file, wanted) in expected(&folder) {
        let raw = std::fs::read(folder.join(&file)).expect("a mail of the corpus");
        let report = read(&raw);
        let got: BTreeSet<_> = report
            .recipients
            .iter()
            .map(|v| v.address.clone())
            .collect();
        for (address, class, reason) in wanted {
            all += 1;
            let verdict = report.recipients.iter().find(|v| v.address == address);
            people += u32::from(verdict.is_some());
            // A class is judged also where the recipient was missed.
            let verdict = verdict.or(report.recipients.first());
            let right = verdict.is_some_and(|verdict| verdict.class == class);
            classes += u32::from(right);
            if !got.contains(&address) {
                println!("{file}: {address} is missing in {got:?}");
            }
            if !right {
                println!("{file}: {class:?} ({reason}) was read as {verdict:?}");
            }
        }
    }
    println!("of {all}: {people} recipients, {classes} classes");
    // What is missed most is said by the corpus to be a filter, where the server said in so many
    // words that the user is unknown: whoever reads it would believe the server.
    let part = |count: u32| f64::from(count) / f64::from(all);
    assert!(part(people) >= 0.98, "{people} of {all} recipients");
    assert!(part(classes) >= 0.95, "{classes} of {all} classes");
}

proptest::proptest! {
    #[test]
    fn no_octets_make_it_panic(raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000)) {
        read(&raw);
    }

    #[test]
    fn no_damaged_report_makes_it_panic(cut in 0_usize..4_000, octet: u8) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bounces");
        let mut raw = std::fs::read(folder.join("lhost-postfix-01.eml")).expect("a mail of the corpus");
        if let Some(at) = raw.get_mut(cut) {
            *at = octet;
        }
        raw.truncate(raw.len().saturating_sub(cut / 2));
        read(&raw);
    }
}
