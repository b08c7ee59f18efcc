//! Tests against servers that follow a script, also badly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::values::{EmailAddress, Secret};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::connection::{Connection, Handed, Next, Permit, Stage, Timeouts};
use super::server::{SmtpServer, Tls};
use super::{Envelope, SmtpError};

/// What a server does next.
#[derive(Clone)]
enum Step {
    Say(&'static str),
    /// Reads a line that must begin like this.
    Hear(&'static str),
    /// Reads lines up to a single dot.
    Content,
    /// Starts TLS with a certificate of its own.
    Tls,
    /// Says nothing more, and stays.
    Hang,
}

use Step::{Content, Hang, Hear, Say, Tls as StartTls};

const GREETING: Step = Say("220 mail.test ESMTP\r\n");

/// The steps of a server that answers EHLO with `offers`.
fn hello(offers: &'static str) -> Vec<Step> {
    vec![GREETING, Hear("EHLO ["), Say(offers)]
}

/// Those of a message that is taken, with its commands in one flight.
fn taken() -> Vec<Step> {
    vec![
        Hear("MAIL FROM:<from@sender.example>"),
        Hear("RCPT TO:<to@example.com>"),
        Hear("DATA"),
        Say("250 ok\r\n250 ok\r\n354 go\r\n"),
        Content,
        Say("250 2.0.0 queued\r\n"),
    ]
}

/// The same, one command after the other.
fn taken_stepwise() -> Vec<Step> {
    vec![
        Hear("MAIL"),
        Say("250 ok\r\n"),
        Hear("RCPT"),
        Say("250 ok\r\n"),
        Hear("DATA"),
        Say("354 go\r\n"),
        Content,
        Say("250 ok\r\n"),
    ]
}

const PIPELINING: &str = "250-mail.test\r\n250 PIPELINING\r\n";

/// Serves one connection; the answer is every line of content that was read.
async fn serve(steps: Vec<Step>) -> (SmtpServer, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let server = SmtpServer {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::Opportunistic,
        credentials: None,
    };
    let served = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a client");
        let mut lines = Vec::new();
        let rest = play(BufReader::new(socket), &steps, &mut lines).await;
        if let Some((socket, rest)) = rest {
            let stream = acceptor().accept(socket.into_inner()).await;
            if let Ok(stream) = stream {
                play(BufReader::new(stream), rest, &mut lines).await;
            }
        }
        lines
    });
    (server, served)
}

/// Follows the script up to its end or to TLS.
async fn play<'s, S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    steps: &'s [Step],
    lines: &mut Vec<String>,
) -> Option<(BufReader<S>, &'s [Step])> {
    for (index, step) in steps.iter().enumerate() {
        match step {
            // The client may have left for a good reason.
            Say(text) => stream.write_all(text.as_bytes()).await.ok()?,
            Hear(start) => {
                let line = line(&mut stream).await?;
                assert!(line.starts_with(start), "{line:?} instead of {start:?}");
            }
            Content => loop {
                let line = line(&mut stream).await?;
                if line == "." {
                    break;
                }
                lines.push(line);
            },
            StartTls => return Some((stream, &steps[index + 1..])),
            Hang => {
                line(&mut stream).await;
            }
        }
    }
    stream.flush().await.ok();
    None
}

async fn line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = String::new();
    let count = stream.read_line(&mut line).await.ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}

fn acceptor() -> TlsAcceptor {
    let certified =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a key that fits");
    TlsAcceptor::from(Arc::new(config))
}

fn timeouts() -> Timeouts {
    Timeouts::scaled(Duration::from_millis(600))
}

struct Fixed(bool);

impl Permit for Fixed {
    async fn granted(&mut self) -> bool {
        self.0
    }
}

fn envelope(to: &str) -> Envelope {
    let address = |text| EmailAddress::parse(text).expect("an address");
    Envelope::new(&address("from@sender.example"), &address(to)).expect("sendable")
}

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.hidden\r\n";

async fn send(connection: &mut Connection) -> Handed {
    connection
        .hand_over(&envelope("to@example.com"), CONTENT, &mut Fixed(true), None)
        .await
}

/// Sends one message, and says that another of this size follows it.
async fn send_before(connection: &mut Connection, next: &str, size: usize) -> Handed {
    let (this, next) = (envelope("to@example.com"), envelope(next));
    let next = Next {
        envelope: &next,
        size,
    };
    connection
        .hand_over(&this, CONTENT, &mut Fixed(true), Some(next))
        .await
}

