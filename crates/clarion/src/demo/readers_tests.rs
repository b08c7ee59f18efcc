use super::*;
use crate::demo::inbox::Summary;

fn mail() -> (Mail, Vec<String>) {
    let url = |path: &str| format!("http://p/{path}");
    let mail = Mail {
        summary: Summary {
            id: String::new(),
            rcpt_to: vec![],
            subject: None,
            message_id: None,
        },
        headers: Vec::new(),
        text: None,
        links: vec![url("c/1"), url("c/2"), url("u/3")],
        images: vec![url("o/1.gif")],
    };
    (
        mail,
        vec![
            "https://a.example/".to_owned(),
            "https://b.example/".to_owned(),
        ],
    )
}

fn tally(readers: &[Reader]) -> CampaignEngagement {
    let ((mail, to), mut tally) = (mail(), Tally::default());
    for (number, reader) in readers.iter().enumerate() {
        tally.add(&number.to_string(), &reader.at_first(&mail, &to));
        tally.add(&number.to_string(), &reader.later(&mail, &to));
    }
    tally.engagement()
}

fn hits(human: i64, machine: i64, unique: i64) -> Hits {
    Hits {
        human,
        machine,
        unique,
    }
}

#[test]
fn who_returns_is_one_person_with_many_hits() {
    let counted = tally(&[Reader::Returns, Reader::Clicks]);
    assert_eq!(
        (counted.opens, counted.clicks),
        (hits(3, 0, 2), hits(4, 0, 2))
    );
    let links: Vec<_> = counted
        .links
        .iter()
        .map(|link| (link.url.as_str(), link.hits))
        .collect();
    assert_eq!(
        links,
        [
            ("https://a.example/", hits(3, 0, 2)),
            ("https://b.example/", hits(1, 0, 1))
        ]
    );
}

#[test]
fn machines_are_no_people() {
    use Reader::{Prefetches, ScansAtOnce, ScansByHead, ScansByName, ScansNameless};
    let counted = tally(&[
        Prefetches,
        ScansByHead,
        ScansAtOnce,
        ScansByName,
        ScansNameless,
    ]);
    assert_eq!(
        (counted.opens, counted.clicks),
        (hits(0, 3, 0), hits(0, 8, 0))
    );
}

#[test]
fn a_head_scanner_looks_at_every_link_but_not_at_the_unsubscribe_page() {
    let (mail, to) = mail();
    let looked = Reader::ScansByHead.at_first(&mail, &to);
    assert!(
        looked
            .iter()
            .all(|hit| hit.method == Method::HEAD && hit.url.contains("/c/"))
    );
    assert_eq!(looked.len(), 2);
}

#[test]
fn who_leaves_is_counted_once() {
    let mut tally = Tally::default();
    tally.leave("ada");
    tally.leave("ada");
    assert_eq!(tally.engagement().unsubscribes, hits(1, 0, 1));
}

#[test]
fn every_kind_of_reader_comes_up() {
    use Reader::{Clicks, Leaves, Opens, Prefetches, Proxied, Returns};
    use Reader::{ScansAtOnce, ScansByHead, ScansByName, ScansNameless};
    let all = [
        Opens,
        Clicks,
        Returns,
        Proxied,
        Leaves,
        Prefetches,
        ScansByHead,
        ScansAtOnce,
        ScansByName,
        ScansNameless,
    ];
    let found: Vec<Reader> = (0..20).map(Reader::number).collect();
    assert!(all.iter().all(|reader| found.contains(reader)));
}
