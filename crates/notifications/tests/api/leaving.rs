//! Unsubscribing by mail (RFC 2369).

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::inbound::own_address;
use crate::support::{Post, World, person, setup};

/// Brings a mail as another server would; answers what was said to its recipient, and to the mail
/// if that was accepted.
fn bring(server: SocketAddr, to: &str, mail: &str) -> (String, Option<String>) {
    let socket = TcpStream::connect(server).expect("it listens");
    let mut answers = BufReader::new(socket.try_clone().expect("a second handle")).lines();
    let mut answer = move || {
        let mut lines = answers.by_ref().map(|line| line.expect("an answer"));
        let last = lines.find(|line| line.as_bytes().get(3) == Some(&b' '));
        last.expect("an answer has an end")
    };
    assert!(answer().starts_with("220"));
    let mut say = |text: &str| {
        let line = format!("{text}\r\n");
        (&socket).write_all(line.as_bytes()).expect("it reads");
        answer()
    };
    say("EHLO mx.example");
    say("MAIL FROM:<grace@example.com>");
    let recipient = say(&format!("RCPT TO:<{to}>"));
    if !recipient.starts_with("250") {
        return (recipient, None);
    }
    say("DATA");
    (recipient, Some(say(&format!("{mail}\r\n."))))
}

#[actix_web::test]
async fn a_mail_to_the_address_in_list_unsubscribe_unsubscribes_whatever_it_says() {
    let smtp = own_address();
    let post = Post::start();
    let app = setup(&post)
        .with("BOUNCE_DOMAIN", "bounces.example")
        .with("BOUNCE_SMTP_ADDR", smtp.to_string())
        .start()
        .await;
    let world = World { app, post };
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("grace@example.com")]).await;
    let mail = world.post.mail_to("grace@example.com").await;
    let (_, header) = mail
        .headers
        .iter()
        .find(|(name, _)| name == "List-Unsubscribe")
        .expect("it is a campaign");
    let ways: Vec<_> = header.split(',').map(str::trim).collect();
    assert!(ways[0].starts_with("<http://clarion.test/u/"), "{header}");
    let address = ways[1]
        .strip_prefix("<mailto:")
        .and_then(|rest| rest.strip_suffix('>'))
        .expect("the second way is a mail");
    let declined = || {
        let events = world.app.events();
        events
            .iter()
            .filter(|kind| *kind == "message.declined")
            .count()
    };

    let place = address.find('@').expect("an address") - 10;
    let other = if &address[place..=place] == "a" {
        "b"
    } else {
        "a"
    };
    let wrong = format!("{}{other}{}", &address[..place], &address[place + 1..]);
    for forged in [wrong, address.replacen("u-", "b-", 1)] {
        let (recipient, _) = bring(smtp, &forged, "Subject: bye\r\n\r\n");
        assert!(recipient.starts_with("550 5.1.1"), "{forged}: {recipient}");
    }
    assert_eq!(declined(), 0);

    let (_, answer) = bring(smtp, &address.to_uppercase(), "Subject: hi\r\n\r\nwhatever");
    assert_eq!(answer.as_deref(), Some("250 2.0.0 noted"));
    assert_eq!(declined(), 1);
}
