use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};

use super::*;

fn message(head: &str, body: &str) -> Vec<u8> {
    format!("{head}\r\n{body}").into_bytes()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn canonical_body(body: &str) -> String {
    let mut out = Vec::new();
    canonical::body(body.as_bytes(), |part| out.extend_from_slice(part));
    String::from_utf8(out).expect("text")
}

fn tag<'f>(field: &'f str, name: &str) -> &'f str {
    let tags = field.split(';').map(|tag| tag.trim().split_once('='));
    tags.flatten()
        .find_map(|(found, value)| (found == name).then_some(value))
        .unwrap_or_else(|| panic!("{name} in {field}"))
}

/// Whether a signature in front of `message` is right, by the key that its record publishes.
fn verifies(signature: &[u8], message: &[u8], record: &str) -> bool {
    let field = std::str::from_utf8(signature).expect("ASCII");
    let (_, tags) = field.split_once(':').expect("a field");
    let bare = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let (head, body) = canonical::split(message);
    if bare(tag(tags, "bh")) != STANDARD.encode(hash_of(body)) {
        return false;
    }
    let fields = Fields::parse(head);
    let mut input = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for name in bare(tag(tags, "h")).split(':') {
        if seen.insert(name.to_owned()) {
            fields.canonical(name, &mut input);
        }
    }
    let unsigned = field.rfind("b=").map(|at| &field[..at + 2]).expect("b=");
    let hash = hash_of_head(&input, unsigned);
    let signature = STANDARD.decode(bare(tag(tags, "b"))).expect("Base64");
    let public = STANDARD.decode(tag(record, "p")).expect("Base64");
    match tag(record, "k") {
        "ed25519" => UnparsedPublicKey::new(&ED25519, public).verify(hash.as_ref(), &signature),
        _ => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify_digest(&hash, &signature),
    }
    .is_ok()
}

#[test]
fn bodies_are_canonical_as_the_rfc_says() {
    for (written, canonical) in [
        ("", ""),
        ("\r\n\r\n", ""),
        (" \t \r\n\r\n", ""),
        (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
        ("a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("a\r\n \r\nb", "a\r\n\r\nb\r\n"),
        (
            "a b\r\nc\td\r\n  e  f\r\ng\r\n",
            "a b\r\nc d\r\n e f\r\ng\r\n",
        ),
        ("\r\na\r\n", "\r\na\r\n"),
    ] {
        assert_eq!(canonical_body(written), canonical, "{written:?}");
    }
}

#[test]
fn fields_are_canonical_as_the_rfc_says() {
    for (written, canonical) in [
        ("A: X\r\n", "a:X\r\n"),
        ("B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"),
        ("Subject:\r\n", "subject:\r\n"),
        ("Subject: a:b\r\n", "subject:a:b\r\n"),
    ] {
        let mut out = Vec::new();
        canonical::field(written.as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), canonical);
    }
}

/// RFC 8463 appendix A.
#[test]
fn the_example_of_the_rfc_is_signed_as_it_is_there() {
    let body = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
    let body_hash = STANDARD.encode(hash_of(body.as_bytes()));
    assert_eq!(body_hash, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    let head = "From: Joe SixPack <joe@football.example.com>\r\n\
                To: Suzie Q <suzie@shopping.example.net>\r\n\
                Subject: Is dinner ready?\r\n\
                Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
                Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
    let field = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
                 d=football.example.com; i=@football.example.com;\r\n \
                 q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
                 subject : date : message-id : from : subject : date;\r\n \
                 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=";
    let fields = Fields::parse(head.as_bytes());
    let mut input = Vec::new();
    for name in ["from", "to", "subject", "date", "message-id"] {
        assert_eq!(fields.canonical(name, &mut input), 1);
    }
    let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=");
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed.expect("Base64")).expect("a seed");
    let pkcs8 = pair.to_pkcs8v1().expect("a key");
    let key = PrivateKey::read(Algorithm::Ed25519, pkcs8.as_ref()).expect("a key");
    assert_eq!(
        key.record(),
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    );
    assert_eq!(
        STANDARD.encode(key.sign(&hash_of_head(&input, field))),
        "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    );
}

#[test]
fn a_signature_holds_until_something_that_it_covers_is_changed() {
    let head = "From: a@x.example\r\nTo: b@y.example\r\nSubject: Hello\r\n there\r\n\
                X-Other: 1\r\nDate: now\r\n";
    let original = message(head, "Text  of it\r\n\r\n");
    for algorithm in [Algorithm::Rsa, Algorithm::Ed25519] {
        let (key, pkcs8) = PrivateKey::generate(algorithm);
        let record = key.record();
        assert!(PrivateKey::read(algorithm, &pkcs8).is_ok());
        let field = Signer::new("x.example", "s1", key).sign(&original, now());
        assert!(verifies(&field, &original, &record), "{algorithm:?}");

        let harmless = message(&head.replace("X-Other: 1", "X-Other: 2"), "Text of it \r\n");
        assert!(verifies(&field, &harmless, &record), "{algorithm:?}");
        for changed in [
            message(&head.replace("Hello", "Hallo"), "Text  of it\r\n\r\n"),
            message(
                &format!("{head}Subject: another\r\n"),
                "Text  of it\r\n\r\n",
            ),
            message(
                &format!("{head}Reply-To: c@z.example\r\n"),
                "Text  of it\r\n\r\n",
            ),
            message(head, "Text of her\r\n"),
        ] {
            assert!(!verifies(&field, &changed, &record), "{algorithm:?}");
        }
        let mut other = field.clone();
        let at = other.len() - 10;
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(!verifies(&other, &original, &record), "{algorithm:?}");
    }
}

#[test]
fn every_covered_field_is_named_once_more_than_it_occurs() {
    let (key, _) = PrivateKey::generate(Algorithm::Ed25519);
    let field =
        Signer::new("x.example", "s1", key).sign(&message("From: a@x.example\r\n", ""), now());
    let field = String::from_utf8(field).expect("ASCII");
    let listed: String = tag(&field, "h").split_ascii_whitespace().collect();
    let times = |name: &str| listed.split(':').filter(|found| *found == name).count();
    assert_eq!((times("From"), times("Subject")), (2, 1));
    assert!(COVERED.iter().all(|name| times(name) >= 1), "{listed}");
    for line in field.split("\r\n") {
        assert!(line.len() <= 78, "{line}");
    }
}

#[test]
fn several_signatures_are_several_fields() {
    let original = message("From: a@x.example\r\n", "Hi\r\n");
    let keys = [Algorithm::Rsa, Algorithm::Ed25519].map(|kind| PrivateKey::generate(kind).0);
    let records: Vec<_> = keys.iter().map(PrivateKey::record).collect();
    let signers = keys.map(|key| Signer::new("x.example", "s", key));
    let both = String::from_utf8(sign(&signers, &original, now())).expect("ASCII");
    let (first, second) = both.split_at(both.rfind("DKIM-Signature").expect("two fields"));
    for (field, record) in [first, second].into_iter().zip(&records) {
        assert!(verifies(field.as_bytes(), &original, record), "{field}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    assert!(PrivateKey::read(Algorithm::Rsa, b"nonsense").is_err());
    let (_, ed25519) = PrivateKey::generate(Algorithm::Ed25519);
    assert!(PrivateKey::read(Algorithm::Rsa, &ed25519).is_err());
}
