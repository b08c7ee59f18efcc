//! One conversation with a server that brings something back (RFC 5321), as little of it as that
//! needs.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use smtp_proto::{Error as ParseError, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lines::{Line, Lines};

/// What the conversation is about.
pub(super) trait Intake {
    type Recipient;

    /// None when there is no such mailbox here.
    fn recipient(&self, address: &str) -> Option<Self::Recipient>;

    /// Takes a mail in for good; false when it cannot be written down now.
    fn take(&self, to: Vec<Self::Recipient>, mail: Bytes) -> impl Future<Output = bool> + Send;
}

/// How much a client may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long nothing may be heard. RFC 5321 §4.5.3.2.7 asks for five minutes.
    pub(super) idle: Duration,
    /// How long all of it may take.
    pub(super) whole: Duration,
    /// Octets of a mail.
    pub(super) mail: usize,
    pub(super) recipients: usize,
    /// How often it may be told no.
    pub(super) refusals: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(300),
            whole: Duration::from_secs(1800),
            mail: 1 << 20,
            recipients: 16,
            refusals: 20,
        }
    }
}

/// Whether a conversation is encrypted (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// There is no certificate.
    Impossible,
    Offered,
    /// This is the conversation after STARTTLS, which needs no greeting.
    Kept,
}

/// Longest command; RFC 5321 asks for 512 octets and extensions add to it.
const LONGEST_COMMAND: usize = 2048;

