//! From codes and words to a class. The words come first: servers choose their codes carelessly.

use super::Class;

/// What was said about a recipient.
pub(super) struct Said<'s> {
    /// RFC 3464 §2.3.3, in lower case; empty when there is none.
    pub(super) action: &'s str,
    pub(super) status: Option<&'s str>,
    pub(super) diagnostic: &'s str,
    /// All that was written for people.
    pub(super) prose: &'s str,
}

pub(super) struct Judged {
    pub(super) class: Class,
    pub(super) status: Option<String>,
    pub(super) reason: &'static str,
}

/// Words, and what they mean. The first that is found counts: what is about this mail, its sender
/// or the moment stands before what is about the address, because servers that refuse mail for
/// such a reason like to say that the user is unknown as well.
const WORDS: &[(&str, Class, &[&str])] = &[
    (
        "user unknown",
        Class::Hard,
        &[
            "not listed in domino",
            "not listed in public",
            "invalid final delivery userid",
        ],
    ),
    (
        "no mail there",
        Class::Hard,
        &[
            "find a mail exchanger",
            "no mx record found",
            "may not exist",
            "unknown or illegal alias",
        ],
    ),
    (
        "the receiving system",
        Class::Soft,
        &[
            "procmail",
            "couldn't create",
            "can't create",
            "service unavailable",
            "service currently unavailable",
            "malformed or unexpected",
            "find a gateway",
        ],
    ),
    (
        "full",
        Class::Soft,
        &[
            "mailbox full",
            "mailbox is full",
            "mailbox size limit",
            "over quota",
            "overquota",
            "quota exceeded",
            "exceeded storage",
            "exceeds allowed",
            "exceeded the quota",
            "out of storage",
            "storage limit",
            "disk quota",
            "quota exceed",
            "mail quota",
            "mailfolder is full",
            "inbox is full",
            "user is over",
            "account is over quota",
            "not enough storage",
            "not enough disk space",
            "insufficient system storage",
            "insufficient disk",
            "storage space",
            "exceeded email quota",
            "exceed mailbox quota",
            "over the allowed quota",
            "too full",
            "over the maximum allowed",
            "mailbox has exceeded",
            "recipient's mailbox is full",
            "no space left",
            "mailbox exceeds",
            "would exceed",
            "maximum mailbox size",
            "storage quota",
            "out of disk space",
            "mailbox_full",
        ],
    ),
    (
        "sender not authenticated",
        Class::Soft,
        &[
            "dmarc",
            "spf check",
            "spf fail",
            "spf validation",
            "dkim",
            "sender policy framework",
            "unauthenticated",
            "not authenticated",
            "authentication required",
            "spf record",
            "authentication failed",
            "authentication-results",
            "relay access denied",
            "relaying denied",
            "relay not permitted",
            "not permitted to relay",
            "unable to relay",
            "relaying prohibited",
            "not allowed to relay",
            "relay denied",
            "sender id",
            "no relaying",
            "cannot relay",
            "we do not relay",
            "relaying not allowed",
            "spf:",
        ],
    ),
    (
        "reputation",
        Class::Soft,
        &[
            "spamhaus",
            "spamcop",
            "blacklist",
            "black list",
            "blocklist",
            "block list",
            "blocked",
            "rbl",
            "dnsbl",
            "reputation",
            "listed in",
            "listed at",
            "listed by",
            "ptr",
            "reverse dns",
            "rdns",
            "reverse lookup",
            "helo",
            "greylist",
            "graylist",
            "banned",
            "bad reputation",
            "your ip",
            "client host rejected",
            "connection refused by",
            "access denied, banned",
            "poor reputation",
            "client address",
            "ip address",
            "denylist",
            "your host",
            "fix reverse",
            "resolve your",
            "no ptr",
            "cannot find your hostname",
            "access not allowed from",
        ],
    ),
    (
        "content",
        Class::Soft,
        &[
            "spam",
            "virus",
            "junk",
            "unsolicited",
            "malware",
            "infected",
            "content reject",
            "message content",
            "message rejected",
            "prohibited attachment",
            "attachment",
            "rejected by policy",
            "policy violation",
            "policy reason",
            "administrative prohibition",
            "administratively prohibited",
            "not accepted for policy",
            "local policy",
            "security polic",
            "phish",
            "suspicious",
            "bulk mail",
            "not compliant",
            "rfc 5322",
            "rfc5322",
            "rfc 2822",
            "message refused",
            "message filtered",
            "refused by filter",
            "prohibited by",
            "violates",
            "violation",
            "due to policy",
            "message too large",
            "too big",
            "size exceeds",
            "exceeds the maximum",
            "exceeds size",
            "message size",
            "maximum message size",
            "larger than",
            "exceeds a fixed",
            "size limit",
            "header",
            "multiple from",
            "bare lf",
            "loop",
            "too many hops",
            "hop count",
        ],
    ),
    (
        "slow down",
        Class::Soft,
        &[
            "too many",
            "rate limit",
            "ratelimit",
            "throttl",
            "try again later",
            "too fast",
            "too much mail",
            "too often",
            "frequency",
            "temporarily deferred",
            "exceeded the rate",
            "concurren",
            "receiving mail at a rate",
            "receiving mail too",
        ],
    ),
    (
        "sender refused",
        Class::Soft,
        &[
            "sender address rejected",
            "sender rejected",
            "sender verify",
            "sender denied",
            "invalid sender",
            "bad sender",
            "sender domain",
            "domain of sender",
            "return path",
            "from address",
            "mail from",
            "sender was rejected",
            "access denied by sender",
            "envelope sender",
            "backscatter",
            "not authorized to send",
            "sender is not",
            "must have a valid",
            "sender address",
            "you are not allowed",
            "permission to",
            "not permitted",
            "sender's domain",
        ],
    ),
    (
        "account suspended",
        Class::Soft,
        &[
            "suspend",
            "account is disabled",
            "account disabled",
            "mailbox disabled",
            "mailbox is disabled",
            "account has been disabled",
            "inactive",
            "account is locked",
            "temporarily disabled",
            "mailbox unavailable or access denied",
            "account deactivated",
            "currently disabled",
            "has been disabled",
            "not active",
            "mailbox currently suspended",
            "mailbox temporarily",
            "blocked due to inactivity",
            "deactivated",
            "is disabled",
        ],
    ),
    (
        "moved",
        Class::Hard,
        &[
            "has moved",
            "has changed",
            "no longer on server",
            "recipient has moved",
            "user has moved",
            "new address",
            "moved to",
        ],
    ),
    (
        "no mail there",
        Class::Hard,
        &[
            "null mx",
            "nullmx",
            "does not accept mail",
            "does not accept email",
            "doesn't accept mail",
            "name server: .:",
            "smtp protocol returned a permanent error",
            "mx record is null",
            "host does not accept",
            "accepts no mail",
        ],
    ),
    (
        "host unknown",
        Class::Hard,
        &[
            "host unknown",
            "unknown host",
            "host not found",
            "domain not found",
            "no such domain",
            "unrouteable address",
            "unrouteable mail domain",
            "unknown domain",
            "domain does not exist",
            "domain name not found",
            "name or service not known",
            "illegal host/domain",
            "nxdomain",
            "unable to find any mail",
            "no mail exchanger",
            "bad destination host",
            "host or domain name not found",
            "recipient domain",
            "domain must",
            "domain must resolve",
            "all relevant mx records point",
            "couldn't find any host named",
            "no route to host found",
            "domain doesn't exist",
            "host does not exist",
            "dns domain",
            "couldn't find any host",
            "invalid domain",
            "unroutable",
            "domain is not",
            "no a record",
            "unable to route",
            "not a valid domain",
            "name service error for",
            "server does not exist",
            "no valid hosts",
            "dns error",
        ],
    ),
    (
        "user unknown",
        Class::Hard,
        &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such mailbox",
            "no such recipient",
            "no such address",
            "no such person",
            "no such account",
            "does not exist",
            "doesn't exist",
            "not exist",
            "unknown recipient",
            "recipient unknown",
            "invalid recipient",
            "invalid mailbox",
            "invalid address",
            "invalid user",
            "user not found",
            "not found",
            "mailbox not found",
            "recipient not found",
            "address not found",
            "unknown address",
            "address unknown",
            "unknown or illegal",
            "no mailbox here",
            "no mailbox",
            "mailbox unavailable",
            "mailbox unknown",
            "unknown mailbox",
            "not a valid",
            "no longer available",
            "no longer valid",
            "no longer in use",
            "no longer exists",
            "user doesn",
            "doesn't have a",
            "not have a",
            "isn't a known",
            "not known",
            "not our customer",
            "unknown local",
            "unknown account",
            "unknown email",
            "no account",
            "there is no user",
            "there is no one",
            "undeliverable address",
            "address error",
            "bad address",
            "bad destination",
            "bad mailbox",
            "not listed in",
            "this user doesn",
            "no recipients",
            "no valid recipient",
            "has no mailbox",
            "unavailable",
            "recipient rejected",
            "user is unknown",
            "address does not",
            "delivery to the following recipient failed permanently",
            "recipnotfound",
            "nosuchuser",
            "mailbox does",
            "not a known user",
            "is not a user",
            "account closed",
            "closed account",
            "user not known",
            "can't find",
            "cannot find",
            "could not find",
            "unable to find",
            "user name is unknown",
            "no local mailbox",
            "sorry, no",
            "recipient no longer",
            "no user",
            "is unknown",
            "i couldn't find",
            "not in route list",
            "invalid e-mail",
            "address invalid",
            "not recognized",
            "unrecognized",
            "not a registered",
            "non-existent",
            "nonexistent",
            "not local",
            "user undefined",
            "recipient verification",
            "badrecipient",
            "bad recipient",
            "not listed",
            "unknown-user",
            "失敗",
            "見つかりません",
        ],
    ),
    (
        "expired",
        Class::Soft,
        &[
            "timed out",
            "timeout",
            "time out",
            "expired",
            "delivery time",
            "too long",
            "in queue",
            "could not connect",
            "connection refused",
            "connection reset",
            "lost connection",
            "temporar",
            "retry time",
            "not be reached",
            "unreachable",
            "network",
            "connection",
            "no response",
            "try again",
            "deferred",
            "delayed",
        ],
    ),
];

