//! Opening a connection: greeting, TLS, password.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use common::values::Secret;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SmtpError;
use super::connection::{Connection, Timeouts, expect_positive};
use super::reply::{Malformed, Reply};
use super::server::{SmtpServer, Tls};
use super::stream::Stream;

/// What the server offers.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    pub(super) pipelining: bool,
    pub(super) starttls: bool,
    pub(super) smtputf8: bool,
    pub(super) eight_bit: bool,
    pub(super) size: Option<usize>,
    pub(super) auth: Vec<String>,
}

impl Connection {
    /// Connects, greets, and does what the server's settings ask for.
    pub async fn open(server: &SmtpServer, timeouts: Timeouts) -> Result<Self, SmtpError> {
        let address = (server.host.as_str(), server.port);
        let socket = timeout(timeouts.connect, TcpStream::connect(address))
            .await
            .map_err(|_| SmtpError::TimedOut)?
            .map_err(SmtpError::Connect)?;
        socket.set_nodelay(true)?;
        let name = hello_name(&socket);
        let mut stream = Stream::Plain(socket);
        if server.tls == Tls::Implicit {
            stream = secure(stream, &server.host, true, timeouts.command).await?;
        }
        let mut connection = Self {
            stream,
            received: BytesMut::with_capacity(4096),
            offers: Extensions::default(),
            timeouts,
            uses: 0,
            unclean: false,
            announced: false,
            broken: false,
        };
        let greeting = connection.reply(timeouts.command).await?;
        expect_positive("greeting", greeting)?;
        connection.hello(&name).await?;
        connection = connection.upgrade(server, &name).await?;
        if let Some((user, password)) = &server.credentials {
            connection.authenticate(user, password).await?;
        }
        Ok(connection)
    }

    /// EHLO, or HELO for a server that does not know it.
    async fn hello(&mut self, name: &str) -> Result<(), SmtpError> {
        self.write(format!("EHLO {name}\r\n").as_bytes()).await?;
        let (reply, raw) = self.raw_reply(self.timeouts.command).await?;
        self.offers = Extensions::default();
        if reply.is_positive() {
            self.offers = Extensions::read(&raw);
            return Ok(());
        }
        let reply = self.command(&format!("HELO {name}\r\n")).await?;
        expect_positive("EHLO", reply).map(drop)
    }

    async fn upgrade(mut self, server: &SmtpServer, name: &str) -> Result<Self, SmtpError> {
        let wanted = matches!(server.tls, Tls::Opportunistic | Tls::Required);
        if !wanted || (server.tls == Tls::Opportunistic && !self.offers.starttls) {
            return Ok(self);
        }
        if !self.offers.starttls {
            return Err(SmtpError::Missing("STARTTLS"));
        }
        let reply = self.command("STARTTLS\r\n").await?;
        expect_positive("STARTTLS", reply)?;
        // What came before the handshake was said by anybody (RFC 3207 §6).
        if !self.received.is_empty() {
            return Err(Malformed::Unasked.into());
        }
        let verified = server.tls == Tls::Required;
        self.stream = secure(self.stream, &server.host, verified, self.timeouts.command).await?;
        self.hello(name).await?;
        Ok(self)
    }

    /// AUTH PLAIN (RFC 4616), or LOGIN where that is all there is.
    async fn authenticate(&mut self, user: &str, password: &Secret) -> Result<(), SmtpError> {
        let offers = |name: &str| self.offers.auth.iter().any(|offered| offered == name);
        let password = password.expose();
        if offers("PLAIN") {
            let token = STANDARD.encode(format!("\0{user}\0{password}"));
            let reply = self.command(&format!("AUTH PLAIN {token}\r\n")).await?;
            return expect_positive("AUTH", reply).map(drop);
        }
        if !offers("LOGIN") {
            return Err(SmtpError::Missing("AUTH PLAIN or LOGIN"));
        }
        let mut reply = self.command("AUTH LOGIN\r\n").await?;
        for answer in [user, password] {
            if reply.code != 334 {
                return Err(SmtpError::Refused {
                    step: "AUTH",
                    reply,
                });
            }
            reply = self
                .command(&format!("{}\r\n", STANDARD.encode(answer)))
                .await?;
        }
        expect_positive("AUTH", reply).map(drop)
    }
}

impl Extensions {
    fn read(raw: &[u8]) -> Self {
        let mut offers = Self::default();
        // The first line is the server's name.
        for line in Reply::ehlo_keywords(raw).skip(1) {
            let mut words = line.split(' ');
            match words.next() {
                Some("PIPELINING") => offers.pipelining = true,
                Some("STARTTLS") => offers.starttls = true,
                Some("SMTPUTF8") => offers.smtputf8 = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SIZE") => {
                    offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                Some("AUTH") => offers.auth = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        offers
    }
}

async fn secure(
    stream: Stream,
    host: &str,
    verified: bool,
    patience: Duration,
) -> Result<Stream, SmtpError> {
    timeout(patience, stream.secure(host, verified))
        .await
        .map_err(|_| SmtpError::TimedOut)?
        .map_err(SmtpError::Connect)
}

/// We greet with our own address: it is always true and always allowed (RFC 5321 §4.1.3).
fn hello_name(socket: &TcpStream) -> String {
    match socket.local_addr().map(|address| address.ip()) {
        Ok(std::net::IpAddr::V4(ip)) => format!("[{ip}]"),
        Ok(std::net::IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Err(_) => "localhost".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read_line_by_line() {
        let offers = Extensions::read(
            b"250-mail.example PIPELINING\r\n250-size 1000\r\n250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n",
        );
        assert!(!offers.pipelining, "the first line is a name");
        assert_eq!(offers.size, Some(1000));
        assert_eq!(offers.auth, ["LOGIN", "PLAIN"]);
        assert!(offers.starttls);
    }
}