/// Why there is nothing more to hear.
#[derive(Debug)]
enum End {
    Gone,
    Silent,
    Stopping,
    /// It was told no too often, or said goodbye: all is said.
    Over,
    /// The rest is to be said in secret.
    Secret,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// One conversation.
pub(super) struct Session<'s, S, I: Intake> {
    stream: S,
    intake: &'s I,
    host: &'s str,
    limits: Limits,
    stop: CancellationToken,
    secrecy: Secrecy,
    lines: Lines,
    output: Vec<u8>,
    /// Between MAIL and the end of the mail.
    to: Option<Vec<I::Recipient>>,
    refusals: u32,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin, I: Intake> Session<'s, S, I> {
    pub(super) fn new(
        stream: S,
        intake: &'s I,
        host: &'s str,
        limits: Limits,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stream,
            intake,
            host,
            limits,
            stop,
            secrecy: Secrecy::Impossible,
            lines: Lines::default(),
            output: Vec::new(),
            to: None,
            refusals: 0,
        }
    }

    pub(super) fn with(mut self, secrecy: Secrecy) -> Self {
        self.secrecy = secrecy;
        self
    }

    /// Talks until either side leaves. A mail whose end was received is answered in any case. What
    /// is answered is the stream that is to be encrypted now.
    pub(super) async fn run(mut self) -> Option<S> {
        let whole = self.limits.whole;
        let end = timeout(whole, self.converse()).await.unwrap_or(End::Silent);
        match end {
            End::Gone => return None,
            End::Secret => return self.flush().await.ok().map(|()| self.stream),
            End::Silent => self.say("421 4.4.2 this takes too long"),
            End::Stopping => self.say("421 4.3.2 stopping, come back soon"),
            End::Over => {}
        }
        if self.flush().await.is_ok() {
            timeout(Duration::from_secs(1), self.stream.shutdown())
                .await
                .ok();
        }
        None
    }

    async fn converse(&mut self) -> End {
        if self.secrecy != Secrecy::Kept {
            self.say(&format!("220 {} ESMTP", self.host));
        }
        loop {
            if let Err(end) = self.command().await {
                return end;
            }
            if self.refusals > self.limits.refusals {
                self.say("421 4.7.0 too many errors");
                return End::Over;
            }
        }
    }

    async fn command(&mut self) -> Result<(), End> {
        let line = loop {
            match self.lines.take(LONGEST_COMMAND) {
                Some(line) => break line,
                None => self.read().await?,
            }
        };
        let line = match line {
            Line::Whole(line) => [&line[..], b"\r\n"].concat(),
            Line::TooLong => {
                self.refuse("500 5.5.2 line too long");
                return Ok(());
            }
        };
        if is_to_postmaster(&line) {
            self.rcpt("postmaster");
            return Ok(());
        }
        match Request::parse(&mut line.iter()) {
            Ok(Request::Ehlo { .. }) => self.hello(true),
            Ok(Request::Helo { .. }) => self.hello(false),
            Ok(Request::Mail { from }) => self.mail(from.size),
            Ok(Request::Rcpt { to }) => self.rcpt(&to.address),
            Ok(Request::Data) => return self.data().await,
            Ok(Request::Rset) => {
                self.to = None;
                self.say("250 2.0.0 forgotten");
            }
            Ok(Request::StartTls) if self.secrecy == Secrecy::Offered => {
                // What was said before it is in secret was not said by whom it seems.
                self.lines = Lines::default();
                self.say("220 2.0.0 go ahead");
                return Err(End::Secret);
            }
            Ok(Request::Noop { .. }) => self.say("250 2.0.0 nothing done"),
            Ok(Request::Quit) => {
                self.say("221 2.0.0 bye");
                return Err(End::Over);
            }
            Ok(_) => self.refuse("502 5.5.1 not offered here"),
            Err(ParseError::UnknownCommand) => self.refuse("500 5.5.2 command not recognised"),
            Err(_) => self.refuse("501 5.5.4 syntax error"),
        }
        Ok(())
    }

    fn hello(&mut self, extended: bool) {
        self.to = None;
        if !extended {
            return self.say(&format!("250 {}", self.host));
        }
        let secret = match self.secrecy {
            Secrecy::Offered => "250-STARTTLS\r\n",
            Secrecy::Impossible | Secrecy::Kept => "",
        };
        let text = format!(
            "250-{}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n{secret}250 SIZE {}",
            self.host, self.limits.mail
        );
        self.say(&text);
    }

    fn mail(&mut self, size: usize) {
        if self.to.is_some() {
            return self.refuse("503 5.5.1 one mail at a time");
        }
        if size > self.limits.mail {
            return self.refuse(TOO_BIG);
        }
        self.to = Some(Vec::new());
        self.say("250 2.1.0 sender noted");
    }

    fn rcpt(&mut self, to: &str) {
        let Some(known) = &mut self.to else {
            return self.refuse("503 5.5.1 say MAIL first");
        };
        if known.len() >= self.limits.recipients {
            return self.refuse("452 4.5.3 too many recipients");
        }
        match self.intake.recipient(to) {
            Some(recipient) => {
                known.push(recipient);
                self.say("250 2.1.5 recipient accepted");
            }
            None => self.refuse("550 5.1.1 no such mailbox, or not any more"),
        }
    }

    async fn data(&mut self) -> Result<(), End> {
        match self.to.as_ref().map(Vec::is_empty) {
            None => self.refuse("503 5.5.1 say MAIL first"),
            Some(true) => self.refuse("554 5.5.1 no valid recipients"),
            Some(false) => {
                self.say("354 end with a dot on a line of its own");
                let mail = self.content().await?;
                let to = self.to.take().unwrap_or_default();
                let Some(mail) = mail else {
                    self.refuse(TOO_BIG);
                    return Ok(());
                };
                match self.intake.take(to, mail).await {
                    true => self.say("250 2.0.0 noted"),
                    false => self.say("451 4.3.0 it cannot be written down now, come again"),
                }
            }
        }
        Ok(())
    }

    /// The mail, the dots before its lines removed (RFC 5321 §4.5.2); none when it is too big.
    async fn content(&mut self) -> Result<Option<Bytes>, End> {
        let (mut mail, mut fits) = (Vec::new(), true);
        loop {
            let line = match self.lines.take(self.limits.mail) {
                Some(Line::Whole(line)) => line,
                Some(Line::TooLong) => {
                    fits = false;
                    continue;
                }
                None => {
                    self.read().await?;
                    continue;
                }
            };
            if &line[..] == b"." {
                return Ok(fits.then(|| mail.into()));
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            fits &= mail.len() + line.len() + 2 <= self.limits.mail;
            if fits {
                mail.extend_from_slice(line);
                mail.extend_from_slice(b"\r\n");
            } else {
                mail = Vec::new();
            }
        }
    }

    /// Adds to what is said; it goes before the next time we listen.
    fn say(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn refuse(&mut self, text: &str) {
        self.refusals += 1;
        self.say(text);
    }

    async fn read(&mut self) -> Result<(), End> {
        self.flush().await?;
        self.lines.input.reserve(8 << 10);
        tokio::select! {
            () = self.stop.cancelled() => Err(End::Stopping),
            read = timeout(self.limits.idle, self.stream.read_buf(&mut self.lines.input)) => match read {
                Ok(Ok(1..)) => Ok(()),
                Ok(_) => Err(End::Gone),
                Err(_) => Err(End::Silent),
            },
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        let output = std::mem::take(&mut self.output);
        let written = timeout(self.limits.idle, self.stream.write_all(&output)).await;
        Ok(written.map_err(|_| End::Gone)??)
    }
}

/// The one address that needs no domain (RFC 5321 §4.5.1); the parser asks for one.
fn is_to_postmaster(line: &[u8]) -> bool {
    line.trim_ascii()
        .eq_ignore_ascii_case(b"RCPT TO:<postmaster>")
}

const TOO_BIG: &str = "552 5.3.4 too big for what comes back";

#[cfg(test)]
mod tests;
