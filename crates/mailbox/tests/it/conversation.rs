use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor, message::MultiPart};
use mailbox::{Filter, Settings};

use crate::support::{PATIENCE, Running, message};

#[tokio::test]
async fn a_mail_client_delivers_what_it_composed() {
    let mailbox = Running::start().await;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(mailbox.smtp.port())
        .build();
    let mail = Message::builder()
        .from("Jürgen <j@example.com>".parse().unwrap())
        .to("Ann <ann@example.com>".parse().unwrap())
        .subject("Grüße ☀")
        .multipart(MultiPart::alternative_plain_html(
            "Hello\n.dot at the start\n..two dots\n".to_owned(),
            "<p>Hello</p>".to_owned(),
        ))
        .unwrap();
    transport.send(mail).await.unwrap();

    let mail = mailbox
        .handle
        .wait_for_mail_to("ANN@example.com", PATIENCE)
        .await
        .unwrap();
    assert_eq!(mail.summary.subject.as_deref(), Some("Grüße ☀"));
    assert_eq!(mail.summary.mail_from, "j@example.com");
    assert_eq!(mail.summary.rcpt_to, ["ann@example.com"]);
    let text = mail.text.unwrap().replace("\r\n", "\n");
    assert!(
        text.contains("\n.dot at the start\n..two dots\n"),
        "{text:?}"
    );
    assert_eq!(mail.html.as_deref().map(str::trim), Some("<p>Hello</p>"));
}

#[tokio::test]
async fn the_extensions_are_offered() {
    let mailbox = Running::start().await;
    let mut client = mailbox.connect().await;
    client.send(b"EHLO test\r\n").await;
    let reply = client.reply().await;
    for word in [
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "SIZE 26214400",
    ] {
        assert!(reply.contains(word), "{reply}");
    }
    assert_eq!(client.say("HELO test").await, 250);
    assert_eq!(client.say("NOOP").await, 250);
    assert_eq!(client.say("VRFY ann").await, 252);
    assert_eq!(client.say("HELP").await, 214);
    assert_eq!(client.say("STARTTLS").await, 502);
    assert_eq!(client.say("AUTH PLAIN AGEAYg==").await, 502);
    assert_eq!(client.say("BDAT 3 LAST").await, 502);
    assert_eq!(client.say("QUIT").await, 221);
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn a_whole_conversation_may_come_at_once() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    client
        .send(b"MAIL FROM:<a@x.y> BODY=8BITMIME SIZE=100\r\nRCPT TO:<one@x.y>\r\nRCPT TO:<hard+1@x.y>\r\nRCPT TO:<two@x.y>\r\nDATA\r\n")
        .await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(client.code().await);
    }
    assert_eq!(codes, [250, 250, 550, 250, 354]);
    client
        .send(b"Subject: one\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<three@x.y>\r\nDATA\r\n")
        .await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.code().await);
    }
    assert_eq!(codes, [250, 250, 250, 354]);
    client.send(b".\r\nQUIT\r\n").await;
    assert_eq!((client.code().await, client.code().await), (250, 221));

    let listing = mailbox.handle.list(&Filter::default());
    assert_eq!(listing.total, 2);
    assert_eq!(listing.items[0].rcpt_to, ["three@x.y"]);
    assert_eq!(
        (listing.items[0].size, listing.items[0].mail_from.as_str()),
        (0, "")
    );
    assert_eq!(listing.items[1].rcpt_to, ["one@x.y", "two@x.y"]);
}

#[tokio::test]
async fn data_after_only_refused_recipients_is_refused_too() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    client
        .send(b"MAIL FROM:<a@x.y>\r\nRCPT TO:<hard+1@x.y>\r\nDATA\r\nRSET\r\n")
        .await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.code().await);
    }
    assert_eq!(codes, [250, 550, 554, 250]);
    assert_eq!(mailbox.handle.stats().messages, 0);
}

