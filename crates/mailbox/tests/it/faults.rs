use mailbox::{DropEvery, DropWhen, Faults, Refusal, Stage};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Client, Running, message};

fn refusing(stage: Stage, code: u16) -> Faults {
    Faults {
        refuse: Some(Refusal { stage, code }),
        ..Faults::default()
    }
}

fn dropping(nth: u64, when: DropWhen) -> Faults {
    Faults {
        drop: Some(DropEvery { nth, when }),
        ..Faults::default()
    }
}

#[tokio::test]
async fn everything_can_be_refused_at_each_stage() {
    let mailbox = Running::start().await;
    mailbox.handle.set_faults(refusing(Stage::Connect, 421));
    let mut client = Client::connect(mailbox.smtp).await;
    assert!(client.reply().await.starts_with("421 4.3.2 "));
    assert_eq!(client.line().await, "");

    mailbox.handle.set_faults(refusing(Stage::Mail, 450));
    let mut client = mailbox.client().await;
    assert_eq!(client.say("MAIL FROM:<a@x.y>").await, 450);
    mailbox.handle.set_faults(refusing(Stage::Rcpt, 571));
    assert_eq!(client.deliver("b@x.y", &message("1")).await, 571);
    mailbox.handle.set_faults(refusing(Stage::Data, 554));
    assert_eq!(client.deliver("b@x.y", &message("2")).await, 554);
    assert_eq!(mailbox.handle.stats().messages, 0);

    mailbox.handle.set_faults(Faults::default());
    assert_eq!(client.deliver("b@x.y", &message("3")).await, 250);
}

#[tokio::test]
async fn every_second_message_can_be_dropped_around_its_reply() {
    for (when, replies, stored) in [
        (DropWhen::Unstored, [250, 0], 1),
        (DropWhen::BeforeReply, [250, 0], 2),
        (DropWhen::AfterReply, [250, 250], 2),
    ] {
        let mailbox = Running::start().await;
        mailbox.handle.set_faults(dropping(2, when));
        let mut client = mailbox.client().await;
        for (number, reply) in replies.into_iter().enumerate() {
            assert_eq!(
                client.deliver("b@x.y", &message(&number.to_string())).await,
                reply
            );
        }
        assert_eq!(client.line().await, "", "{when:?} ends the connection");
        assert_eq!(mailbox.handle.stats().messages, stored, "{when:?}");
    }
}

#[tokio::test]
async fn a_hang_lasts_until_it_is_lifted() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    mailbox.handle.set_faults(Faults {
        hang: true,
        ..Faults::default()
    });
    client.send(b"NOOP\r\n").await;
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(100), client.line()).await;
    assert!(waiting.is_err());
    mailbox.handle.set_faults(Faults::default());
    assert_eq!(client.code().await, 250);

    mailbox.handle.set_faults(Faults {
        hang: true,
        ..Faults::default()
    });
    client.send(b"NOOP\r\n").await;
    mailbox.stopped().await;
}

#[tokio::test]
async fn a_mailbox_that_is_away_comes_back_on_the_same_port() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    mailbox.handle.set_faults(Faults {
        away: true,
        ..Faults::default()
    });
    assert_eq!(client.line().await, "", "open connections end");
    while TcpStream::connect(mailbox.smtp).await.is_ok() {
        tokio::task::yield_now().await;
    }
    mailbox.handle.set_faults(Faults::default());
    while TcpStream::connect(mailbox.smtp).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        mailbox
            .client()
            .await
            .deliver("b@x.y", &message("back"))
            .await,
        250
    );
}

#[tokio::test]
async fn replies_can_be_delayed() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    mailbox.handle.set_faults(Faults {
        delay_ms: 150,
        ..Faults::default()
    });
    let begun = std::time::Instant::now();
    assert_eq!(client.say("NOOP").await, 250);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(150));
}

#[tokio::test]
async fn faults_are_set_over_http_and_bad_ones_refused() {
    let mailbox = Running::start().await;
    let (http, url) = (reqwest::Client::new(), format!("{}/faults", mailbox.http));
    let put = |body: serde_json::Value| http.put(&url).json(&body).send();

    let answer = put(json!({"refuse": {"stage": "rcpt", "code": 451}}))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(mailbox.handle.faults(), refusing(Stage::Rcpt, 451));
    let shown: Faults = http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(shown, mailbox.handle.faults());

    for (bad, word) in [
        (
            json!({"refuse": {"stage": "rcpt", "code": 200}}),
            "refuse.code",
        ),
        (json!({"drop": {"nth": 0, "when": "unstored"}}), "drop.nth"),
        (json!({"explode": true}), "explode"),
        (json!({"hang": "yes"}), "boolean"),
    ] {
        let answer = put(bad).await.unwrap();
        assert_eq!(answer.status(), 400);
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "bad_request");
        assert!(
            problem["detail"].as_str().unwrap().contains(word),
            "{problem}"
        );
    }
    assert_eq!(
        mailbox.handle.faults(),
        refusing(Stage::Rcpt, 451),
        "a bad one changes nothing"
    );
    assert_eq!(put(json!({})).await.unwrap().status(), 200);
    assert_eq!(mailbox.handle.faults(), Faults::default());
}
