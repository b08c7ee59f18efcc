//! Bounces that keep to no standard: addresses among words.

use std::collections::{HashMap, HashSet};

use super::parts::{Parts, addresses, is_daemon};
use super::rules::{self, Told};
use super::text::line;
use super::{Class, MOST, SAID, Verdict};

/// Words that servers use when they tell that a mail did not arrive; without one of them prose is
/// somebody's letter.
const SIGNS: [&str; 36] = [
    "deliver",
    "undeliverable",
    "returned mail",
    "failure notice",
    "failed",
    "failure",
    "bounce",
    "could not be",
    "couldn't be",
    "unable to",
    "not be delivered",
    "unknown user",
    "user unknown",
    "no such",
    "does not exist",
    "doesn't exist",
    "rejected",
    "refused",
    "mailbox",
    "quota",
    "550 ",
    "554 ",
    "error",
    "permanent",
    "host unknown",
    "did not reach",
    "not recognized",
    "unzustellbar",
    "nicht zugestellt",
    "pas pu être",
    "no se pudo",
    "не может быть",
    "あて先",
    "宛先",
    "送信できません",
    "退信",
];

pub(super) fn verdicts(parts: &Parts, told: &Told) -> Vec<Verdict> {
    let subject = parts.subject.as_deref().unwrap_or_default();
    let sign = |text: &str| {
        let text = text.to_lowercase();
        SIGNS.iter().any(|sign| text.contains(sign))
    };
    if !sign(subject) && !sign(&parts.prose) {
        return Vec::new();
    }
    let wanted = candidates(parts);
    let mut passages = passages(&parts.prose, &wanted);
    // Those whom no line names share all that is said.
    let mut shared = None;
    let verdict = |address: String| {
        let mut verdict = match passages.remove(&address) {
            Some(said) => judge(&said, told),
            None => shared
                .get_or_insert_with(|| judge(&parts.prose, told))
                .clone(),
        };
        verdict.address = address;
        verdict
    };
    wanted.into_iter().map(verdict).collect()
}

/// A verdict without its address.
fn judge(said: &str, told: &Told) -> Verdict {
    let status = rules::enhanced(said);
    let judged = rules::judge(&rules::Said {
        action: "",
        status: status.as_deref(),
        diagnostic: said,
        told,
    });
    // A server that tells of a mail that came back does not tell of one that arrived.
    let class = match judged.class {
        Class::Delivered => Class::Soft,
        class => class,
    };
    Verdict {
        address: String::new(),
        class,
        status: judged.status.or(status),
        diagnostic: Some(line(said, SAID)),
        reason: judged.reason,
    }
}

/// The words about each recipient whom a line names: from there to the next one's. Every line
/// belongs to one of them.
pub(super) fn passages(prose: &str, wanted: &[String]) -> HashMap<String, String> {
    let wanted: HashSet<_> = wanted.iter().collect();
    let mut passages = HashMap::<String, String>::new();
    let mut current = None;
    for line in prose.lines() {
        if let Some(address) = addresses(line).find(|address| wanted.contains(address)) {
            passages.entry(address.clone()).or_default();
            current = Some(address);
        }
        if let Some(said) = current.as_ref().and_then(|known| passages.get_mut(known)) {
            said.push_str(line);
            said.push('\n');
        }
    }
    passages
}

/// An address that the prose names.
struct Named {
    address: String,
    /// A line begins with it, or is a command to it.
    leads: bool,
    /// A reply stands before it, as in `550 <someone@example.com>... User unknown`.
    answered: bool,
    /// Only lines that quote the original's `To:` name it.
    quoted: bool,
}

/// Who may be meant, the surest source first.
fn candidates(parts: &Parts) -> Vec<String> {
    if !parts.failed.is_empty() {
        return parts.failed.clone();
    }
    let mut named = named(parts);
    if named.iter().any(|one| !one.quoted) {
        named.retain(|one| !one.quoted);
    }
    let original: HashSet<_> = parts.original_to.iter().collect();
    let addresses = |wanted: &dyn Fn(&Named) -> bool| -> Vec<String> {
        let wanted = named.iter().filter(|one| wanted(one));
        wanted.map(|one| one.address.clone()).collect()
    };
    let mut meant = addresses(&|one| original.contains(&one.address));
    if !meant.is_empty() {
        meant.extend(addresses(&|one| {
            one.answered && !original.contains(&one.address)
        }));
    }
    if !meant.is_empty() || named.is_empty() {
        return match meant.is_empty() {
            true => parts.original_to.clone(),
            false => meant,
        };
    }
    // Those that stand first in their line are recipients; others are to be written to for help.
    let leading = addresses(&|one| one.leads);
    match (leading.is_empty(), parts.original_to.is_empty()) {
        (false, _) => leading,
        (true, false) => parts.original_to.clone(),
        (true, true) => named.into_iter().take(1).map(|one| one.address).collect(),
    }
}

