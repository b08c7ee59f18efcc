//! Delivery status notifications: fields in groups (RFC 3464 §2.1).

use std::collections::HashMap;

use super::parts::{Parts, address};
use super::prose::passages;
use super::rules::{self, Told};
use super::text::{beginning, line};
use super::{MOST, SAID, Verdict};

/// The fields that matter, where [`Group`] keeps them.
const NAMES: [&str; 5] = [
    "original-recipient",
    "final-recipient",
    "action",
    "status",
    "diagnostic-code",
];

/// What is said about one recipient: the first value of each field.
#[derive(Debug, Default)]
struct Group([Option<String>; NAMES.len()]);

impl Group {
    fn value(&self, name: usize) -> Option<&str> {
        self.0[name].as_deref()
    }

    /// The address that was written to last, else the one that was written to first.
    fn address(&self) -> Option<String> {
        let typed = |name| self.value(name).and_then(|text| address(typeless(text)));
        typed(1).or_else(|| typed(0))
    }

    fn names_somebody(&self) -> bool {
        self.0[0].is_some() || self.0[1].is_some()
    }

    fn says_something(&self) -> bool {
        self.names_somebody() || self.0[2].is_some()
    }
}

/// The groups of the recipients, at most [`MOST`], each value cut to what is judged of it. A blank
/// line ends a group, and so does a recipient after another, because some leave the line out.
fn groups(status: &[String]) -> Vec<Group> {
    let mut groups = Vec::new();
    for text in status {
        let mut group = Group::default();
        // The field that a folded line goes on with.
        let mut open = None;
        for line in text.lines() {
            if line.starts_with([' ', '\t']) && !line.trim().is_empty() {
                if let Some(value) = open.and_then(|name: usize| group.0[name].as_mut()) {
                    append(value, line.trim());
                }
                continue;
            }
            open = None;
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    groups.push(std::mem::take(&mut group));
                }
                continue;
            };
            let name = name.trim();
            let known = NAMES
                .iter()
                .position(|known| name.eq_ignore_ascii_case(known));
            let Some(name) = known else {
                continue;
            };
            if name < 2 && group.0[name].is_some() {
                groups.push(std::mem::take(&mut group));
            }
            if group.0[name].is_none() {
                group.0[name] = Some(beginning(value.trim(), SAID).to_owned());
                open = Some(name);
            }
            if groups.len() > MOST {
                break;
            }
        }
        groups.push(group);
        groups.retain(Group::says_something);
        groups.truncate(MOST);
    }
    groups
}

fn append(value: &mut String, more: &str) {
    let room = SAID.saturating_sub(value.len() + 1);
    if room > 0 {
        value.push(' ');
        value.push_str(beginning(more, room));
    }
}

/// What the groups say, each about one recipient.
pub(super) fn verdicts(parts: &Parts, told: &Told) -> Vec<Verdict> {
    let groups = groups(&parts.status);
    // Where no diagnostic is given, the words about the recipient stand in for it.
    let silent = groups.iter().filter(|group| group.value(4).is_none());
    let silent: Vec<_> = silent.filter_map(Group::address).collect();
    let words = match silent.is_empty() {
        true => HashMap::new(),
        false => passages(&parts.prose, &silent),
    };
    let mut verdicts: Vec<Verdict> = Vec::new();
    for group in groups {
        let Some(address) = group.address().or_else(|| parts.likely()) else {
            continue;
        };
        if !verdicts.iter().any(|other| other.address == address) {
            let words = words.get(&address).map(String::as_str);
            verdicts.push(verdict(&group, address, words, told));
        }
    }
    verdicts
}

fn verdict(group: &Group, address: String, words: Option<&str>, told: &Told) -> Verdict {
    let action = group.value(2).unwrap_or_default().to_lowercase();
    let status = group.value(3).and_then(rules::enhanced);
    let diagnostic = group.value(4).map(typeless).or(words);
    let judged = rules::judge(&rules::Said {
        action: &action,
        status: status.as_deref(),
        diagnostic: diagnostic.unwrap_or_default(),
        told,
    });
    Verdict {
        address,
        class: judged.class,
        status: judged.status.or(status),
        diagnostic: diagnostic.map(|said| line(said, SAID)),
        reason: judged.reason,
    }
}

/// `rfc822; someone@example.com` without its type.
fn typeless(text: &str) -> &str {
    match text.split_once(';') {
        Some((kind, rest)) if !kind.contains(['@', ' ']) => rest.trim(),
        _ => text.trim(),
    }
}

/// The values of a field, at most [`MOST`].
pub(super) fn values(text: &str, name: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = values.last_mut().filter(|_| open) {
                append(value, line.trim());
            }
            continue;
        }
        let (key, value) = line.split_once(':').unwrap_or_default();
        open = key.trim().eq_ignore_ascii_case(name);
        if open && values.len() == MOST {
            break;
        }
        if open {
            values.push(beginning(value.trim(), SAID).to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_apart_also_without_blank_lines() {
        let text = "Reporting-MTA: dns; x\nFinal-Recipient: rfc822; a@x.example\nAction: failed\n\
                    Diagnostic-Code: smtp;\n 550 no\n such user\n\
                    Final-Recipient: rfc822; b@x.example\nStatus: 4.2.2\n\nX-Other: 1\n";
        let groups = groups(&[text.to_owned()]);
        let addresses: Vec<_> = groups.iter().filter_map(Group::address).collect();
        assert_eq!(addresses, ["a@x.example", "b@x.example"]);
        assert_eq!(groups[0].value(4), Some("smtp; 550 no such user"));
        assert_eq!(groups[1].value(3), Some("4.2.2"));
    }

    #[test]
    fn no_more_is_kept_than_is_judged() {
        let group = "Final-Recipient: rfc822; a@x.example\nAction: failed\n\n".repeat(20_000);
        let long = format!(
            "Action: failed\nDiagnostic-Code: {}\n",
            "x ".repeat(1 << 19)
        );
        let folded = format!(
            "Action: failed\nDiagnostic-Code: x\n{}",
            " é\n".repeat(200_000)
        );
        for text in [group, long, folded] {
            let groups = groups(&[text.clone(), text]);
            let kept = groups.iter().flat_map(|group| group.0.iter().flatten());
            let kept: usize = kept.map(String::len).sum();
            assert!(groups.len() <= MOST, "{} groups", groups.len());
            assert!(kept <= MOST * SAID, "{kept} octets");
        }
        let recipients = "Original-Rcpt-To: a@x.example\n".repeat(20_000);
        assert_eq!(values(&recipients, "original-rcpt-to").len(), MOST);
    }
}
