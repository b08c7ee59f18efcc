use std::sync::Mutex;

use tokio::io::DuplexStream;

use super::*;

/// Knows one mailbox and keeps what comes to it, unless its disk is full.
#[derive(Debug, Default)]
struct Desk {
    mails: Mutex<Vec<String>>,
    full: bool,
}

impl Intake for Desk {
    type Recipient = ();

    fn recipient(&self, address: &str) -> Option<()> {
        (address == "b-1@b.example").then_some(())
    }

    async fn take(&self, _to: Vec<()>, mail: Bytes) -> bool {
        let text = String::from_utf8_lossy(&mail).into_owned();
        self.mails.lock().expect("nobody panicked").push(text);
        !self.full
    }
}

fn limits() -> Limits {
    Limits {
        idle: Duration::from_millis(50),
        mail: 200,
        refusals: 3,
        recipients: 2,
        ..Limits::default()
    }
}

/// What is answered when all this is said at once, line by line.
async fn answers(desk: &Desk, said: &str) -> Vec<String> {
    let (client, server) = tokio::io::duplex(64 << 10);
    let stop = CancellationToken::new();
    let session = Session::new(server, desk, "b.example", limits(), stop);
    let (heard, _) = tokio::join!(talk(client, said), session.run());
    heard.lines().map(str::to_owned).collect()
}

async fn talk(mut client: DuplexStream, said: &str) -> String {
    client.write_all(said.as_bytes()).await.expect("it listens");
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.expect("it answers");
    heard
}

fn codes(answers: &[String]) -> Vec<&str> {
    answers.iter().map(|line| &line[..3]).collect()
}

const TO_US: &str = "MAIL FROM:<>\r\nRCPT TO:<b-1@b.example>\r\nDATA\r\n";

#[tokio::test]
async fn a_mail_is_taken_with_its_dots_as_they_were() {
    let desk = Desk::default();
    let said = format!("EHLO x\r\n{TO_US}..a\r\nb\n.\nc\r\n...\r\n.\r\nQUIT\r\n");
    let heard = answers(&desk, &said).await;
    let expected = "220 250 250 250 250 250 250 250 354 250 221";
    assert_eq!(codes(&heard).join(" "), expected);
    assert_eq!(heard[5], "250 SIZE 200");
    let mails = desk.mails.lock().expect("nobody panicked");
    assert_eq!(*mails, [".a\r\nb\n.\nc\r\n..\r\n"]);
}

#[tokio::test]
async fn what_cannot_be_kept_comes_again() {
    let desk = Desk {
        full: true,
        ..Desk::default()
    };
    let heard = answers(&desk, &format!("{TO_US}a\r\n.\r\nQUIT\r\n")).await;
    assert_eq!(codes(&heard), ["220", "250", "250", "354", "451", "221"]);
}

#[tokio::test]
async fn too_much_is_refused_and_the_next_mail_taken() {
    let desk = Desk::default();
    let long = "x".repeat(300);
    let many = "x\r\n".repeat(100);
    let said = format!("{TO_US}{long}\r\n.\r\n{TO_US}{many}.\r\n{TO_US}a\r\n.\r\nQUIT\r\n");
    let heard = answers(&desk, &said).await;
    let expected = "220 250 250 354 552 250 250 354 552 250 250 354 250 221";
    assert_eq!(codes(&heard).join(" "), expected);
    assert_eq!(desk.mails.lock().expect("nobody panicked").len(), 1);
    let heard = answers(&desk, "MAIL FROM:<> SIZE=201\r\nQUIT\r\n").await;
    assert_eq!(codes(&heard), ["220", "552", "221"]);
}

#[tokio::test]
async fn what_is_out_of_order_or_nobodys_is_refused() {
    for (said, expected) in [
        ("RCPT TO:<b-1@b.example>\r\nDATA\r\n", "503 503"),
        ("MAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\n", "250 503 554"),
        (
            "MAIL FROM:<>\r\nRCPT TO:<x@b.example>\r\nDATA\r\n",
            "250 550 554",
        ),
        ("NONSENSE\r\nMAIL TO\r\nAUTH PLAIN\r\n", "500 501 502"),
        (
            "MAIL FROM:<>\r\nRSET\r\nDATA\r\nNOOP\r\nHELO x\r\n",
            "250 250 503 250 250",
        ),
    ] {
        let heard = answers(&Desk::default(), &format!("{said}QUIT\r\n")).await;
        assert_eq!(
            codes(&heard).join(" "),
            format!("220 {expected} 221"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn too_many_recipients_or_errors_are_too_many() {
    let three = "RCPT TO:<b-1@b.example>\r\n".repeat(3);
    let heard = answers(
        &Desk::default(),
        &format!("MAIL FROM:<>\r\n{three}QUIT\r\n"),
    )
    .await;
    assert_eq!(codes(&heard).join(" "), "220 250 250 250 452 221");
    let long = format!("{}\r\n", "x".repeat(LONGEST_COMMAND + 9));
    let heard = answers(&Desk::default(), &format!("{long}{}", "X\r\n".repeat(9))).await;
    assert_eq!(codes(&heard).join(" "), "220 500 500 500 500 421");
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    let heard = answers(&Desk::default(), "MAIL FROM:<>\r\nRC").await;
    assert_eq!(codes(&heard), ["220", "250", "421"]);
    assert!(heard[2].contains("4.4.2"), "{heard:?}");
}

#[tokio::test]
async fn who_takes_too_long_in_all_is_sent_away() {
    let (client, server) = tokio::io::duplex(1024);
    let limits = Limits {
        whole: Duration::from_millis(50),
        ..Limits::default()
    };
    let (desk, stop) = (Desk::default(), CancellationToken::new());
    let session = Session::new(server, &desk, "b.example", limits, stop);
    let (heard, _) = tokio::join!(talk(client, ""), session.run());
    assert!(heard.contains("421 4.4.2"), "{heard}");
}

#[tokio::test]
async fn what_was_said_before_the_secret_is_forgotten() {
    let (client, server) = tokio::io::duplex(1024);
    let (desk, stop) = (Desk::default(), CancellationToken::new());
    let session = Session::new(server, &desk, "b.example", limits(), stop);
    let session = session.with(Secrecy::Offered).run();
    let said = format!("EHLO x\r\n{TO_US}.\r\nSTARTTLS\r\n{TO_US}a\r\n.\r\n");
    let talk = async {
        let mut client = client;
        client.write_all(said.as_bytes()).await.expect("it listens");
        client
    };
    let (stream, mut client) = tokio::join!(session, talk);
    drop(stream.expect("it is to be encrypted"));
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.expect("it answers");
    assert!(heard.contains("250-STARTTLS\r\n"), "{heard}");
    assert!(heard.ends_with("220 2.0.0 go ahead\r\n"), "{heard}");
    assert_eq!(desk.mails.lock().expect("nobody panicked").len(), 1);
    let refused = answers(&desk, "STARTTLS\r\nQUIT\r\n").await;
    assert_eq!(
        codes(&refused),
        ["220", "502", "221"],
        "there is no certificate"
    );
}

#[tokio::test]
async fn a_stop_is_told() {
    let (client, server) = tokio::io::duplex(1024);
    let (desk, stop) = (Desk::default(), CancellationToken::new());
    stop.cancel();
    let session = Session::new(server, &desk, "b.example", Limits::default(), stop);
    let (heard, _) = tokio::join!(talk(client, ""), session.run());
    assert!(heard.contains("421 4.3.2"), "{heard}");
}
