//! From codes and words to a class. The words come first: servers choose their codes carelessly.

use super::Class;
use super::text::{beginning, plain, reason};

/// What is written for people, judged once for all recipients.
#[derive(Debug)]
pub(super) struct Told {
    reason: Option<(Class, &'static str)>,
    after_data: bool,
}

impl Told {
    pub(super) fn of(prose: &str) -> Self {
        let plain = plain(prose);
        Self {
            reason: reason(&plain),
            after_data: tells_of_data(&plain) || transcript_ends_in_data(prose),
        }
    }
}

/// What was said about a recipient.
#[derive(Debug)]
pub(super) struct Said<'s> {
    /// RFC 3464 §2.3.3, in lower case; empty when there is none.
    pub(super) action: &'s str,
    pub(super) status: Option<&'s str>,
    pub(super) diagnostic: &'s str,
    pub(super) told: &'s Told,
}

#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) class: Class,
    pub(super) status: Option<String>,
    pub(super) reason: &'static str,
}

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
    let diagnostic = plain(said.diagnostic);
    let words = reason(&diagnostic);
    // Codes that name the address are believed, unless the words name a state that passes.
    if let Some(address) = status.as_deref().and_then(names_the_address) {
        return match words {
            Some((
                Class::Soft,
                passing @ ("full" | "slow down" | "account suspended" | "the receiving system"),
            )) => judged(Class::Soft, passing),
            _ => judged(Class::Hard, address),
        };
    }
    // What is refused at MAIL, or by a code for senders, is about whom it is from.
    let of_sender = status
        .as_deref()
        .is_some_and(|code| matches!(code, "5.1.0" | "5.1.7" | "5.1.8" | "5.1.9"));
    if of_sender || diagnostic.contains("after mail from") {
        return judged(Class::Soft, "sender refused");
    }
    let by_reply = || reply(said.diagnostic).or_else(|| status.as_deref().and_then(by_status));
    if let Some((class, reason)) = words.or_else(by_reply) {
        // Who was taken at RCPT exists; what is refused after DATA is the mail.
        let after_data = said.told.after_data || tells_of_data(&diagnostic);
        return match class == Class::Hard && after_data && !names_the_account(&diagnostic) {
            true => judged(Class::Soft, "refused after DATA"),
            false => judged(temper(class, status.as_deref()), reason),
        };
    }
    match said.told.reason {
        Some((class, reason)) => judged(temper(class, status.as_deref()), reason),
        None => judged(Class::Soft, "no rule"),
    }
}

/// Whether a plain text tells that the refusal answered the content (RFC 5321 §3.3).
fn tells_of_data(plain: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "in reply to end of data",
        "in reply to data command",
        "after end of data",
        "smtp command data",
        "after data",
        // Oracle Messaging Server, whose words for RCPT are others.
        "smtp transmission failure",
        // Cisco ESA and Amazon SES, who say "unknown address error" at RCPT.
        "other mail system problem",
    ];
    SIGNS.iter().any(|sign| plain.contains(sign))
}

/// Whether a refusal says so plainly that there is no such account that it is believed after DATA
/// too: large providers look accounts up when they have the mail.
fn names_the_account(plain: &str) -> bool {
    [
        "doesn't have a",
        "does not have a",
        "account does not exist",
    ]
    .iter()
    .any(|words| plain.contains(words))
}

/// Replies that mean one thing only: the host, or the domain, takes no mail at all (RFC 7504), or
/// the recipient is refused and nothing else is said.
fn reply(diagnostic: &str) -> Option<(Class, &'static str)> {
    let mut words = diagnostic.split_whitespace();
    match [
        words.next()?,
        words.next()?,
        words.next().unwrap_or_default(),
    ] {
        ["521" | "556", ..] => Some((Class::Hard, "no mail there")),
        [code, recipient, word]
            if code.starts_with('5')
                && recipient.contains('@')
                && word.eq_ignore_ascii_case("rejected")
                && words.next().is_none() =>
        {
            Some((Class::Hard, "recipient refused"))
        }
        _ => None,
    }
}

/// In the transcript of a conversation (`>>>` what was said, `<<<` what was answered), whether the
/// first refusal answers DATA. One that pipelines says DATA before it hears of the recipient: then
/// there is nobody left to send the mail to.
fn transcript_ends_in_data(prose: &str) -> bool {
    let mut last = "";
    for line in prose.lines() {
        if let Some((_, said)) = line.split_once(">>> ") {
            last = said.trim();
        } else if let Some((_, answer)) = line.split_once("<<< ")
            && answer.starts_with('5')
        {
            let data = beginning(last, 4).eq_ignore_ascii_case("data") || last.starts_with('.');
            return data && !prose.contains("no valid recipients");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: Option<&str>, diagnostic: &str, prose: &str) -> (Class, &'static str) {
        let told = Told::of(prose);
        let judged = judge(&Said {
            action: "failed",
            status,
            diagnostic,
            told: &told,
        });
        (judged.class, judged.reason)
    }

    #[test]
    fn words_come_before_codes_but_a_code_for_an_address_is_believed() {
        let full = judged(Some("5.1.1"), "550 5.1.1 mailbox is full", "");
        assert_eq!(full, (Class::Soft, "full"));
        let blocked = judged(Some("5.1.1"), "550 5.1.1 your IP is not welcome", "");
        assert_eq!(blocked, (Class::Hard, "user unknown"));
        let vague = judged(Some("5.0.0"), "550 no such user", "");
        assert_eq!(vague, (Class::Hard, "user unknown"));
        assert_eq!(judged(None, "550 no", "").0, Class::Soft, "without a rule");
    }

    #[test]
    fn who_was_taken_at_rcpt_exists_unless_an_account_is_spoken_of() {
        let after = "host x said: 550 unknown user (in reply to end of DATA command)";
        assert_eq!(judged(None, after, ""), (Class::Soft, "refused after DATA"));
        let coded = judged(
            Some("5.4.1"),
            "550 5.4.1 all refused",
            ">>> DATA\n<<< 550 no",
        );
        assert_eq!(coded, (Class::Soft, "refused after DATA"));
        let account = "554 this user doesn't have an account (in reply to end of DATA command)";
        assert_eq!(judged(None, account, "").0, Class::Hard);
    }

    #[test]
    fn data_that_was_said_early_is_not_what_was_refused() {
        let transcript = ">>> RCPT TO:<a@x.example>\n>>> DATA\n<<< 550 invalid recipient\n\
                          <<< 554 5.5.1 no valid recipients";
        assert_eq!(
            judged(None, "550 invalid recipient", transcript).0,
            Class::Hard
        );
    }

    #[test]
    fn a_host_or_domain_without_mail_says_so_by_its_reply() {
        for reply in ["521 go away", "556 go away"] {
            assert_eq!(judged(None, reply, ""), (Class::Hard, "no mail there"));
        }
        assert_eq!(judged(None, "550 go away", "").0, Class::Soft);
        assert_eq!(judged(Some("4.1.1"), "450 no such user", "").0, Class::Soft);
    }
}
