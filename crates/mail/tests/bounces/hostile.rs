//! Mails that are made to be hard to read.

use mail::bounce::{Class, read};
use proptest::prelude::*;

const SIZE: usize = 1 << 20;

fn repeated(head: &str, piece: impl Fn(usize) -> String) -> String {
    let mut mail = head.to_owned();
    for n in 0.. {
        mail.push_str(&piece(n));
        if mail.len() > SIZE {
            break;
        }
    }
    mail
}

fn mails() -> Vec<String> {
    const HEAD: &str = "From: mailer-daemon@x.example\r\nSubject: failure notice\r\n";
    const REPORT: &str = "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nno user\r\n\
                          --b\r\nContent-Type: message/delivery-status\r\n\r\n";
    let report = format!("{HEAD}{REPORT}");
    let prose = format!("{HEAD}\r\nundeliverable ");
    let failed = format!("{HEAD}X-Failed-Recipients: a@x.example");
    let abuse = report.replace("delivery-status", "feedback-report");
    let long = format!("{report}Action: failed\r\nDiagnostic-Code: smtp; ");
    let blank = " ".repeat(64 << 10);
    let blank =
        format!("{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{blank}\r\n");
    let group = |n| format!("Final-Recipient: rfc822; u{n}@x.example\r\nAction: failed\r\n\r\n");
    vec![
        repeated(&report, group),
        repeated(&long, |_| "no ".to_owned()),
        repeated(&long, |_| "no\r\n ".to_owned()),
        repeated(&prose, |n| format!("u{n}@x.example ")),
        repeated(&prose, |n| format!("u{n}@x.example\r\n")),
        repeated(&prose, |_| ">>> data\r\n<<< 4\r\n".to_owned()),
        repeated(&failed, |n| format!(", u{n}@x.example")),
        repeated(&abuse, |n| format!("Original-Rcpt-To: u{n}@x.example\r\n")),
        repeated(&blank, |_| {
            "--b\r\nContent-Type: text/html\r\n\r\n\r\n".to_owned()
        }),
        repeated(HEAD, |_| "Content-Type: message/rfc822\r\n\r\n".to_owned()),
        repeated(HEAD, |n| {
            format!("Content-Type: multipart/report; boundary={n}\r\n\r\n--{n}\r\n")
        }),
    ]
}

#[test]
fn what_is_told_has_a_size_whatever_comes_in() {
    for mail in mails() {
        let report = read(mail.as_bytes());
        assert!(
            report.recipients.len() <= 100,
            "{}",
            report.recipients.len()
        );
        for verdict in report.recipients {
            let said = verdict.diagnostic.unwrap_or_default();
            assert!(said.len() <= 4 << 10, "{} octets", said.len());
        }
    }
}

#[test]
fn a_recipient_is_found_among_too_many() {
    for mail in mails().into_iter().take(1) {
        let first = read(mail.as_bytes()).recipients.swap_remove(0);
        assert_eq!(
            (&*first.address, first.class),
            ("u0@x.example", Class::Hard)
        );
    }
}

#[test]
fn messages_within_messages_that_never_end_are_read() {
    let mail = concat!(
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n",
        "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n",
        "\r\n--b--\r\n",
    );
    assert!(read(mail.as_bytes()).recipients.is_empty());
}

/// Pieces that such mails are made of.
const PIECES: [&str; 24] = [
    "From: mailer-daemon@x.example\r\n",
    "Subject: complaint about message from 1\r\n",
    "Content-Type: multipart/report; boundary=b\r\n\r\n",
    "Content-Type: message/delivery-status\r\n\r\n",
    "Content-Type: message/feedback-report\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: text/html\r\n\r\n",
    "Content-Type: text/plain; charset=iso-2022-jp\r\n",
    "--b\r\n",
    "--b--\r\n",
    "\r\n",
    " \r\n",
    "Final-Recipient: rfc822; a@x.example\r\n",
    "Original-Recipient: rfc822;\r\n",
    "Diagnostic-Code: smtp; 550 5.1.1 é\u{1b}$B%f\r\n",
    " 5.2.2 no\r\n",
    "Status: 5.\r\n",
    "Original-Rcpt-To: a@x.example\r\n",
    ">>> DATA\r\n",
    "<<< 5é\r\n",
    "554 <a@x.example>... no such user\r\n",
    "--- original message follows\r\n",
    "{\"notificationType\":\"Bounce\",\"bounce\":{}}",
    "あて先: a@x.example\r\n",
];

proptest! {
    #[test]
    fn no_order_of_pieces_makes_it_panic(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40),
        cut in 0_usize..2_000,
    ) {
        let mail = pieces.concat();
        read(&mail.as_bytes()[..mail.len().min(cut)]);
    }
}