#[tokio::test]
async fn commands_out_of_order_are_refused_and_do_no_harm() {
    let mailbox = Running::start().await;
    let mut client = mailbox.connect().await;
    assert_eq!(client.say("MAIL FROM:<a@x.y>").await, 503);
    assert_eq!(client.say("EHLO test").await, 250);
    assert_eq!(client.say("RCPT TO:<b@x.y>").await, 503);
    assert_eq!(client.say("DATA").await, 503);
    assert_eq!(client.say("MAIL FROM:<a@x.y>").await, 250);
    assert_eq!(client.say("MAIL FROM:<a@x.y>").await, 503);
    assert_eq!(client.say("DATA").await, 503);
    assert_eq!(client.say("RSET").await, 250);
    assert_eq!(client.say("RCPT TO:<b@x.y>").await, 503);
    assert_eq!(client.deliver("b@x.y", &message("after")).await, 250);
}

#[tokio::test]
async fn nonsense_is_answered_and_too_much_of_it_ends_the_conversation() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    let nonsense = [
        ("BLAH", 500),
        ("", 500),
        ("MAIL FROM", 501),
        ("MAIL FROM:<a@x.y> NONSENSE=1", 555),
        ("MAIL FROM:<@>", 501),
        ("MAIL FROM:<a@x.y> SIZE=99999999999", 552),
        ("MAIL FROM:<ü@x.y>", 553),
        ("MAIL FROM:<a@x.y>", 250),
        ("RCPT TO:<>", 501),
        ("RCPT TO:<nobody>", 501),
        ("RCPT TO:b@x.y", 501),
        ("RCPT TO:<ü@x.y>", 553),
        ("RSET", 250),
        ("MAIL FROM:<ü@x.y> SMTPUTF8", 250),
        ("RCPT TO:<ö@x.y>", 250),
        ("RSET", 250),
    ];
    for (line, code) in nonsense {
        assert_eq!(client.say(line).await, code, "{line}");
    }
    let mut last = 0;
    for _ in 0..21 {
        client.send(b"BLAH\r\n").await;
        last = client.code().await;
        if last == 421 {
            break;
        }
    }
    if last != 421 {
        last = client.code().await;
    }
    assert_eq!(last, 421);
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn crooked_and_endless_lines_are_refused() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    for crooked in [&b"NOOP\n"[..], b"NO\rOP\r\n", b"NOOP \0\r\n"] {
        client.send(crooked).await;
        assert_eq!(client.code().await, 500, "{crooked:?}");
    }
    client.send(&vec![b'x'; 300_000]).await;
    client.send(b"\r\n").await;
    assert_eq!(client.code().await, 500);
    assert_eq!(client.say("NOOP").await, 250);
}

#[tokio::test]
async fn no_mail_can_be_smuggled_inside_another() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    for (at, trick) in [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r\n.\n",
        "\r.\r\n",
        "\r\n.\r",
        "\r\n.\r\r\n",
    ]
    .iter()
    .enumerate()
    {
        let smuggled = format!(
            "Subject: {at}\r\n\r\nbody{trick}MAIL FROM:<evil@x.y>\r\nRCPT TO:<victim@x.y>\r\nDATA\r\nevil\r\n"
        );
        assert_eq!(client.deliver("b@x.y", &smuggled).await, 250, "{trick:?}");
        assert_eq!(
            mailbox.handle.stats().messages as usize,
            at + 1,
            "{trick:?}"
        );
    }
    let victim = Filter {
        rcpt: Some("victim@x.y".into()),
        ..Filter::default()
    };
    assert_eq!(mailbox.handle.list(&victim).total, 0);
    assert_eq!(client.say("NOOP").await, 250);
}

