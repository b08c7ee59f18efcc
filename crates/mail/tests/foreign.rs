//! Messages of ours as other people's software reads them.

use std::io::Write;
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};
use common::dto::dispatch::Mailbox;
use common::ids::MessageId;
use common::values::EmailAddress;
use mail::dkim::{self, Algorithm, PrivateKey, Signer};
use mail::mime::{self, Attachment, Bulk, Mail, Unsubscribe};

const MESSAGES: usize = 1000;

/// A repeatable choice of things to write (SplitMix64).
struct Choice(u64);

impl Choice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("it is below the limit")
    }

    fn text(&mut self, pieces: usize) -> String {
        const PIECES: [&str; 20] = [
            "a",
            "Grüße",
            " ",
            "  ",
            "\t",
            "日本語",
            "👩‍👩‍👧",
            "=",
            ".",
            "\n",
            "\n\n",
            "\r\n",
            "From ",
            "long",
            "😀",
            "<b>",
            "&amp;",
            "\"quoted\"",
            "İstanbul",
            "שלום",
        ];
        let mut text = String::new();
        for _ in 0..self.below(pieces) + 1 {
            match self.below(40) {
                0 => text.push_str(&"x".repeat(self.below(3000))),
                1 => text.push_str(&"ü".repeat(self.below(1000))),
                2 => text.push_str("\n.\n..\n"),
                _ => text.push_str(PIECES[self.below(PIECES.len())]),
            }
        }
        text
    }

    fn line(&mut self, pieces: usize) -> String {
        self.text(pieces).replace(['\r', '\n', '\t'], " ")
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

fn message(choice: &mut Choice) -> Vec<u8> {
    let address = |text: &str| EmailAddress::parse(text).expect("an address");
    let from = Mailbox {
        name: choice.line(4),
        email: address("ada@sender.example"),
    };
    let (subject, text, html) = (choice.line(20), choice.text(200), choice.text(200));
    let (list_name, url) = (
        choice.line(3),
        format!("https://x.example/u/{}", "t".repeat(choice.below(200))),
    );
    let campaign = Bulk::Campaign {
        unsubscribe: Unsubscribe {
            url: &url,
            mailto: Some("leave@x.example").filter(|_| list_name.len() % 2 == 0),
        },
        feedback: ["c", "w", "campaign"],
        list_name: &list_name,
        list_id: "w.sender.example",
    };
    let names: Vec<_> = (0..choice.below(6).saturating_sub(2))
        .map(|_| choice.line(12))
        .collect();
    let content = choice.text(300);
    let files: Vec<_> = names
        .iter()
        .map(|filename| Attachment {
            filename,
            content_type: ["application/pdf", "text/csv; charset=utf-8"][filename.len() % 2],
            content: content.as_bytes(),
        })
        .collect();
    mime::build(&Mail {
        id: MessageId::new(),
        from: &from,
        to: &address(["bob@example.com", "b.o+b@büro.example"][choice.below(2)]),
        reply_to: Some(&address("reply@sender.example")).filter(|_| choice.below(2) == 0),
        date: now(),
        subject: &subject,
        text: &text,
        html: Some(html.as_str()).filter(|_| choice.below(3) > 0),
        bulk: match choice.below(4) {
            0 => Bulk::Automatic,
            _ => campaign,
        },
        attachments: &files,
    })
}

#[test]
fn a_thousand_messages_parse_strictly_and_verify_in_dkimpy() {
    let keys = [("r1", Algorithm::Rsa), ("e1", Algorithm::Ed25519)];
    let mut input = Vec::new();
    let signers = keys.map(|(selector, algorithm)| {
        let (key, _) = PrivateKey::generate(algorithm);
        let record = format!("{selector}._domainkey.sender.example\t{}\n", key.record());
        input.extend_from_slice(record.as_bytes());
        Signer::new("sender.example", selector, key)
    });
    input.push(b'\n');
    let mut choice = Choice(3);
    for _ in 0..MESSAGES {
        let message = message(&mut choice);
        let signed = [dkim::sign(&signers, &message, now()), message].concat();
        input.extend_from_slice(format!("{}\n", signed.len()).as_bytes());
        input.extend_from_slice(&signed);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    // Debian's packages are those of Debian's Python.
    let mut python = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    // One that ends early says why in its own words.
    python
        .stdin
        .take()
        .expect("it is piped")
        .write_all(&input)
        .ok();
    let output = python.wait_with_output().expect("python3 ends");
    assert!(
        output.status.success(),
        "it needs the packages of deploy/setup/packages.sh test"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "1000 ed25519-sha256=1000 rsa-sha256=1000"
    );
}
