use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use chrono::Utc;
use smtp_proto::{Error as ParseError, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};

use super::{
    framing::{Line, MessageEnd, Received, lines_fit, take_line},
    listener::Shared,
    replies::{self, Reply},
    wire::{End, Wire},
};
use crate::{
    behaviour::Behaviour,
    faults::{DropWhen, Stage},
    mail,
};

/// A client that errs more often than this is sent away.
const MAX_ERRORS: u32 = 20;

/// One conversation.
pub(super) struct Session {
    wire: Wire,
    shared: Arc<Shared>,
    greeted: bool,
    envelope: Option<Envelope>,
    errors: u32,
    skipping: bool,
}

#[derive(Debug, Default)]
struct Envelope {
    from: String,
    utf8: bool,
    to: Vec<String>,
    /// Whether any recipient was named, accepted or not.
    named: bool,
}

/// What happens after a command.
enum Next {
    Command,
    Message,
    Leave,
}

impl Session {
    pub(super) fn new(wire: Wire, shared: Arc<Shared>) -> Self {
        Self {
            wire,
            shared,
            greeted: false,
            envelope: None,
            errors: 0,
            skipping: false,
        }
    }

    /// Talks until either side leaves.
    pub(super) async fn run(mut self) {
        match self.converse().await {
            Ok(()) => {}
            Err(End::Gone) => return,
            Err(End::Silent) => self.wire.say(replies::SILENCE),
            Err(End::Stopping) => self.wire.say(replies::STOPPING),
        }
        self.wire.close().await;
    }

    async fn converse(&mut self) -> Result<(), End> {
        if let Some(code) = self.shared.faults(|faults| faults.refuses(Stage::Connect)) {
            self.wire.say(replies::fault(code));
            return Ok(());
        }
        let greeting = format!("{} ESMTP Clarion mailbox", self.shared.settings.hostname);
        self.wire.say_lines(220, &[greeting]);
        loop {
            match self.command().await? {
                Next::Command => {}
                Next::Message => self.message().await?,
                Next::Leave => return Ok(()),
            }
            if self.errors > MAX_ERRORS {
                self.wire.say(replies::MANY_ERRORS);
                return Ok(());
            }
        }
    }

    async fn command(&mut self) -> Result<Next, End> {
        if self.envelope.is_none() && self.wire.is_stopping() {
            return Err(End::Stopping);
        }
        let line = loop {
            match take_line(&mut self.wire.input, &mut self.skipping) {
                Some(line) => break line,
                None => self.wire.read(false).await?,
            }
        };
        Ok(match line {
            Line::Sound(line) => self.answer(&line),
            Line::Crooked => self.err(replies::CROOKED),
            Line::TooLong => self.err(replies::LONG_LINE),
        })
    }

    fn answer(&mut self, line: &Bytes) -> Next {
        match Request::parse(&mut line.iter()) {
            Ok(Request::Ehlo { host: _ }) => self.hello(true),
            Ok(Request::Helo { host: _ }) => self.hello(false),
            Ok(Request::Mail { from }) => self.mail(&from),
            Ok(Request::Rcpt { to }) => self.rcpt(&to),
            Ok(Request::Data) => self.data(),
            Ok(Request::Rset) => {
                self.envelope = None;
                self.say(replies::FLUSHED)
            }
            Ok(Request::Noop { .. }) => self.say(replies::NOOP),
            Ok(Request::Help { .. }) => self.say(replies::HELP),
            Ok(Request::Vrfy { .. }) => self.say(replies::VERIFY),
            Ok(Request::Quit) => {
                self.wire.say(replies::BYE);
                Next::Leave
            }
            Ok(_) => self.err(replies::NOT_OFFERED),
            Err(ParseError::UnknownCommand) => self.err(replies::UNKNOWN),
            Err(ParseError::InvalidSenderAddress) => self.err(replies::BAD_SENDER),
            Err(ParseError::InvalidRecipientAddress) => self.err(replies::BAD_RECIPIENT),
            Err(ParseError::UnsupportedParameter { .. }) => self.err(replies::PARAMETER),
            Err(_) => self.err(replies::SYNTAX),
        }
    }

    fn hello(&mut self, extended: bool) -> Next {
        self.greeted = true;
        self.envelope = None;
        let settings = &self.shared.settings;
        let mut lines = vec![format!("{} at your service", settings.hostname)];
        if extended {
            lines.extend(
                ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"].map(str::to_owned),
            );
            lines.push(format!("SIZE {}", settings.max_message));
        }
        self.wire.say_lines(250, &lines);
        Next::Command
    }

    fn mail(&mut self, from: &MailFrom<Cow<'_, str>>) -> Next {
        if !self.greeted {
            return self.err(replies::HELLO_FIRST);
        }
        if self.envelope.is_some() {
            return self.err(replies::NESTED_MAIL);
        }
        if let Some(code) = self.shared.faults(|faults| faults.refuses(Stage::Mail)) {
            return self.say(replies::fault(code));
        }
        let utf8 = from.flags & MAIL_SMTPUTF8 != 0;
        if from.size > self.shared.settings.max_message {
            return self.say(replies::TOO_BIG);
        }
        if let Some(refusal) = unfit(&from.address, utf8, replies::BAD_SENDER) {
            return self.err(refusal);
        }
        let from = from.address.clone().into_owned();
        self.envelope = Some(Envelope {
            from,
            utf8,
            ..Envelope::default()
        });
        self.say(replies::SENDER)
    }