async fn open(server: &SmtpServer) -> Connection {
    Connection::open(server, timeouts())
        .await
        .expect("a connection")
}

/// Opens a connection to a server with these steps and sends one message.
async fn sent(steps: Vec<Step>) -> (Handed, bool) {
    let (server, _served) = serve(steps).await;
    let mut connection = open(&server).await;
    let handed = send(&mut connection).await;
    (handed, connection.is_usable())
}

fn after_hello(offers: &'static str, more: Vec<Step>) -> Vec<Step> {
    [hello(offers), more].concat()
}

#[tokio::test]
async fn a_message_goes_in_one_flight_with_its_dots_stuffed() {
    let (server, served) = serve(after_hello(PIPELINING, taken())).await;
    let mut connection = open(&server).await;
    let handed = send(&mut connection).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.code == 250));
    assert!(connection.is_usable());
    connection.quit().await;
    let lines = served.await.expect("the script was followed");
    assert_eq!(lines, ["Subject: x", "", "..hidden"]);
}

#[tokio::test]
async fn a_server_without_pipelining_is_asked_step_by_step() {
    let (handed, usable) = sent(after_hello("250 mail.test\r\n", taken_stepwise())).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.is_positive()));
    assert!(usable);
}

#[tokio::test]
async fn an_old_server_is_greeted_the_old_way() {
    let steps = vec![
        GREETING,
        Hear("EHLO"),
        Say("502 what?\r\n"),
        Hear("HELO ["),
        Say("250 hi\r\n"),
        Hear("MAIL"),
        Say("550 no\r\n"),
    ];
    let (handed, _) = sent(steps).await;
    assert!(matches!(handed, Handed::Answered(Stage::Mail, reply) if reply.code == 550));
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_for_the_next_message() {
    let refused = vec![
        Hear("MAIL"),
        Hear("RCPT"),
        Hear("DATA"),
        // It wants content although there is nobody to receive it.
        Say("250 ok\r\n550 5.1.1 nobody\r\n354 go\r\n"),
        Hear("."),
        Say("554 no recipients\r\n"),
        Hear("RSET"),
    ];
    let mut next = taken();
    next[3] = Say("250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    let (server, _served) = serve(after_hello(PIPELINING, [refused, next].concat())).await;
    let mut connection = open(&server).await;
    let handed = send(&mut connection).await;
    assert!(
        matches!(handed, Handed::Answered(Stage::Rcpt, reply) if reply.enhanced == Some((5, 1, 1)))
    );
    assert!(connection.is_usable());
    let handed = send(&mut connection).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.is_positive()));
}

#[tokio::test]
async fn a_421_is_an_answer_and_the_end() {
    let (handed, usable) = sent(after_hello(
        PIPELINING,
        vec![Hear("MAIL"), Say("421 later\r\n")],
    ))
    .await;
    assert!(matches!(handed, Handed::Answered(Stage::Mail, reply) if reply.code == 421));
    assert!(!usable);
}

/// A message whose dot comes with the commands of the next one; the answers to those are `said`.
fn taken_with_next(said: &'static str) -> Vec<Step> {
    let mut steps = taken();
    steps.truncate(5);
    steps.extend([
        Hear("MAIL FROM:<from@sender.example>"),
        Hear("RCPT TO:<next@example.com>"),
        Hear("DATA"),
        Say(said),
    ]);
    steps
}

#[tokio::test]
async fn the_commands_of_the_next_message_go_with_the_dot() {
    let both = taken_with_next("250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    let last = vec![Content, Say("250 queued\r\n")];
    let (server, served) = serve(after_hello(PIPELINING, [both, last].concat())).await;
    let mut connection = open(&server).await;
    let handed = send_before(&mut connection, "next@example.com", 9).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.code == 250));
    assert!(connection.expects_next());
    let next = envelope("next@example.com");
    let handed = connection
        .hand_over(&next, b"second\r\n", &mut Fixed(true), None)
        .await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.code == 250));
    assert!(!connection.expects_next() && connection.is_usable());
    drop(connection);
    let lines = served.await.expect("the script was followed");
    assert_eq!(lines, ["Subject: x", "", "..hidden", "second"]);
}

