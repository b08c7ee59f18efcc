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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(prose: String) -> Vec<(String, Class)> {
        let parts = Parts {
            prose,
            ..Parts::default()
        };
        let verdicts = verdicts(&parts, &Told::of(""));
        let plain = |verdict: Verdict| (verdict.address, verdict.class);
        verdicts.into_iter().map(plain).collect()
    }

    fn bounce(kind: &str) -> Value {
        json!({ "notificationType": "Bounce", "bounce": { "bounceType": kind, "bouncedRecipients": [
            { "emailAddress": "A@x.example", "status": "5.1.1", "diagnosticCode": "550 no user" },
        ] } })
    }

    #[test]
    fn a_notice_is_read_as_it_is_and_wrapped_by_sns() {
        let notice = bounce("Permanent").to_string();
        let wrapped = json!({ "Type": "Notification", "Message": notice }).to_string();
        let broken = wrapped.replace("bouncedRecipients", "bounced\r\nRecipients");
        for text in [notice, wrapped, broken] {
            let text = format!("AWS says:\n{text}\n--\nGoodbye");
            assert_eq!(read(text), [("a@x.example".to_owned(), Class::Hard)]);
        }
    }

    #[test]
    fn what_ses_tries_again_is_soft_and_the_rest_is_what_it_is_called() {
        let soft = read(bounce("Transient").to_string());
        assert_eq!(soft[0].1, Class::Soft);
        let complaint = json!({ "notificationType": "Complaint", "complaint": {
            "complainedRecipients": [{ "emailAddress": "a@x.example" }] } });
        assert_eq!(read(complaint.to_string())[0].1, Class::Complaint);
        let delivery = json!({ "notificationType": "Delivery", "delivery": {
            "recipients": ["a@x.example"] } });
        assert_eq!(read(delivery.to_string())[0].1, Class::Delivered);
        for nothing in [
            "{\"notificationType\"",
            "{\"notificationType\": 7}",
            "notificationType",
        ] {
            assert_eq!(read(nothing.to_owned()), []);
        }
    }
}