/// Judges what was said: the diagnostic by its words, then by its codes, then the prose.
pub(super) fn judge(said: &Said<'_>) -> Judged {
    let status = spoken(said);
    let judged = |class, reason| Judged {
        class,
        status: status.clone(),
        reason,
    };
    match said.action {
        "delivered" | "relayed" | "expanded" => return judged(Class::Delivered, "arrived"),
        "delayed" => return judged(Class::Soft, "delayed"),
        _ => {}
    }
    let words = by_words(said.diagnostic);
    // Codes that name the address are believed, unless the words name a state that passes.
    if let Some(reason) = status.as_deref().and_then(names_the_address) {
        return match words {
            Some((
                Class::Soft,
                passing @ ("full" | "slow down" | "account suspended" | "the receiving system"),
            )) => judged(Class::Soft, passing),
            _ => judged(Class::Hard, reason),
        };
    }
    // What is refused at MAIL, or by a code for senders, is about whom it is from.
    let of_sender = status
        .as_deref()
        .is_some_and(|code| matches!(code, "5.1.0" | "5.1.7" | "5.1.8" | "5.1.9"));
    if of_sender || said.diagnostic.to_lowercase().contains("after mail from") {
        return judged(Class::Soft, "sender refused");
    }
    if let Some((class, reason)) = words {
        // Who was taken at RCPT exists; what is refused after DATA is the mail.
        return match class == Class::Hard && after_data(said) {
            true => judged(Class::Soft, "refused after DATA"),
            false => judged(temper(class, status.as_deref()), reason),
        };
    }
    if let Some((class, reason)) = status.as_deref().and_then(by_status) {
        return judged(class, reason);
    }
    match by_words(said.prose) {
        Some((class, reason)) => judged(temper(class, status.as_deref()), reason),
        None => judged(Class::Soft, "no rule"),
    }
}

