//! What comes back by SMTP: to the return path of a message, or as a complaint.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use common::auth::Role;
use diesel::prelude::*;
use serde_json::{Value, json};
use testkit::{Servers, Setup, eventually};

use crate::support::{Post, World, person};

pub(crate) const DOMAIN: &str = "bounces.example";

/// An address of this test alone. A port that was free a moment ago may be anybody's, because who
/// connects takes one too; of the other loopback addresses nobody takes any.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [process, ..] = std::process::id().to_le_bytes();
    SocketAddr::from(([127, process.max(1), high, low], 2525))
}

/// A service that takes bounces in, and where.
pub(crate) struct Returns {
    pub(crate) world: World,
    pub(crate) smtp: SocketAddr,
}

impl Returns {
    pub(crate) async fn start() -> Self {
        Self::start_on(Setup::default()).await
    }

    pub(crate) async fn start_on(base: Setup<'_>) -> Self {
        let smtp = own_address();
        let post = Post::start();
        let app = setup_on(base, &post)
            .with("BOUNCE_DOMAIN", DOMAIN)
            .with("BOUNCE_SMTP_ADDR", smtp.to_string())
            .start()
            .await;
        let world = World { app, post };
        Self { world, smtp }
    }

    /// Sends a campaign to these people; answers for each the message's id and return path.
    pub(crate) async fn sent(&self, addresses: &[&str]) -> Vec<(String, String)> {
        let campaign = self.world.campaign().await;
        let people: Vec<_> = addresses.iter().map(|address| person(address)).collect();
        campaign.hand_over(&people).await;
        campaign.order("complete").await;
        campaign.until("it is sent", |s| s.settled).await;
        let messages = campaign.messages("accepted").await;
        let mut sent = Vec::new();
        for address in addresses {
            let message = messages.iter().find(|message| message["to"] == *address);
            let id = message.expect("it was sent")["id"].as_str().expect("an id");
            let app = &self.world.app;
            let message = id.parse().expect("an id");
            let local = app
                .links()
                .return_path(app.workspace, message, app.clock.now());
            sent.push((id.to_owned(), format!("{local}@{DOMAIN}")));
        }
        sent
    }

    async fn message(&self, id: &str) -> Value {
        let marketer = self.world.app.as_role(Role::Marketer);
        let path = format!("/api/v1/messages/{id}");
        marketer.get(path).send().await.assert_status(200).json()
    }

    /// The classes of what came back about a message.
    pub(crate) async fn classes(&self, id: &str) -> Vec<String> {
        let message = self.message(id).await;
        assert_eq!(message["outcome"], "accepted", "the settlement stays");
        let feedback = message["feedback"].as_array().expect("a list").clone();
        let class = |told: &Value| told["class"].as_str().expect("a class").to_owned();
        feedback.iter().map(class).collect()
    }

    fn told(&self, kind: &str) -> usize {
        let events = self.world.app.events();
        events.iter().filter(|event| *event == kind).count()
    }

    /// How often this became of something that came by SMTP.
    pub(crate) async fn counted(&self, result: &str) -> u64 {
        let metrics = self.world.app.anonymous().get("/metrics").send().await;
        let labels = format!("result=\"{result}\",source=\"smtp\"");
        let text = metrics.text();
        let line = text.lines().find(|line| line.contains(&labels));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
            .unwrap_or_default()
    }

    /// Brings a mail; answers what was said to RCPT and to the mail.
    pub(crate) fn bring(&self, to: &str, mail: &str) -> (String, String) {
        let mut talk = Talk::open(self.smtp);
        talk.say("EHLO mx.example");
        talk.say("MAIL FROM:<>");
        let rcpt = talk.say(&format!("RCPT TO:<{to}>"));
        if !rcpt.starts_with("250") {
            return (rcpt, String::new());
        }
        talk.say("DATA");
        let stuffed = mail.replace("\r\n.", "\r\n..");
        let answer = talk.say(&format!("{stuffed}\r\n."));
        talk.say("QUIT");
        (rcpt, answer)
    }
}

fn setup_on<'s>(base: Setup<'s>, post: &Post) -> Setup<'s> {
    base.with("SMTP_URL", post.url())
        .with("SMTP_CONNECTIONS", "4")
        .with("SMTP_TIMEOUT_SECONDS", "2")
}

