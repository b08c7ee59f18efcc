//! Every sentence the mailbox says.

/// Code, enhanced status (empty where RFC 2034 has none) and text.
pub(super) type Reply = (u16, &'static str, &'static str);

pub(super) const FLUSHED: Reply = (250, "2.0.0", "flushed");
pub(super) const NOOP: Reply = (250, "2.0.0", "nothing done, as asked");
pub(super) const BYE: Reply = (221, "2.0.0", "bye");
pub(super) const HELP: Reply = (
    214,
    "2.0.0",
    "hard+ soft+ busy+ full+ drop+ dropafter+ slow+ before a name try things out",
);
pub(super) const VERIFY: Reply = (252, "2.5.0", "try and see");
pub(super) const SENDER: Reply = (250, "2.1.0", "sender noted");
pub(super) const RECIPIENT: Reply = (250, "2.1.5", "recipient accepted");
pub(super) const GO_AHEAD: Reply = (354, "", "end with CRLF . CRLF");

pub(super) const STOPPING: Reply = (421, "4.3.2", "the mailbox is stopping");
pub(super) const SILENCE: Reply = (421, "4.4.2", "nothing heard for too long");
pub(super) const MANY_ERRORS: Reply = (421, "4.7.0", "too many errors");
pub(super) const MANY_CONNECTIONS: Reply = (421, "4.7.0", "too many connections");
pub(super) const NOT_STORED: Reply = (452, "4.3.1", "the message could not be stored");
pub(super) const SOFT: Reply = (451, "4.3.0", "not now, try again later");
pub(super) const BUSY: Reply = (450, "4.7.1", "too many messages, slow down");
pub(super) const FULL: Reply = (452, "4.2.2", "mailbox full");
pub(super) const MANY_RECIPIENTS: Reply = (452, "4.5.3", "too many recipients");

pub(super) const UNKNOWN: Reply = (500, "5.5.2", "command not recognised");
pub(super) const CROOKED: Reply = (
    500,
    "5.5.2",
    "a line must end with CRLF and hold no CR, LF or NUL",
);
pub(super) const LONG_LINE: Reply = (500, "5.5.2", "line too long");
pub(super) const SYNTAX: Reply = (501, "5.5.4", "syntax error in the arguments");
pub(super) const BAD_SENDER: Reply = (501, "5.1.7", "bad sender address");
pub(super) const BAD_RECIPIENT: Reply = (501, "5.1.3", "bad recipient address");
pub(super) const NOT_OFFERED: Reply = (502, "5.5.1", "command not offered");
pub(super) const HELLO_FIRST: Reply = (503, "5.5.1", "say EHLO first");
pub(super) const NESTED_MAIL: Reply = (503, "5.5.1", "one sender at a time, RSET first");
pub(super) const MAIL_FIRST: Reply = (503, "5.5.1", "say MAIL FROM first");
pub(super) const RCPT_FIRST: Reply = (503, "5.5.1", "say RCPT TO first");
pub(super) const NO_RECIPIENTS: Reply = (554, "5.5.1", "no valid recipients");
pub(super) const PARAMETER: Reply = (555, "5.5.4", "parameter not offered");
pub(super) const HARD: Reply = (550, "5.1.1", "no such mailbox");
pub(super) const TOO_BIG: Reply = (552, "5.3.4", "message too big");
pub(super) const LONG_DATA_LINE: Reply = (552, "5.6.0", "a line of the message is too long");
pub(super) const NOT_ASCII: Reply = (553, "5.6.7", "an address beyond ASCII needs SMTPUTF8");

/// What a fault that was asked for says.
pub(super) fn fault(code: u16) -> Reply {
    match code {
        421 => (code, "4.3.2", "refused on purpose"),
        400..500 => (code, "4.3.0", "refused on purpose"),
        _ => (code, "5.3.0", "refused on purpose"),
    }
}
