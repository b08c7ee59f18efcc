//! Amazon SES, by topics of SNS: as notifications, and as published events, which name their kind
//! otherwise.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Event, of_refusal, text};
use crate::domain::feedback::Class;
use crate::inbound::message_id;

/// Whether this is the name of a topic: `arn:aws:sns:<region>:<account>:<name>`.
pub(super) fn is_topic(arn: &str) -> bool {
    let parts: Vec<_> = arn.split(':').collect();
    matches!(parts[..], ["arn", partition, "sns", region, account, name]
        if partition.starts_with("aws") && !region.is_empty() && !account.is_empty() && !name.is_empty())
}

/// What is told of each recipient; one none when it says nothing about arrival.
pub(super) fn read(told: &Value) -> Vec<Option<Event>> {
    let kind = told["notificationType"].as_str();
    let kind = kind.or(told["eventType"].as_str()).unwrap_or_default();
    let events: Vec<_> = match kind {
        "Bounce" => each(&told["bounce"]["bouncedRecipients"], |recipient| {
            bounced(told, recipient)
        }),
        "Complaint" => each(&told["complaint"]["complainedRecipients"], |recipient| {
            complained(told, recipient)
        }),
        "Delivery" => each(&told["delivery"]["recipients"], |recipient| {
            delivered(told, recipient)
        }),
        _ => Vec::new(),
    };
    match events.is_empty() {
        true => vec![None],
        false => events,
    }
}

fn each(list: &Value, event: impl Fn(&Value) -> Option<Event>) -> Vec<Option<Event>> {
    list.as_array().into_iter().flatten().map(event).collect()
}

fn bounced(told: &Value, recipient: &Value) -> Option<Event> {
    let bounce = &told["bounce"];
    let status = text(&recipient["status"]);
    let (kind, part) = (&bounce["bounceType"], &bounce["bounceSubType"]);
    let class = match (kind.as_str()?, part.as_str()) {
        // Addresses that SES knows to be none, and sends nothing to.
        ("Permanent", Some("NoEmail" | "Suppressed" | "OnAccountSuppressionList")) => Class::Hard,
        ("Permanent", _) => of_refusal(status.as_deref()),
        _ => Class::Soft,
    };
    let reason = format!("{}: {}", kind.as_str()?, part.as_str().unwrap_or("General"));
    Some(Event {
        status,
        diagnostic: text(&recipient["diagnosticCode"]),
        ..about(
            told,
            class,
            &recipient["emailAddress"],
            reason,
            &bounce["timestamp"],
        )?
    })
}

/// None for the opposite of a complaint (RFC 6430).
fn complained(told: &Value, recipient: &Value) -> Option<Event> {
    let complaint = &told["complaint"];
    let kind = text(&complaint["complaintFeedbackType"]);
    if kind.as_deref() == Some("not-spam") {
        return None;
    }
    let reason = kind.unwrap_or_else(|| "complaint".to_owned());
    let address = &recipient["emailAddress"];
    about(
        told,
        Class::Complaint,
        address,
        reason,
        &complaint["timestamp"],
    )
}

fn delivered(told: &Value, recipient: &Value) -> Option<Event> {
    let delivery = &told["delivery"];
    let reason = "Delivery".to_owned();
    Some(Event {
        diagnostic: text(&delivery["smtpResponse"]),
        ..about(
            told,
            Class::Delivered,
            recipient,
            reason,
            &delivery["timestamp"],
        )?
    })
}

fn about(told: &Value, class: Class, address: &Value, reason: String, at: &Value) -> Option<Event> {
    let mail = &told["mail"];
    Some(Event {
        class,
        address: text(address)?,
        message: header(mail).and_then(message_id),
        return_path: text(&mail["source"]),
        reference: format!("ses:{}", text(&mail["messageId"])?),
        status: None,
        diagnostic: None,
        reason,
        at: at.as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok()),
    })
}

/// The Message-ID that we gave: SES gives another and tells the first. Without the setting that
/// includes headers there is only the short form.
fn header(mail: &Value) -> Option<&str> {
    let headers = mail["headers"].as_array().into_iter().flatten();
    let is_id = |header: &&Value| {
        let name = header["name"].as_str();
        name.is_some_and(|name| name.eq_ignore_ascii_case("message-id"))
    };
    let ours = headers
        .filter(is_id)
        .find_map(|header| header["value"].as_str());
    ours.or(mail["commonHeaders"]["messageId"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_topic_is_named_by_its_arn() {
        assert!(is_topic("arn:aws:sns:eu-west-1:123456789012:bounces"));
        assert!(is_topic("arn:aws-cn:sns:cn-north-1:123456789012:bounces"));
        for bad in [
            "",
            "bounces",
            "arn:aws:sqs:eu-west-1:123456789012:bounces",
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns:eu-west-1:123456789012:bounces:subscription",
        ] {
            assert!(!is_topic(bad), "{bad}");
        }
    }

    fn class(kind: &str, part: &str, status: &str) -> Class {
        let told = json!({
            "notificationType": "Bounce",
            "bounce": {
                "bounceType": kind, "bounceSubType": part,
                "bouncedRecipients": [{ "emailAddress": "a@x.example", "status": status }],
            },
            "mail": { "messageId": "1" },
        });
        let event = read(&told).remove(0);
        event.expect("a bounce").class
    }

    #[test]
    fn what_lasts_is_hard_unless_its_status_blames_something_else() {
        assert_eq!(class("Permanent", "General", "5.1.1"), Class::Hard);
        assert_eq!(class("Permanent", "General", "5.7.1"), Class::Soft);
        assert_eq!(class("Permanent", "Suppressed", "5.7.1"), Class::Hard);
        assert_eq!(class("Transient", "MailboxFull", "5.2.2"), Class::Soft);
        assert_eq!(class("Undetermined", "Undetermined", ""), Class::Soft);
    }

    #[test]
    fn what_says_nothing_about_arrival_is_passed_over() {
        let not_spam = json!({
            "eventType": "Complaint",
            "complaint": {
                "complaintFeedbackType": "not-spam",
                "complainedRecipients": [{ "emailAddress": "a@x.example" }],
            },
            "mail": { "messageId": "1" },
        });
        for told in [
            json!({ "eventType": "Open" }),
            json!({ "notificationType": "Bounce", "bounce": {} }),
            json!({ "eventType": "Delivery", "delivery": { "recipients": ["a@x.example"] } }),
            not_spam,
        ] {
            assert_eq!(read(&told), [None], "{told}");
        }
    }
}