/// A client of the service's SMTP port.
pub(crate) struct Talk {
    socket: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Talk {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut talk = Self::listen(address);
        assert!(talk.hear().starts_with("220 "));
        talk
    }

    /// The greeting is still to be heard.
    pub(crate) fn listen(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("it listens");
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).expect("a socket");
        let answers = BufReader::new(socket.try_clone().expect("a socket"));
        Self { socket, answers }
    }

    pub(crate) fn say(&mut self, text: &str) -> String {
        self.socket.write_all(text.as_bytes()).expect("it listens");
        self.socket.write_all(b"\r\n").expect("it listens");
        self.hear()
    }

    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).expect("it answers");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }
}

/// A delivery status notification (RFC 3464).
pub(crate) fn dsn(address: &str, status: &str) -> String {
    let action = if status.starts_with('4') {
        "delayed"
    } else {
        "failed"
    };
    [
        "From: MAILER-DAEMON@mx.example",
        "Subject: Undelivered Mail",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "It did not arrive.",
        ".",
        "--b",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mx.example",
        "",
        &format!("Final-Recipient: rfc822; {address}"),
        &format!("Action: {action}"),
        &format!("Status: {status}"),
        &format!("Diagnostic-Code: smtp; 550 {status} about {address}"),
        "",
        "--b--",
    ]
    .join("\r\n")
}

/// An abuse report (RFC 5965) about a mail with these headers.
fn arf(original: &str) -> String {
    [
        "From: fbl@provider.example",
        "Subject: complaint",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b",
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "Spam.",
        "--b",
        "Content-Type: message/feedback-report",
        "",
        "Feedback-Type: abuse",
        "User-Agent: Provider/1",
        "Version: 1",
        "Original-Rcpt-To: angry@example.com",
        "",
        "--b",
        "Content-Type: message/rfc822",
        "",
        original,
        "Subject: Hello",
        "",
        "Text",
        "--b--",
    ]
    .join("\r\n")
}

#[actix_web::test]
async fn without_a_bounce_domain_the_sender_is_the_return_path() {
    let world = World::start().await;
    let campaign = world.campaign().await;
    campaign.hand_over(&[person("a@example.com")]).await;
    let mail = world.post.mail_to("a@example.com").await;
    assert_eq!(mail.summary.mail_from, "ada@sender.example");
}

#[actix_web::test]
async fn a_hard_bounce_is_told_once_and_changes_no_outcome() {
    let returns = Returns::start().await;
    let sent = returns
        .sent(&["gone@example.com", "here@example.com"])
        .await;
    let (id, path) = &sent[0];
    let mail = returns.world.post.mail_to("gone@example.com").await;
    assert_eq!(mail.summary.mail_from, *path);

    let report = dsn("gone@example.com", "5.1.1");
    for to in [path.clone(), path.to_uppercase()] {
        let (_, answer) = returns.bring(&to, &report);
        assert_eq!(answer, "250 2.0.0 noted");
    }

    assert_eq!(returns.classes(id).await, ["hard"]);
    let told = &returns.message(id).await["feedback"][0];
    assert_eq!(
        (&told["status"], &told["source"]),
        (&json!("5.1.1"), &json!("smtp"))
    );
    let diagnostic = told["diagnostic"].as_str().expect("what the server said");
    assert!(
        diagnostic.contains("about gone@example.com"),
        "{diagnostic}"
    );
    assert_eq!(returns.told("address.bounced"), 1);
    assert!(returns.classes(&sent[1].0).await.is_empty());
}

#[actix_web::test]
async fn a_bounce_of_a_forwarded_mail_is_about_whom_it_was_sent_to() {
    let returns = Returns::start().await;
    let (id, path) = returns.sent(&["old@example.com"]).await.remove(0);
    returns.bring(&path, &dsn("new@elsewhere.example", "5.1.1"));
    let told = &returns.message(&id).await["feedback"][0];
    assert_eq!(told["address"], "old@example.com");
}