/// The addresses in the prose, each once, at most [`MOST`], without our own and the servers'.
fn named(parts: &Parts) -> Vec<Named> {
    let own: HashSet<_> = [&parts.from, &parts.original_from]
        .into_iter()
        .flatten()
        .chain(&parts.to)
        .collect();
    let mut named: Vec<Named> = Vec::new();
    let mut known = HashMap::<String, usize>::new();
    for line in parts.prose.lines() {
        let line = line.to_lowercase();
        if offers_help(&line) {
            continue;
        }
        for address in addresses(&line) {
            if own.contains(&address) || is_daemon(&address) {
                continue;
            }
            let index = match known.get(&address) {
                Some(index) => *index,
                None if named.len() < MOST => {
                    let new = Named {
                        address: address.clone(),
                        leads: false,
                        answered: false,
                        quoted: true,
                    };
                    named.push(new);
                    known.insert(address.clone(), named.len() - 1);
                    named.len() - 1
                }
                None => continue,
            };
            named[index].quoted &= line.trim_start().starts_with("to:");
            named[index].leads |= leads(&line, &address) || is_told(&line, &address);
            named[index].answered |= is_answered(&line, &address);
        }
    }
    named
}

/// Whether a line, in lower case, names somebody to write to, or whom a mail is from.
fn offers_help(line: &str) -> bool {
    const BEGINNINGS: [&str; 6] = ["from:", "sender:", "reply-to:", "return-path:", "cc:", "x-"];
    let line = line.trim_start();
    ["contact", "assistance", "mail from:"]
        .iter()
        .any(|word| line.contains(word))
        || BEGINNINGS.iter().any(|start| line.starts_with(start))
}

/// Whether a line, in lower case, ends with an address after a colon: `not delivered to: <…>`.
fn is_told(line: &str, address: &str) -> bool {
    let edge = |letter: char| letter.is_whitespace() || "<>()[].,;'\"".contains(letter);
    let before = line.trim_end_matches(edge).strip_suffix(address);
    before.is_some_and(|before| before.trim_end_matches(edge).ends_with(':'))
}

/// Whether a line, in lower case, is a reply that begins with an address.
fn is_answered(line: &str, address: &str) -> bool {
    let line = line.trim_start();
    let (code, said) = line.split_at(line.floor_char_boundary(3));
    let refused = code.starts_with(['4', '5']) && code.chars().all(|c| c.is_ascii_digit());
    refused && leads(said, address)
}

/// Whether a line, in lower case, is about an address: it begins with it, or is a command that
/// names it.
fn leads(line: &str, address: &str) -> bool {
    let line = line.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    let line = line.strip_prefix("rcpt to:<").unwrap_or(line);
    line.starts_with(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prose: String) -> Parts {
        Parts {
            prose,
            ..Parts::default()
        }
    }

    #[test]
    fn each_line_is_judged_for_one_recipient_only() {
        let parts = of((0..5_000)
            .map(|n| format!("u{n}@x.example failed\nno such user\n"))
            .collect());
        let wanted = candidates(&parts);
        assert_eq!(wanted.len(), MOST);
        let passages = passages(&parts.prose, &wanted);
        let judged: usize = passages.values().map(String::len).sum();
        assert_eq!((passages.len(), judged), (MOST, parts.prose.len()));
    }

    #[test]
    fn what_all_share_is_judged_once_and_told_of_each() {
        let mut parts = of("They are all unknown users, said the unknown user.\n".repeat(99));
        parts.failed = (0..MOST).map(|n| format!("u{n}@x.example")).collect();
        let verdicts = verdicts(&parts, &Told::of(&parts.prose));
        assert_eq!(verdicts.len(), MOST);
        for verdict in verdicts {
            assert_eq!(verdict.class, Class::Hard);
            assert!(verdict.diagnostic.is_some_and(|said| said.len() <= SAID));
        }
    }
}