/// Whether the refusal answered the content (RFC 5321 §3.3).
fn after_data(said: &Said<'_>) -> bool {
    const SIGNS: [&str; 5] = [
        "in reply to end of data",
        "in reply to data command",
        "after end of data",
        "smtp command data",
        "after data",
    ];
    let told = said.prose.to_lowercase();
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (prose, diagnostic) = (flat(&told), flat(&said.diagnostic.to_lowercase()));
    let signed = |sign: &&str| prose.contains(*sign) || diagnostic.contains(*sign);
    SIGNS.iter().any(signed) || transcript_ends_in_data(&told)
}

/// In the transcript of a conversation (`>>>` what was said, `<<<` what was answered), whether the
/// first refusal answers DATA. One that pipelines says DATA before it hears of the recipient.
fn transcript_ends_in_data(told: &str) -> bool {
    let mut last = "";
    for line in told.lines() {
        if let Some((_, said)) = line.split_once(">>> ") {
            last = said.trim();
        } else if let Some((_, answer)) = line.split_once("<<< ")
            && answer.starts_with('5')
        {
            return last.starts_with("data") || last.starts_with('.');
        }
    }
    false
}

/// What a server calls temporary is not for good.
fn temper(class: Class, status: Option<&str>) -> Class {
    match (class, status) {
        (Class::Hard, Some(status)) if status.starts_with("4.") => Class::Soft,
        (class, _) => class,
    }
}