#[actix_web::test]
async fn soft_bounces_of_five_mails_suppress_and_those_of_long_ago_do_not() {
    let returns = Returns::start().await;
    let soft = dsn("full@example.com", "4.2.2");
    let mut paths = Vec::new();
    for _ in 0..9 {
        paths.push(returns.sent(&["full@example.com"]).await.remove(0));
    }
    for (_, path) in &paths[..4] {
        returns.bring(path, &soft);
        returns.bring(path, &soft);
    }
    assert_eq!(returns.told("address.bounced"), 0, "a mail counts once");
    returns.world.app.clock.advance(TimeDelta::days(14));
    for (_, path) in &paths[4..6] {
        returns.bring(path, &soft);
    }
    assert_eq!(returns.told("address.bounced"), 0, "2 + 2 are not 5");
    returns.bring(&paths[6].1, &soft);
    assert_eq!(returns.told("address.bounced"), 1);
    for (_, path) in &paths[7..] {
        returns.bring(path, &soft);
    }
    assert_eq!(returns.told("address.bounced"), 1, "it begins anew");
    assert_eq!(returns.classes(&paths[0].0).await, ["soft"]);
}

#[actix_web::test]
async fn an_automatic_answer_is_noted_and_does_nothing() {
    let returns = Returns::start().await;
    let (id, path) = returns.sent(&["away@example.com"]).await.remove(0);
    let mail = "From: away@example.com\r\nSubject: Out of office\r\n\
                Auto-Submitted: auto-replied\r\n\r\nI am away.";
    let (_, answer) = returns.bring(&path, mail);
    assert_eq!(answer, "250 2.0.0 noted");
    assert_eq!(returns.classes(&id).await, ["auto_reply"]);
    assert_eq!(returns.told("address.bounced"), 0);
}

#[actix_web::test]
async fn a_complaint_finds_its_message_by_what_we_signed_in_it() {
    let returns = Returns::start().await;
    let sent = returns
        .sent(&["angry@example.com", "Cross@example.com"])
        .await;
    let by_path = format!("Return-Path: <{}>", sent[0].1);
    let mail = returns.world.post.mail_to("Cross@example.com").await;
    let mut headers = mail.headers.iter();
    let link = headers.find(|(name, _)| name == "List-Unsubscribe");
    let by_link = format!("List-Unsubscribe: {}", link.expect("a link").1);
    for (to, original) in [
        ("FBL@Bounces.Example", by_path),
        ("abuse@bounces.example", by_link),
    ] {
        for _ in 0..2 {
            let (rcpt, answer) = returns.bring(to, &arf(&original));
            assert_eq!((&rcpt[..3], &answer[..3]), ("250", "250"));
        }
    }
    for (id, _) in &sent {
        assert_eq!(returns.classes(id).await, ["complaint"]);
    }
    assert_eq!(returns.told("address.complained"), 2);
    assert_eq!(returns.told("address.bounced"), 0);
}

#[actix_web::test]
async fn a_complaint_mailbox_takes_nothing_but_complaints() {
    let returns = Returns::start().await;
    let sent = returns.sent(&["here@example.com"]).await;
    let id = format!(
        "{}\r\nMessage-ID: <{}@sender.example>",
        dsn("here@example.com", "5.1.1"),
        sent[0].0
    );
    let unknown = arf("Message-ID: <0190d5a4-0000-7000-8000-000000000000@sender.example>");
    for mail in [
        id,
        unknown,
        arf("Message-ID: <x@y>"),
        "Subject: hi\r\n\r\nhello".into(),
    ] {
        let (_, answer) = returns.bring("abuse@bounces.example", &mail);
        assert_eq!(answer, "250 2.0.0 noted", "it is not worth a bounce");
    }
    assert!(returns.classes(&sent[0].0).await.is_empty());
    let events = returns.world.app.events();
    assert!(
        !events.iter().any(|kind| kind.starts_with("address.")),
        "{events:?}"
    );
}

