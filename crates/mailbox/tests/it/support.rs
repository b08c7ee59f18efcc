use std::{net::SocketAddr, time::Duration};

use mailbox::{Handle, Mailbox, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A mailbox that runs for one test.
pub(crate) struct Running {
    pub(crate) smtp: SocketAddr,
    pub(crate) http: String,
    pub(crate) handle: Handle,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<Result<(), mailbox::Error>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let mailbox = Mailbox::bind(settings).await.unwrap();
        let http = mailbox
            .http_addr()
            .map(|addr| format!("http://{addr}/mailbox"));
        let (smtp, handle, stop) = (
            mailbox.smtp_addr(),
            mailbox.handle(),
            CancellationToken::new(),
        );
        let task = tokio::spawn(mailbox.run(stop.clone()));
        Self {
            smtp,
            http: http.unwrap_or_default(),
            handle,
            stop,
            task,
        }
    }

    pub(crate) async fn stopped(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    /// A connection that has read the greeting.
    pub(crate) async fn connect(&self) -> Client {
        let mut client = Client::connect(self.smtp).await;
        assert!(client.line().await.starts_with("220 "));
        client
    }

    /// A connection that has said EHLO.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.connect().await;
        assert_eq!(client.say("EHLO test").await, 250);
        client
    }
}

/// A client that speaks bytes.
pub(crate) struct Client {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Whether the bytes could be handed over.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Sends one line and gives the code of the reply.
    pub(crate) async fn say(&mut self, line: &str) -> u16 {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.code().await
    }

    /// The code of the next reply, all its lines read.
    pub(crate) async fn code(&mut self) -> u16 {
        self.reply().await[..3].parse().unwrap()
    }

    /// The next reply, its lines joined.
    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line().await;
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
        }
    }

    /// The next line; empty when the mailbox closed the connection.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.seen.iter().position(|octet| *octet == b'\n') {
                let line = self.seen.drain(..=end).collect();
                return String::from_utf8(line).unwrap();
            }
            let mut more = [0; 4096];
            let read = timeout(PATIENCE, self.stream.read(&mut more))
                .await
                .expect("a reply");
            match read {
                Ok(0) | Err(_) => {
                    return String::from_utf8(std::mem::take(&mut self.seen)).unwrap();
                }
                Ok(length) => self.seen.extend_from_slice(&more[..length]),
            }
        }
    }

    /// Sends a message to one recipient and gives the last code.
    pub(crate) async fn deliver(&mut self, to: &str, message: &str) -> u16 {
        assert_eq!(self.say("MAIL FROM:<sender@example.com>").await, 250);
        let code = self.say(&format!("RCPT TO:<{to}>")).await;
        if code != 250 {
            assert_eq!(self.say("RSET").await, 250);
            return code;
        }
        assert_eq!(self.say("DATA").await, 354);
        self.send(format!("{message}\r\n.\r\n").as_bytes()).await;
        let reply = self.reply().await;
        reply.get(..3).map_or(0, |code| code.parse().unwrap())
    }
}

pub(crate) fn message(subject: &str) -> String {
    format!(
        "From: sender@example.com\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.com>\r\n\r\nHello.\r\n"
    )
}
