//! One connection to a mail server.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::opening::Extensions;
use super::reply::{Malformed, Reply};
use super::stream::Stream;
use super::{Envelope, SmtpError};

/// How long each step may take (RFC 5321 §4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// Greeting, EHLO, MAIL, RCPT.
    pub command: Duration,
    /// The 354 after DATA.
    pub data: Duration,
    /// Handing one block of the content to the network.
    pub block: Duration,
    /// The reply after the final dot.
    pub end: Duration,
}

impl Timeouts {
    /// The standard's values for `command` = 300 s, and the same proportions for less.
    pub fn scaled(command: Duration) -> Self {
        Self {
            connect: command.min(Duration::from_secs(30)),
            command,
            data: command.mul_f64(0.4),
            block: command.mul_f64(0.6),
            end: command * 2,
        }
    }
}

/// Which step a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Mail,
    Rcpt,
    Data,
    /// After the final dot.
    Content,
}

/// How handing over one message ended.
#[derive(Debug)]
pub enum Handed {
    /// The server decided.
    Answered(Stage, Reply),
    /// The permit was refused: the content was not sent.
    Forbidden,
    /// This server cannot take this message at all.
    Unsendable(&'static str),
    /// The connection ended before the final dot was out: the server has no message.
    Unsent(SmtpError),
    /// The connection ended after it: nobody knows.
    Unknown(SmtpError),
}

/// The ledger's word that the content may be sent. Asked once; the answer is remembered.
pub trait Permit {
    fn granted(&mut self) -> impl Future<Output = bool> + Send;
}

/// The message that follows, when it is known already.
#[derive(Clone, Copy, Debug)]
pub struct Next<'n> {
    pub envelope: &'n Envelope,
    /// Octets of its content.
    pub size: usize,
}

/// A connection on which a message can be sent.
pub struct Connection {
    pub(super) stream: Stream,
    pub(super) received: BytesMut,
    pub(super) offers: Extensions,
    pub(super) timeouts: Timeouts,
    /// Messages handed over so far.
    pub uses: u32,
    /// A transaction may be open that the next message must end first.
    pub(super) unclean: bool,
    /// The commands of the next message were sent with the last one's dot.
    pub(super) announced: bool,
    pub(super) broken: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("offers", &self.offers)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Whether it can carry another message.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// Whether what is said is encrypted.
    pub fn is_secured(&self) -> bool {
        self.stream.is_tls()
    }

    /// Whether the server was told of the next message, so that no other may be handed over.
    pub fn expects_next(&self) -> bool {
        self.announced
    }

    /// Hands over one message. `content` ends with CRLF, its dots are not stuffed yet. The
    /// commands run while `permit` is still being decided; only the content waits for it.
    ///
    /// The commands of `next` go with the final dot, which saves both sides a flight for each
    /// message (RFC 2920 §3.1 lets commands follow the dot in one group). Where the server takes
    /// no such message or no such group, it is not told of it; see [`Self::expects_next`].
    pub async fn hand_over(
        &mut self,
        envelope: &Envelope,
        content: &[u8],
        permit: &mut impl Permit,
        next: Option<Next<'_>>,
    ) -> Handed {
        if let Some(why) = self.cannot_take(envelope, content.len()) {
            return Handed::Unsendable(why);
        }
        self.uses += 1;
        match self.open_data(envelope, content.len()).await {
            Ok(None) => {}
            Ok(Some((stage, reply))) => {
                self.broken |= reply.code == 421;
                return Handed::Answered(stage, reply);
            }
            Err(error) => return self.break_off(Handed::Unsent(error)),
        }
        if !permit.granted().await {
            // There is no way out of DATA but to finish it or to hang up.
            return self.break_off(Handed::Forbidden);
        }
        self.send_content(content, next).await
    }