#[tokio::test]
async fn a_next_message_is_refused_by_itself() {
    let both = taken_with_next("250 queued\r\n250 ok\r\n550 5.1.1 nobody\r\n354 go\r\n");
    let empty = vec![Hear("."), Say("554 no recipients\r\n"), Hear("RSET")];
    let (server, _served) = serve(after_hello(PIPELINING, [both, empty].concat())).await;
    let mut connection = open(&server).await;
    let handed = send_before(&mut connection, "next@example.com", 9).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.is_positive()));
    let next = envelope("next@example.com");
    let handed = connection
        .hand_over(&next, b"second\r\n", &mut Fixed(true), None)
        .await;
    assert!(matches!(handed, Handed::Answered(Stage::Rcpt, reply) if reply.code == 550));
    assert!(connection.is_usable());
}

#[tokio::test]
async fn a_break_after_the_dot_leaves_the_next_message_unsent() {
    let (server, _served) = serve(after_hello(PIPELINING, taken_with_next("250 queued\r\n"))).await;
    let mut connection = open(&server).await;
    let handed = send_before(&mut connection, "next@example.com", 9).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.is_positive()));
    let next = envelope("next@example.com");
    let handed = connection
        .hand_over(&next, b"second\r\n", &mut Fixed(true), None)
        .await;
    assert!(matches!(handed, Handed::Unsent(_)), "{handed:?}");
    for (said, name) in [("", "closes"), ("421 closing\r\n", "says that it closes")] {
        let (server, _served) = serve(after_hello(PIPELINING, taken_with_next(said))).await;
        let mut connection = open(&server).await;
        let handed = send_before(&mut connection, "next@example.com", 9).await;
        assert_eq!(
            matches!(handed, Handed::Unknown(_)),
            said.is_empty(),
            "{name}"
        );
        assert!(!connection.is_usable(), "{name}");
    }
}

#[tokio::test]
async fn a_server_is_not_told_of_a_next_message_that_it_cannot_take() {
    let small = "250-mail.test\r\n250-PIPELINING\r\n250 SIZE 100\r\n";
    for (offers, next, size, steps) in [
        ("250 mail.test\r\n", "next@example.com", 9, taken_stepwise()),
        (small, "next@example.com", 101, taken()),
        (PIPELINING, "jörg@example.com", 9, taken()),
    ] {
        let steps = [steps, vec![Hear("QUIT")]].concat();
        let (server, served) = serve(after_hello(offers, steps)).await;
        let mut connection = open(&server).await;
        let handed = send_before(&mut connection, next, size).await;
        assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.is_positive()));
        assert!(!connection.expects_next(), "{next}");
        connection.quit().await;
        served.await.expect("the script was followed");
    }
}