#[tokio::test]
async fn what_is_too_big_is_refused_and_the_conversation_goes_on() {
    let settings = Settings {
        max_message: 10_000,
        max_recipients: 2,
        ..Settings::default()
    };
    let mailbox = Running::with(settings).await;
    let mut client = mailbox.client().await;
    assert_eq!(client.say("MAIL FROM:<a@x.y> SIZE=10001").await, 552);
    let big = format!("Subject: big\r\n\r\n{}", "0123456789\r\n".repeat(5000));
    assert_eq!(client.deliver("b@x.y", &big).await, 552);
    let long = format!("Subject: long\r\n\r\n{}", "x".repeat(999));
    assert_eq!(client.deliver("b@x.y", &long).await, 552);
    assert_eq!(client.deliver("b@x.y", &long[..long.len() - 1]).await, 250);

    assert_eq!(client.say("MAIL FROM:<a@x.y>").await, 250);
    assert_eq!(client.say("RCPT TO:<1@x.y>").await, 250);
    assert_eq!(client.say("RCPT TO:<2@x.y>").await, 250);
    assert_eq!(client.say("RCPT TO:<3@x.y>").await, 452);
    assert_eq!(mailbox.handle.stats().messages, 1);
}

#[tokio::test]
async fn octets_of_every_kind_are_kept_as_they_came() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    client
        .send(b"MAIL FROM:<a@x.y>\r\nRCPT TO:<b@x.y>\r\nDATA\r\n")
        .await;
    let codes = (
        client.code().await,
        client.code().await,
        client.code().await,
    );
    assert_eq!(codes, (250, 250, 354));
    let body = b"Subject: \xff\x00\r\n\r\n\x00\x01\xfe bare\nlf bare\rcr \xf0\x9f\x98\x80\r\n";
    client.send(body).await;
    client.send(b".\r\n").await;
    assert_eq!(client.code().await, 250);
    let id = mailbox.handle.list(&Filter::default()).items[0].id;
    assert_eq!(mailbox.handle.raw(id).unwrap().unwrap(), body);
    assert!(mailbox.handle.mail(id).unwrap().is_some());
}

#[tokio::test]
async fn silence_and_crowds_are_sent_away() {
    let settings = Settings {
        idle: std::time::Duration::from_millis(100),
        max_connections: 1,
        ..Settings::default()
    };
    let mailbox = Running::with(settings).await;
    let mut first = mailbox.connect().await;
    let mut second = crate::support::Client::connect(mailbox.smtp).await;
    assert_eq!(second.code().await, 421);
    assert_eq!(second.line().await, "");
    assert_eq!(first.code().await, 421);
    assert_eq!(first.line().await, "");
}

#[tokio::test]
async fn a_stop_lets_a_message_in_hand_end() {
    let mailbox = Running::start().await;
    let (mut idle, mut busy) = (mailbox.client().await, mailbox.client().await);
    busy.send(b"MAIL FROM:<a@x.y>\r\nRCPT TO:<b@x.y>\r\nDATA\r\n")
        .await;
    assert_eq!(
        (busy.code().await, busy.code().await, busy.code().await),
        (250, 250, 354)
    );
    busy.send(b"Subject: half\r\n").await;

    mailbox.stop.cancel();
    assert_eq!(idle.code().await, 421);
    busy.send(b"\r\nwhole\r\n.\r\n").await;
    assert_eq!(busy.code().await, 250);
    assert_eq!(busy.code().await, 421);
    assert_eq!(mailbox.handle.stats().messages, 1);
    mailbox.stopped().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let settings = Settings {
        grace: std::time::Duration::from_millis(50),
        ..Settings::default()
    };
    let mailbox = Running::with(settings).await;
    let mut client = mailbox.client().await;
    client
        .send(b"MAIL FROM:<a@x.y>\r\nRCPT TO:<b@x.y>\r\nDATA\r\n")
        .await;
    assert_eq!(
        (
            client.code().await,
            client.code().await,
            client.code().await
        ),
        (250, 250, 354)
    );
    client.send(b"Subject: half\r\n").await;
    let handle = mailbox.handle.clone();
    mailbox.stopped().await;
    assert_eq!(client.code().await, 421);
    assert_eq!(handle.stats().messages, 0);
}