/// Codes for addresses that there are not (RFC 3463 §3.2).
fn names_the_address(status: &str) -> Option<&'static str> {
    match status {
        "5.1.1" | "5.1.3" | "5.1.10" | "5.1.351" => Some("user unknown"),
        "5.1.2" => Some("host unknown"),
        "5.1.6" => Some("moved"),
        _ => None,
    }
}

/// Addresses are no words: people call theirs `mailbox-full@`.
fn by_words(text: &str) -> Option<(Class, &'static str)> {
    let text = text.to_lowercase();
    let words = text.split_whitespace().filter(|word| !word.contains('@'));
    let text = words.collect::<Vec<_>>().join(" ");
    let found = WORDS
        .iter()
        .find(|(_, _, words)| words.iter().any(|word| text.contains(word)))?;
    Some((found.1, found.0))
}

/// RFC 3463 §3, as far as a code is about the address for good.
fn by_status(status: &str) -> Option<(Class, &'static str)> {
    let mut numbers = status
        .split('.')
        .filter_map(|number| number.parse::<u16>().ok());
    let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(match (class, subject, detail) {
        (2, _, _) => (Class::Delivered, "arrived"),
        (4, _, _) => (Class::Soft, "temporary"),
        (5, 1, 0 | 7 | 8 | 9) => (Class::Soft, "sender refused"),
        (5, 1, _) => (Class::Hard, "address"),
        (5, 4, 4) => (Class::Hard, "host unknown"),
        (5, 4, 1 | 310) => (Class::Hard, "user unknown"),
        (5, 0, 0) => return None,
        (5, _, _) => (Class::Soft, "refused"),
        _ => return None,
    })
}

/// The most telling enhanced code: what the refusing server itself said, before what the one that
/// tells made of it.
fn spoken(said: &Said<'_>) -> Option<String> {
    let vague = |status: &str| status.ends_with(".0.0") || status == "5.5.0";
    let told = enhanced(said.diagnostic).filter(|status| !vague(status));
    told.or_else(|| said.status.map(str::to_owned))
}

/// The first enhanced status code (RFC 3463 §2) in a text.
pub(super) fn enhanced(text: &str) -> Option<String> {
    let outside = |letter: char| !(letter.is_ascii_digit() || letter == '.');
    text.split(outside).find_map(|word| {
        let word = word.trim_matches('.');
        let numbers: Vec<_> = word.split('.').collect();
        let sound = numbers.len() == 3
            && matches!(numbers[0], "2" | "4" | "5")
            && numbers[1..]
                .iter()
                .all(|number| (1..=3).contains(&number.len()));
        sound.then(|| word.to_owned())
    })
}