#[actix_web::test]
async fn a_complaint_without_our_signature_suppresses_nobody() {
    let returns = Returns::start().await;
    let sent = returns.sent(&["here@example.com"]).await;
    // Whoever got one mail knows the shape of the others' ids, and may have read one in an archive.
    let claimed = arf(&format!("Message-ID: <{}@sender.example>", sent[0].0));
    let forged = arf(&format!(
        "Message-ID: <{}@sender.example>\r\nReturn-Path: <b-{}@bounces.example>\r\n\
         List-Unsubscribe: <http://clarion.test/u/{}>",
        sent[0].0,
        "a".repeat(60),
        "A".repeat(120)
    ));
    for mail in [claimed, forged] {
        let (_, answer) = returns.bring("abuse@bounces.example", &mail);
        assert_eq!(answer, "250 2.0.0 noted");
    }
    assert!(returns.classes(&sent[0].0).await.is_empty());
    assert_eq!(returns.told("address.complained"), 0);
    assert_eq!(returns.counted("unsigned").await, 2);
}

#[actix_web::test]
async fn only_paths_of_ours_that_are_not_over_are_taken() {
    let returns = Returns::start().await;
    let (_, path) = returns.sent(&["gone@example.com"]).await.remove(0);
    let (local, _) = path.split_once('@').expect("an address");
    let forged = format!("b-{}", "a".repeat(60));
    for to in [
        format!("{forged}@bounces.example"),
        format!("{local}@other.example"),
        "fbl@other.example".to_owned(),
        "info@bounces.example".to_owned(),
    ] {
        let (rcpt, _) = returns.bring(&to, "");
        assert!(rcpt.starts_with("550 5.1.1"), "{to}: {rcpt}");
    }
    returns.world.app.clock.advance(TimeDelta::days(31));
    let (rcpt, _) = returns.bring(&path, "");
    assert!(rcpt.starts_with("550 5.1.1"), "{rcpt}");
}

#[actix_web::test]
async fn what_cannot_be_read_or_is_about_nobody_is_taken_and_forgotten() {
    let returns = Returns::start().await;
    let (id, path) = returns.sent(&["here@example.com"]).await.remove(0);
    let (_, answer) = returns.bring(&path, "Subject: hello\r\n\r\nhow are you?");
    assert_eq!(answer, "250 2.0.0 noted");
    assert!(returns.classes(&id).await.is_empty());

    let lead = returns.message(&id).await["lead_id"]
        .as_str()
        .expect("a lead")
        .to_owned();
    returns.bring(&path, &dsn("here@example.com", "4.2.2"));
    let deleted = common::events::LeadDeleted {
        lead_id: lead.parse().expect("an id"),
        email: "here@example.com".into(),
    };
    let app = &returns.world.app;
    app.peer(common::auth::Service::Leads)
        .tell(app.workspace, &deleted);
    eventually("the person is forgotten", || async {
        returns.message(&id).await["to"] == "erased"
    })
    .await;
    assert!(
        returns.classes(&id).await.is_empty(),
        "feedback is forgotten too"
    );
    let (_, answer) = returns.bring(&path, &dsn("here@example.com", "5.1.1"));
    assert_eq!(answer, "250 2.0.0 noted");
    assert!(returns.classes(&id).await.is_empty());
    let left: i64 = diesel::sql_query("SELECT count(*) AS count FROM soft_bounces")
        .get_result::<Count>(&mut app.connect())
        .expect("a count")
        .count;
    assert_eq!((left, returns.told("address.bounced")), (0, 0));
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::Int8)]
    count: i64,
}

#[actix_web::test]
async fn a_bounce_waits_outside_while_postgres_is_away() {
    let mut servers = Servers::private();
    let returns = Returns::start_on(Setup::on(&servers)).await;
    let (id, path) = returns.sent(&["gone@example.com"]).await.remove(0);
    let report = dsn("gone@example.com", "5.1.1");
    servers.postgres.stop_immediate();
    let (_, answer) = returns.bring(&path, &report);
    assert!(answer.starts_with("451 4.3.0"), "{answer}");
    servers.postgres.start_again().expect("it starts");
    eventually("it is taken now", || async {
        returns.bring(&path, &report).1.starts_with("250")
    })
    .await;
    assert_eq!(returns.classes(&id).await, ["hard"]);
}

#[actix_web::test]
async fn the_port_is_closed_when_the_service_stops() {
    let mut returns = Returns::start().await;
    let mut idle = Talk::open(returns.smtp);
    returns.world.app.begin_to_stop();
    assert!(idle.hear().starts_with("421 4.3.2"));
    returns.world.app.stop();
    assert!(TcpStream::connect(returns.smtp).is_err());
}