#[tokio::test]
async fn a_server_that_waits_for_content_hears_no_goodbye() {
    let both = taken_with_next("250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    let (server, served) = serve(after_hello(PIPELINING, [both, vec![Content]].concat())).await;
    let mut connection = open(&server).await;
    send_before(&mut connection, "next@example.com", 9).await;
    connection.quit().await;
    let lines = served.await.expect("the script was followed");
    assert_eq!(lines, ["Subject: x", "", "..hidden"]);
}

#[tokio::test]
async fn what_breaks_before_the_content_is_unsent() {
    let commands = || vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA")];
    let with = |last: Vec<Step>| after_hello(PIPELINING, [commands(), last].concat());
    for (name, steps) in [
        ("closes", with(vec![])),
        ("hangs", with(vec![Hang])),
        ("closes after one reply", with(vec![Say("250 ok\r\n")])),
        (
            "speaks something else",
            with(vec![Say("HTTP/1.1 400 Bad Request\r\n")]),
        ),
        (
            "answers neither yes nor no",
            with(vec![Say("250 ok\r\n250 ok\r\n250 ok\r\n")]),
        ),
    ] {
        let (handed, usable) = sent(steps).await;
        assert!(matches!(handed, Handed::Unsent(_)), "{name}: {handed:?}");
        assert!(!usable, "{name}");
    }
}

#[tokio::test]
async fn what_breaks_after_the_content_is_unknown() {
    let begun = || taken()[..5].to_vec();
    let with = |last: Vec<Step>| after_hello(PIPELINING, [begun(), last].concat());
    for (name, steps) in [
        ("closes", with(vec![])),
        ("hangs", with(vec![Hang])),
        ("half a reply", with(vec![Say("250-almost\r\n")])),
        ("garbage", with(vec![Say("okay\r\n")])),
        ("a reply to nothing", with(vec![Say("354 more\r\n")])),
    ] {
        let (handed, usable) = sent(steps).await;
        assert!(matches!(handed, Handed::Unknown(_)), "{name}: {handed:?}");
        assert!(!usable, "{name}");
    }
}

#[tokio::test]
async fn without_the_permit_no_content_is_sent() {
    let (server, served) = serve(after_hello(PIPELINING, taken())).await;
    let mut connection = open(&server).await;
    let handed = connection
        .hand_over(
            &envelope("to@example.com"),
            b"secret\r\n",
            &mut Fixed(false),
            None,
        )
        .await;
    assert!(matches!(handed, Handed::Forbidden));
    assert!(!connection.is_usable());
    drop(connection);
    let lines = served.await.expect("the script was followed");
    assert!(lines.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_cannot_take_the_message_is_not_asked() {
    let offers = "250-mail.test\r\n250-PIPELINING\r\n250 SIZE 10\r\n";
    let (handed, usable) = sent(hello(offers)).await;
    assert!(matches!(handed, Handed::Unsendable(why) if why.contains("size")));
    assert!(usable);
    let (server, _served) = serve(hello(PIPELINING)).await;
    let mut connection = open(&server).await;
    let handed = connection
        .hand_over(
            &envelope("jörg@example.com"),
            b"x\r\n",
            &mut Fixed(true),
            None,
        )
        .await;
    assert!(matches!(handed, Handed::Unsendable(why) if why.contains("international")));
}

#[tokio::test]
async fn international_addresses_and_sizes_are_announced() {
    let offers =
        "250-mail.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
    let steps = vec![
        Hear("MAIL FROM:<from@sender.example> SIZE=3 BODY=8BITMIME SMTPUTF8"),
        Hear("RCPT TO:<jörg@example.com>"),
        Say("550 no\r\n550 no\r\n503 no\r\n"),
    ];
    let (server, _served) = serve(after_hello(offers, steps)).await;
    let mut connection = open(&server).await;
    let handed = connection
        .hand_over(
            &envelope("jörg@example.com"),
            b"x\r\n",
            &mut Fixed(true),
            None,
        )
        .await;
    assert!(
        matches!(handed, Handed::Answered(Stage::Mail, _)),
        "{handed:?}"
    );
}

async fn refused(mut change: impl FnMut(&mut SmtpServer), steps: Vec<Step>) -> SmtpError {
    let (mut server, _served) = serve(steps).await;
    change(&mut server);
    Connection::open(&server, timeouts())
        .await
        .expect_err("it must not connect")
}

#[tokio::test]
async fn a_bad_beginning_says_what_was_wrong() {
    let nothing = |_: &mut SmtpServer| {};
    let error = refused(nothing, vec![Say("554 go away\r\n")]).await;
    assert!(
        matches!(
            error,
            SmtpError::Refused {
                step: "greeting",
                ..
            }
        ),
        "{error}"
    );
    let error = refused(nothing, vec![Say("SSH-2.0-OpenSSH\r\n")]).await;
    assert!(matches!(error, SmtpError::Malformed(_)), "{error}");
    let error = refused(nothing, vec![Hang]).await;
    assert!(matches!(error, SmtpError::TimedOut), "{error}");
    let error = refused(nothing, vec![]).await;
    assert!(
        matches!(error, SmtpError::Closed | SmtpError::Broken(_)),
        "{error}"
    );
    let endless: &'static str = Box::leak("2".repeat(1 << 20).into_boxed_str());
    let error = refused(nothing, vec![Say(endless)]).await;
    assert!(matches!(error, SmtpError::Malformed(_)), "{error}");
    let (server, served) = serve(vec![]).await;
    served.abort();
    served.await.expect_err("it was stopped");
    let error = Connection::open(&server, timeouts())
        .await
        .expect_err("nobody listens");
    assert!(matches!(error, SmtpError::Connect(_)), "{error}");
}

fn with_password(server: &mut SmtpServer) {
    server.credentials = Some(("ada".into(), Secret::new("pw")));
}

#[tokio::test]
async fn passwords_are_said_in_the_way_the_server_offers() {
    let plain = vec![Hear("AUTH PLAIN AGFkYQBwdw=="), Say("235 ok\r\n")];
    let login = vec![
        Hear("AUTH LOGIN"),
        Say("334 VXNlcm5hbWU6\r\n"),
        Hear("YWRh"),
        Say("334 UGFzc3dvcmQ6\r\n"),
        Hear("cHc="),
        Say("235 ok\r\n"),
    ];
    for (offers, steps) in [
        ("250-mail.test\r\n250 AUTH LOGIN PLAIN\r\n", plain),
        ("250-mail.test\r\n250 AUTH LOGIN\r\n", login),
    ] {
        let (mut server, _served) = serve(after_hello(offers, steps)).await;
        with_password(&mut server);
        open(&server).await;
    }
    let wrong = vec![Hear("AUTH PLAIN"), Say("535 5.7.8 no\r\n")];
    let error = refused(
        with_password,
        after_hello("250-mail.test\r\n250 AUTH PLAIN\r\n", wrong),
    )
    .await;
    assert!(
        matches!(error, SmtpError::Refused { step: "AUTH", .. }),
        "{error}"
    );
    let wrong = vec![Hear("AUTH LOGIN"), Say("504 no\r\n")];
    let error = refused(
        with_password,
        after_hello("250-mail.test\r\n250 AUTH LOGIN\r\n", wrong),
    )
    .await;
    assert!(
        matches!(error, SmtpError::Refused { step: "AUTH", .. }),
        "{error}"
    );
    let error = refused(with_password, hello("250 mail.test\r\n")).await;
    assert!(matches!(error, SmtpError::Missing(_)), "{error}");
}

const STARTTLS: &str = "250-mail.test\r\n250 STARTTLS\r\n";

#[tokio::test]
async fn tls_is_used_where_it_is_offered() {
    let upgrade = vec![
        Hear("STARTTLS"),
        Say("220 go\r\n"),
        StartTls,
        Hear("EHLO"),
        Say(PIPELINING),
    ];
    let (server, served) = serve(after_hello(STARTTLS, [upgrade, taken()].concat())).await;
    let mut connection = open(&server).await;
    let handed = send(&mut connection).await;
    assert!(matches!(handed, Handed::Answered(Stage::Content, reply) if reply.is_positive()));
    drop(connection);
    assert_eq!(served.await.expect("the script was followed").len(), 3);
}

#[tokio::test]
async fn required_tls_wants_an_offer_and_a_certificate_that_is_known() {
    let require = |server: &mut SmtpServer| server.tls = Tls::Required;
    let error = refused(require, hello(PIPELINING)).await;
    assert!(matches!(error, SmtpError::Missing("STARTTLS")), "{error}");
    let upgrade = vec![Hear("STARTTLS"), Say("220 go\r\n"), StartTls];
    let error = refused(require, after_hello(STARTTLS, upgrade)).await;
    assert!(
        matches!(&error, SmtpError::Connect(why) if why.to_string().contains("certificate")),
        "{error}"
    );
    let implicit = |server: &mut SmtpServer| server.tls = Tls::Implicit;
    let error = refused(implicit, vec![StartTls]).await;
    assert!(
        matches!(&error, SmtpError::Connect(why) if why.to_string().contains("certificate")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_said_before_the_handshake_is_not_believed() {
    let injected = vec![Hear("STARTTLS"), Say("220 go\r\n250 mail.test\r\n"), Hang];
    let error = refused(|_| {}, after_hello(STARTTLS, injected)).await;
    assert!(matches!(error, SmtpError::Malformed(_)), "{error}");
}

/// The stall of forty milliseconds that two small writes and a delayed acknowledgement make.
#[tokio::test]
async fn no_message_waits_for_a_delayed_acknowledgement() {
    const MESSAGES: usize = 21;
    let steps = std::iter::repeat_with(taken)
        .take(MESSAGES)
        .flatten()
        .collect();
    let (server, _served) = serve(after_hello(PIPELINING, steps)).await;
    let mut connection = open(&server).await;
    let mut times = Vec::new();
    for _ in 0..MESSAGES {
        let start = Instant::now();
        let handed = send(&mut connection).await;
        assert!(
            matches!(handed, Handed::Answered(Stage::Content, _)),
            "{handed:?}"
        );
        times.push(start.elapsed());
    }
    times.sort();
    assert!(times[MESSAGES / 4] < Duration::from_millis(30), "{times:?}");
}
