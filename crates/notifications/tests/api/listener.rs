//! The SMTP port for what comes back: who is listened to, how many at a time, and in secret.

use std::time::Duration;

use common::values::EmailAddress;
use mail::smtp::{Connection, Envelope, Handed, Permit, SmtpServer, Timeouts};
use testkit::{Setup, eventually};

use crate::inbound::{DOMAIN, Returns, Talk, dsn};

#[actix_web::test]
async fn the_postmaster_is_written_to_with_a_domain_or_without() {
    let returns = Returns::start().await;
    for to in ["postmaster", "Postmaster@Bounces.Example"] {
        let (rcpt, answer) = returns.bring(to, "Subject: hello\r\n\r\nIs anybody there?");
        assert_eq!((&rcpt[..3], &answer[..3]), ("250", "250"), "{to}");
    }
    let (rcpt, _) = returns.bring("postmaster@other.example", "");
    assert!(rcpt.starts_with("550 5.1.1"), "{rcpt}");
    assert_eq!(returns.counted("postmaster").await, 2);
    let events = returns.world.app.events();
    assert!(!events.iter().any(|kind| kind.starts_with("address.")));
}

#[actix_web::test]
async fn the_sixty_fifth_at_a_time_is_asked_to_come_again() {
    let returns = Returns::start().await;
    let mut talks: Vec<_> = (0..64).map(|_| Talk::open(returns.smtp)).collect();
    let turned_away = || Talk::listen(returns.smtp).hear();
    assert!(turned_away().starts_with("421 4.7.0"));
    assert!(talks[0].say("NOOP").starts_with("250"), "the others go on");
    assert!(talks.remove(0).say("QUIT").starts_with("221"));
    eventually("there is room again", || async {
        turned_away().starts_with("220")
    })
    .await;
}

#[actix_web::test]
async fn a_line_without_end_is_refused_and_not_kept() {
    let returns = Returns::start().await;
    let (id, path) = returns.sent(&["gone@example.com"]).await.remove(0);
    let mut talk = Talk::open(returns.smtp);
    assert!(talk.say(&"x".repeat(100_000)).starts_with("500 5.5.2"));
    let huge = format!("Subject: {}", "x".repeat(2 << 20));
    let (_, answer) = returns.bring(&path, &huge);
    assert!(answer.starts_with("552 5.3.4"), "{answer}");
    assert!(talk.say("NOOP").starts_with("250"));
    assert!(returns.classes(&id).await.is_empty());
}

#[actix_web::test]
async fn a_bounce_is_taken_in_secret_when_there_is_a_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).expect("a certificate");
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let setup = Setup::default()
        .with("BOUNCE_TLS_CERT", certificate.display().to_string())
        .with("BOUNCE_TLS_KEY", key.display().to_string());
    let returns = Returns::start_on(setup).await;
    let (id, path) = returns.sent(&["gone@example.com"]).await.remove(0);
    let server = format!("smtp://{}?tls=opportunistic", returns.smtp);
    let server: SmtpServer = server.parse().expect("a server");
    let timeouts = Timeouts::scaled(Duration::from_secs(20));
    let mut connection = Connection::open(&server, timeouts)
        .await
        .expect("it listens");
    assert!(connection.is_secured());
    let [from, to] = ["mx@provider.example", &path].map(EmailAddress::parse);
    let envelope = Envelope::new(&from.expect("an address"), &to.expect("an address"));
    let report = format!("{}\r\n", dsn("gone@example.com", "5.1.1"));
    let envelope = envelope.expect("an envelope");
    let handed = connection
        .hand_over(&envelope, report.as_bytes(), &mut Always, None)
        .await;
    assert!(
        matches!(&handed, Handed::Answered(_, reply) if reply.is_positive()),
        "{handed:?}"
    );
    assert_eq!(returns.classes(&id).await, ["hard"]);
}

/// Lets every message go.
struct Always;

impl Permit for Always {
    async fn granted(&mut self) -> bool {
        true
    }
}
