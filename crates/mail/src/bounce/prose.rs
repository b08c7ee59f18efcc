//! Bounces that keep to no standard: addresses among words.

use super::parts::{Parts, addresses, is_daemon};
use super::{Class, Verdict, rules};

/// Words that servers use when they tell that a mail did not arrive; without one of them prose is
/// somebody's letter.
const SIGNS: [&str; 26] = [
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
    "あて先",
];

pub(super) fn verdicts(parts: &Parts) -> Vec<Verdict> {
    let lower = parts.prose.to_lowercase();
    let subject = parts.subject.as_deref().unwrap_or_default().to_lowercase();
    let sign = |text: &str| SIGNS.iter().any(|sign| text.contains(sign));
    if !sign(&lower) && !sign(&subject) {
        return Vec::new();
    }
    let mut verdicts = Vec::new();
    for (address, said) in passages(parts) {
        let judged = rules::judge(&rules::Said {
            action: "",
            status: rules::enhanced(&said).as_deref(),
            diagnostic: &said,
            prose: &parts.prose,
        });
        // A server that tells of a mail that came back does not tell of one that arrived.
        let class = match judged.class {
            Class::Delivered => Class::Soft,
            class => class,
        };
        verdicts.push(Verdict {
            address,
            class,
            status: judged.status.or_else(|| rules::enhanced(&said)),
            diagnostic: Some(said.split_whitespace().collect::<Vec<_>>().join(" ")),
            reason: judged.reason,
        });
    }
    verdicts
}

/// Each recipient with the words about them: from their address to the next one's.
fn passages(parts: &Parts) -> Vec<(String, String)> {
    let wanted = candidates(parts);
    let mut passages: Vec<(String, String)> = Vec::new();
    for line in parts.prose.lines() {
        let named = addresses(line).find(|address| wanted.contains(address));
        if let Some(address) = named
            && !passages.iter().any(|(known, _)| *known == address)
        {
            passages.push((address, String::new()));
        }
        if let Some((_, said)) = passages.last_mut() {
            said.push_str(line);
            said.push('\n');
        }
    }
    // Those whom no line names share all that is said.
    for address in wanted {
        if !passages.iter().any(|(known, _)| *known == address) {
            passages.push((address, parts.prose.clone()));
        }
    }
    passages
}

/// Who may be meant, the surest source first.
fn candidates(parts: &Parts) -> Vec<String> {
    if !parts.failed.is_empty() {
        return parts.failed.clone();
    }
    let own = |address: &String| {
        Some(address) == parts.from.as_ref()
            || Some(address) == parts.original_from.as_ref()
            || parts.to.contains(address)
            || is_daemon(address)
    };
    let mut named: Vec<String> = Vec::new();
    let told = parts.prose.lines().filter(|line| !offers_help(line));
    for address in told.flat_map(addresses) {
        if !own(&address) && !named.contains(&address) {
            named.push(address);
        }
    }
    let meant: Vec<_> = named
        .iter()
        .filter(|address| parts.original_to.contains(address))
        .cloned()
        .collect();
    match (meant.is_empty(), named.is_empty()) {
        (false, _) => meant,
        // Those that stand first in their line are recipients; others are to be written to for help.
        (true, false) => {
            let leads = |address: &String| parts.prose.lines().any(|line| begins(line, address));
            match named.iter().any(leads) {
                true => named.into_iter().filter(leads).collect(),
                false if parts.original_to.is_empty() => named.into_iter().take(1).collect(),
                false => parts.original_to.clone(),
            }
        }
        (true, true) => parts.original_to.clone(),
    }
}

/// Whether a line names somebody to write to.
fn offers_help(line: &str) -> bool {
    let line = line.to_lowercase();
    ["contact", "assistance", "mail from:"]
        .iter()
        .any(|word| line.contains(word))
}

/// Whether a line is about an address: it begins with it, or is a command that names it.
fn begins(line: &str, address: &str) -> bool {
    if line
        .to_lowercase()
        .contains(&format!("rcpt to:<{address}>"))
    {
        return true;
    }
    let line = line.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    line.to_lowercase().starts_with(address)
}
