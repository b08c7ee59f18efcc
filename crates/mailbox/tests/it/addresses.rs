use std::time::{Duration, Instant};

use mailbox::Settings;

use crate::support::{Running, message};

#[tokio::test]
async fn hard_soft_and_full_answer_at_the_recipient() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    assert_eq!(client.say("MAIL FROM:<a@x.y>").await, 250);
    let cases = [
        ("hard+1@x.y", "550 5.1.1 "),
        ("HARD+1@x.y", "550 5.1.1 "),
        ("full+1@x.y", "452 4.2.2 "),
        ("full+1@x.y", "452 4.2.2 "),
        ("full+1@x.y", "452 4.2.2 "),
        ("soft+1@x.y", "451 4.3.0 "),
        ("soft+2@x.y", "451 4.3.0 "),
        ("soft+1@x.y", "451 4.3.0 "),
        ("soft+1@x.y", "250 2.1.5 "),
        ("soft+2@x.y", "451 4.3.0 "),
        ("soft+2@x.y", "250 2.1.5 "),
        ("soft+2@x.y", "250 2.1.5 "),
        ("hard@x.y", "250 2.1.5 "),
    ];
    for (address, answer) in cases {
        client
            .send(format!("RCPT TO:<{address}>\r\n").as_bytes())
            .await;
        let reply = client.reply().await;
        assert!(reply.starts_with(answer), "{address}: {reply}");
    }
}

#[tokio::test]
async fn drop_ends_the_connection_and_stores_nothing() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    assert_eq!(
        client.deliver("drop+1@x.y", &message("gone")).await,
        0,
        "no reply"
    );
    assert_eq!(mailbox.handle.stats().messages, 0);
    assert_eq!(
        mailbox
            .client()
            .await
            .deliver("b@x.y", &message("next"))
            .await,
        250
    );
}

#[tokio::test]
async fn dropafter_ends_the_connection_and_stores_the_mail() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    assert_eq!(
        client.deliver("dropafter+1@x.y", &message("kept")).await,
        0,
        "no reply"
    );
    assert_eq!(mailbox.handle.stats().messages, 1);
}

#[tokio::test]
async fn slow_delays_its_own_replies_and_nobody_elses() {
    let slow = Duration::from_millis(300);
    let mailbox = Running::with(Settings {
        slow,
        ..Settings::default()
    })
    .await;
    let mut waiting = mailbox.client().await;
    assert_eq!(waiting.say("MAIL FROM:<a@x.y>").await, 250);
    let begun = Instant::now();
    waiting.send(b"RCPT TO:<slow+1@x.y>\r\n").await;
    assert_eq!(
        mailbox
            .client()
            .await
            .deliver("b@x.y", &message("swift"))
            .await,
        250
    );
    assert_eq!(waiting.code().await, 250);
    assert!(begun.elapsed() >= slow);

    let begun = Instant::now();
    assert_eq!(waiting.say("DATA").await, 354);
    waiting.send(b"Subject: slow\r\n\r\n.\r\n").await;
    assert_eq!(waiting.code().await, 250);
    assert!(begun.elapsed() >= slow);
    assert_eq!(mailbox.handle.stats().messages, 2);
}
