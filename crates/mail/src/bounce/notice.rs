//! Notices of Amazon SES that a topic of SNS passes on by mail: JSON where others write prose.

use serde_json::{Deserializer, Value};

use super::parts::{Parts, address};
use super::rules::{self, Told};
use super::text::line;
use super::{Class, MOST, SAID, Verdict};

pub(super) fn verdicts(parts: &Parts, told: &Told) -> Vec<Verdict> {
    let Some(notice) = find(&parts.prose) else {
        return Vec::new();
    };
    let plain = |class: Class, reason| {
        move |recipient: &Value| {
            let named = recipient.as_str().or(recipient["emailAddress"].as_str());
            Some(Verdict {
                address: address(named?)?,
                class,
                status: None,
                diagnostic: None,
                reason,
            })
        }
    };
    let each = |list: &Value, verdict: &dyn Fn(&Value) -> Option<Verdict>| -> Vec<Verdict> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(verdict).take(MOST).collect()
    };
    match notice["notificationType"].as_str() {
        Some("Bounce") => {
            let bounce = &notice["bounce"];
            let lasts = bounce["bounceType"] == "Permanent";
            each(&bounce["bouncedRecipients"], &|recipient| {
                bounced(recipient, lasts, told)
            })
        }
        Some("Complaint") => each(
            &notice["complaint"]["complainedRecipients"],
            &plain(Class::Complaint, "abuse report"),
        ),
        Some("Delivery") => each(
            &notice["delivery"]["recipients"],
            &plain(Class::Delivered, "arrived"),
        ),
        _ => Vec::new(),
    }
}

fn bounced(recipient: &Value, lasts: bool, told: &Told) -> Option<Verdict> {
    let field = |name: &str| recipient[name].as_str();
    let status = field("status").and_then(rules::enhanced);
    let judged = rules::judge(&rules::Said {
        action: &field("action").unwrap_or_default().to_lowercase(),
        status: status.as_deref(),
        diagnostic: field("diagnosticCode").unwrap_or_default(),
        told,
    });
    Some(Verdict {
        address: address(field("emailAddress")?)?,
        // What SES will try again is not for good, whatever the server said.
        class: match judged.class {
            Class::Hard if !lasts => Class::Soft,
            class => class,
        },
        status: judged.status.or(status),
        diagnostic: field("diagnosticCode").map(|said| line(said, SAID)),
        reason: judged.reason,
    })
}

/// The notice, which SNS may have wrapped once more.
fn find(prose: &str) -> Option<Value> {
    let begin = prose
        .find('{')
        .filter(|_| prose.contains("notificationType"))?;
    // Lines were broken on the way, also within texts, where JSON has no line ends.
    let json: String = prose[begin..]
        .chars()
        .filter(|c| !"\r\n".contains(*c))
        .collect();
    let read = |text: &str| Deserializer::from_str(text).into_iter().next()?.ok();
    let outer: Value = read(&json)?;
    match outer["Message"].as_str() {
        Some(inner) => read(inner),
        None => Some(outer),
    }
}
