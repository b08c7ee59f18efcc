//! Delivery status notifications: fields in groups (RFC 3464 §2.1).

use super::parts::{Parts, address};
use super::{Verdict, rules};

/// The values of a field, unfolded, in their order.
pub(super) fn of(text: &str, name: &str) -> Vec<String> {
    let fields = unfold(text);
    let values = fields.into_iter().filter(|(key, _)| key == name);
    values.map(|(_, value)| value).collect()
}

fn unfold(text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

/// What the groups say, each about one recipient.
pub(super) fn verdicts(parts: &Parts) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for status in &parts.status {
        let normal = status.replace("\r\n", "\n");
        for group in normal.split("\n\n") {
            if let Some(verdict) = verdict(group, parts) {
                let known = |other: &Verdict| other.address == verdict.address;
                if !verdicts.iter().any(known) {
                    verdicts.push(verdict);
                }
            }
        }
    }
    verdicts
}

fn verdict(group: &str, parts: &Parts) -> Option<Verdict> {
    let value = |name: &str| of(group, name).into_iter().next();
    let typed = |name: &str| value(name).and_then(|text| address(typeless(&text)));
    let (last, first) = (typed("final-recipient"), typed("original-recipient"));
    let named = value("final-recipient").is_some() || value("original-recipient").is_some();
    let action = value("action").unwrap_or_default().to_lowercase();
    if !named && action.is_empty() {
        return None;
    }
    let address = match (first, last) {
        (_, Some(last)) => last,
        (Some(first), None) => first,
        (None, None) => parts
            .failed
            .first()
            .or(parts.original_to.first())
            .cloned()?,
    };
    let status = value("status").and_then(|text| rules::enhanced(&text));
    let diagnostic = value("diagnostic-code").map(|text| typeless(&text).to_owned());
    let judged = rules::judge(&rules::Said {
        action: &action,
        status: status.as_deref(),
        diagnostic: diagnostic.as_deref().unwrap_or_default(),
        prose: &parts.prose,
    });
    Some(Verdict {
        address,
        class: judged.class,
        status: judged.status.or(status),
        diagnostic,
        reason: judged.reason,
    })
}

/// `rfc822; someone@example.com` without its type.
fn typeless(text: &str) -> &str {
    match text.split_once(';') {
        Some((kind, rest)) if !kind.contains(['@', ' ']) => rest.trim(),
        _ => text.trim(),
    }
}