    fn rcpt(&mut self, to: &RcptTo<Cow<'_, str>>) -> Next {
        let Some(envelope) = &mut self.envelope else {
            return self.err(replies::MAIL_FIRST);
        };
        envelope.named = true;
        let unfit = match to.address.is_empty() {
            true => Some(replies::BAD_RECIPIENT),
            false => unfit(&to.address, envelope.utf8, replies::BAD_RECIPIENT),
        };
        if let Some(refusal) = unfit {
            return self.err(refusal);
        }
        if let Some(code) = self.shared.faults(|faults| faults.refuses(Stage::Rcpt)) {
            return self.say(replies::fault(code));
        }
        if envelope.to.len() >= self.shared.settings.max_recipients {
            return self.say(replies::MANY_RECIPIENTS);
        }
        match Behaviour::of(&to.address) {
            Behaviour::Hard => return self.say(replies::HARD),
            Behaviour::Full => return self.say(replies::FULL),
            Behaviour::Soft if self.shared.soft.refuses(&to.address) => {
                return self.say(replies::SOFT);
            }
            Behaviour::Busy if self.shared.soft.refuses(&to.address) => {
                return self.say(replies::BUSY);
            }
            Behaviour::Slow => self.wire.delay(self.shared.settings.slow),
            _ => {}
        }
        envelope.to.push(to.address.clone().into_owned());
        self.say(replies::RECIPIENT)
    }

    fn data(&mut self) -> Next {
        match &self.envelope {
            None => self.err(replies::MAIL_FIRST),
            Some(envelope) if !envelope.named => self.err(replies::RCPT_FIRST),
            Some(envelope) if envelope.to.is_empty() => self.say(replies::NO_RECIPIENTS),
            Some(_) => {
                self.wire.say(replies::GO_AHEAD);
                Next::Message
            }
        }
    }

    /// Receives a message and settles it.
    async fn message(&mut self) -> Result<(), End> {
        self.wire.flush().await?;
        let mut end = MessageEnd::new(self.shared.settings.max_message);
        let received = loop {
            match end.take(&mut self.wire.input) {
                Some(received) => break received,
                None => self.wire.read(true).await?,
            }
        };
        let envelope = self.envelope.take().unwrap_or_default();
        let max_line = self.shared.settings.max_line;
        let raw = match received {
            Received::Message(raw) if lines_fit(&raw, max_line) => raw,
            Received::Message(_) => return self.refuse(replies::LONG_DATA_LINE),
            Received::TooBig => return self.refuse(replies::TOO_BIG),
        };
        if let Some(code) = self.shared.faults(|faults| faults.refuses(Stage::Data)) {
            return self.refuse(replies::fault(code));
        }
        self.settle(envelope, raw).await
    }

    fn refuse(&mut self, reply: Reply) -> Result<(), End> {
        self.wire.say(reply);
        Ok(())
    }

    /// Stores the message, or drops it, as its recipients and the faults ask.
    async fn settle(&mut self, envelope: Envelope, raw: Bytes) -> Result<(), End> {
        let count = self.shared.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let asked = |behaviour| envelope.to.iter().any(|to| Behaviour::of(to) == behaviour);
        let fault = self.shared.faults(|faults| faults.drops(count));
        if fault.is_some() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if fault == Some(DropWhen::Unstored) || asked(Behaviour::Drop) {
            return Err(End::Gone);
        }
        if asked(Behaviour::Slow) {
            self.wire.delay(self.shared.settings.slow);
        }
        let silent = fault == Some(DropWhen::BeforeReply) || asked(Behaviour::DropAfter);
        let summary = mail::summarise(envelope.from, envelope.to, &raw, Utc::now());
        let id = summary.id;
        if self.shared.store.append(summary, raw).await.is_err() {
            return self.refuse(replies::NOT_STORED);
        }
        if silent {
            return Err(End::Gone);
        }
        self.wire.say_lines(250, &[format!("2.0.0 stored as {id}")]);
        if fault == Some(DropWhen::AfterReply) {
            self.wire.flush().await?;
            return Err(End::Gone);
        }
        Ok(())
    }

    fn say(&mut self, reply: Reply) -> Next {
        self.wire.say(reply);
        Next::Command
    }

    fn err(&mut self, reply: Reply) -> Next {
        self.errors += 1;
        self.say(reply)
    }
}

/// Why this address is refused as it is spelled, if it is.
fn unfit(address: &str, utf8: bool, otherwise: Reply) -> Option<Reply> {
    if address.chars().any(char::is_control) {
        return Some(otherwise);
    }
    (!utf8 && !address.is_ascii()).then_some(replies::NOT_ASCII)
}