    /// Why a message is not even offered to this server.
    fn cannot_take(&self, envelope: &Envelope, size: usize) -> Option<&'static str> {
        if envelope.needs_utf8() && !self.offers.smtputf8 {
            return Some("the mail server does not take international addresses");
        }
        let limit = self.offers.size.filter(|limit| *limit > 0);
        limit
            .is_some_and(|limit| size > limit)
            .then_some("the mail server does not take messages of this size")
    }

    fn break_off(&mut self, ended: Handed) -> Handed {
        self.broken = true;
        ended
    }

    /// MAIL, RCPT and DATA, in one flight where the server allows it (RFC 2920). None when the
    /// server waits for the content.
    async fn open_data(
        &mut self,
        envelope: &Envelope,
        size: usize,
    ) -> Result<Option<(Stage, Reply)>, SmtpError> {
        let reset = std::mem::take(&mut self.unclean);
        if !self.offers.pipelining {
            return self.open_data_stepwise(reset, envelope, size).await;
        }
        if !std::mem::take(&mut self.announced) {
            let mut flight = Vec::with_capacity(256);
            if reset {
                flight.extend_from_slice(b"RSET\r\n");
            }
            self.add_commands(&mut flight, envelope, size);
            self.write(&flight).await?;
        }
        if reset {
            let reply = self.reply(self.timeouts.command).await?;
            expect_positive("RSET", reply)?;
        }
        let mail = self.reply(self.timeouts.command).await?;
        if mail.code == 421 {
            return Ok(Some((Stage::Mail, mail)));
        }
        let rcpt = self.reply(self.timeouts.command).await?;
        if rcpt.code == 421 {
            return Ok(Some((Stage::Rcpt, rcpt)));
        }
        let data = self.reply(self.timeouts.data).await?;
        let refused = [(Stage::Mail, mail), (Stage::Rcpt, rcpt)]
            .into_iter()
            .find(|(_, reply)| !reply.is_positive());
        match (refused, data.code) {
            (None, 354) => Ok(None),
            (None, _) => Ok(Some(self.refused(Stage::Data, data)?)),
            // The server wants content for nobody: end it with nothing (RFC 2920 §3.1).
            (Some(refused), 354) => {
                self.write(b".\r\n").await?;
                self.reply(self.timeouts.end).await?;
                Ok(Some(self.refused(refused.0, refused.1)?))
            }
            (Some(refused), _) => Ok(Some(self.refused(refused.0, refused.1)?)),
        }
    }

    async fn open_data_stepwise(
        &mut self,
        reset: bool,
        envelope: &Envelope,
        size: usize,
    ) -> Result<Option<(Stage, Reply)>, SmtpError> {
        if reset {
            let reply = self.command("RSET\r\n").await?;
            expect_positive("RSET", reply)?;
        }
        let (mail, rcpt) = (self.mail_command(envelope, size), rcpt_command(envelope));
        for (stage, command) in [(Stage::Mail, mail), (Stage::Rcpt, rcpt)] {
            let reply = self.command(&command).await?;
            if !reply.is_positive() {
                return Ok(Some(self.refused(stage, reply)?));
            }
        }
        self.write(b"DATA\r\n").await?;
        let data = self.reply(self.timeouts.data).await?;
        match data.code {
            354 => Ok(None),
            _ => Ok(Some(self.refused(Stage::Data, data)?)),
        }
    }

    /// A refusal of this message. An answer that is neither yes nor no is no SMTP.
    fn refused(&mut self, stage: Stage, reply: Reply) -> Result<(Stage, Reply), SmtpError> {
        if !reply.is_transient() && !reply.is_permanent() {
            return Err(Malformed::Unasked.into());
        }
        self.unclean = true;
        Ok((stage, reply))
    }

    /// MAIL, RCPT and DATA.
    fn add_commands(&self, flight: &mut Vec<u8>, envelope: &Envelope, size: usize) {
        flight.extend_from_slice(self.mail_command(envelope, size).as_bytes());
        flight.extend_from_slice(rcpt_command(envelope).as_bytes());
        flight.extend_from_slice(b"DATA\r\n");
    }

    fn mail_command(&self, envelope: &Envelope, size: usize) -> String {
        let mut command = format!("MAIL FROM:<{}>", envelope.from());
        if self.offers.size.is_some() {
            command.push_str(&format!(" SIZE={size}"));
        }
        if envelope.needs_utf8() {
            command.push_str(if self.offers.eight_bit {
                " BODY=8BITMIME SMTPUTF8"
            } else {
                " SMTPUTF8"
            });
        }
        command.push_str("\r\n");
        command
    }

    async fn send_content(&mut self, content: &[u8], next: Option<Next<'_>>) -> Handed {
        let mut octets = stuff(content);
        let dot = octets.len();
        let takes = |next: &Next<'_>| self.cannot_take(next.envelope, next.size).is_none();
        if let Some(next) = next.filter(|next| self.offers.pipelining && takes(next)) {
            self.add_commands(&mut octets, next.envelope, next.size);
            self.announced = true;
        }
        let mut sent = 0;
        while sent < octets.len() {
            let block = timeout(self.timeouts.block, self.stream.write(&octets[sent..])).await;
            let error = match block {
                Ok(Ok(0)) => SmtpError::Closed,
                Ok(Ok(count)) => {
                    sent += count;
                    continue;
                }
                Ok(Err(error)) => error.into(),
                Err(_) => SmtpError::TimedOut,
            };
            // A socket took `sent` octets, and the dot may not be among them; what TLS has in its
            // buffers cannot be told.
            let ended = match sent >= dot || self.stream.is_tls() {
                true => Handed::Unknown(error),
                false => Handed::Unsent(error),
            };
            return self.break_off(ended);
        }
        match self.end_of_content().await {
            Ok(reply) => {
                self.broken |= reply.code == 421;
                Handed::Answered(Stage::Content, reply)
            }
            Err(error) => self.break_off(Handed::Unknown(error)),
        }
    }

    async fn end_of_content(&mut self) -> Result<Reply, SmtpError> {
        timeout(self.timeouts.block, self.stream.flush())
            .await
            .map_err(|_| SmtpError::TimedOut)??;
        let reply = self.reply(self.timeouts.end).await?;
        // 3xx here answers no question of ours.
        if reply.code / 100 == 3 {
            return Err(Malformed::Unasked.into());
        }
        Ok(reply)
    }

    /// Says goodbye without waiting for the answer. A server that waits for content would take the
    /// word for a part of it.
    pub async fn quit(mut self) {
        const POLITE: Duration = Duration::from_millis(500);
        let goodbye = async {
            if !self.announced {
                self.stream.write_all(b"QUIT\r\n").await?;
            }
            self.stream.shutdown().await
        };
        // Nothing is lost when the server is gone already.
        timeout(POLITE, goodbye).await.ok();
    }

    pub(super) async fn command(&mut self, command: &str) -> Result<Reply, SmtpError> {
        self.write(command.as_bytes()).await?;
        self.reply(self.timeouts.command).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), SmtpError> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(self.timeouts.command, written)
            .await
            .map_err(|_| SmtpError::TimedOut)??;
        Ok(())
    }

    pub(super) async fn reply(&mut self, patience: Duration) -> Result<Reply, SmtpError> {
        let (reply, used) = self.read_reply(patience).await?;
        self.received.advance(used);
        Ok(reply)
    }

    /// The next reply and its bytes.
    pub(super) async fn raw_reply(
        &mut self,
        patience: Duration,
    ) -> Result<(Reply, BytesMut), SmtpError> {
        let (reply, used) = self.read_reply(patience).await?;
        Ok((reply, self.received.split_to(used)))
    }

    /// The reply at the front of what was received, and its length. The patience is for the whole
    /// reply, so a server cannot hold us by a byte now and then.
    async fn read_reply(&mut self, patience: Duration) -> Result<(Reply, usize), SmtpError> {
        let (stream, received) = (&mut self.stream, &mut self.received);
        // Most replies come with the one before.
        if let Some(whole) = Reply::parse(received)? {
            return Ok(whole);
        }
        let arrival = async {
            loop {
                if stream.read_buf(received).await? == 0 {
                    return Err(SmtpError::Closed);
                }
                if let Some(whole) = Reply::parse(received)? {
                    return Ok(whole);
                }
            }
        };
        timeout(patience, arrival)
            .await
            .map_err(|_| SmtpError::TimedOut)?
    }
}

pub(super) fn expect_positive(step: &'static str, reply: Reply) -> Result<Reply, SmtpError> {
    match reply.is_positive() {
        true => Ok(reply),
        false => Err(SmtpError::Refused { step, reply }),
    }
}

fn rcpt_command(envelope: &Envelope) -> String {
    format!("RCPT TO:<{}>\r\n", envelope.to())
}

/// The content with its dots stuffed (RFC 5321 §4.5.2) and the final dot.
fn stuff(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 512);
    if content.first() == Some(&b'.') {
        out.push(b'.');
    }
    let mut done = 0;
    for at in memchr::memmem::find_iter(content, b"\n.") {
        out.extend_from_slice(&content[done..=at]);
        out.push(b'.');
        done = at + 1;
    }
    out.extend_from_slice(&content[done..]);
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_and_the_end_is_marked() {
        assert_eq!(stuff(b"a\r\n"), b"a\r\n.\r\n");
        assert_eq!(stuff(b".a\r\n.\r\n..b\r\n"), b"..a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(stuff(b"a"), b"a\r\n.\r\n");
        assert_eq!(stuff(b""), b"\r\n.\r\n");
    }
}
