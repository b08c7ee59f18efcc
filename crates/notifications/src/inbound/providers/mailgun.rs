//! Mailgun: the signature stands in the body, HMAC-SHA-256 of time and a token.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, verify as verify_mac};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{Event, Forged, of_refusal, text, time};
use crate::domain::feedback::Class;
use crate::inbound::message_id;

/// How old a signature may be. Mailgun tries for eight hours.
const WINDOW_HOURS: i64 = 12;

#[derive(Deserialize)]
struct Signed {
    signature: Signature,
}

#[derive(Deserialize)]
struct Signature {
    timestamp: String,
    token: String,
    signature: String,
}

pub(super) fn verify(secret: &str, body: &[u8], now: DateTime<Utc>) -> Result<(), Forged> {
    let Signed { signature } = serde_json::from_slice(body).map_err(|_| Forged)?;
    let seconds: i64 = signature.timestamp.parse().map_err(|_| Forged)?;
    let signed_at = DateTime::from_timestamp(seconds, 0).ok_or(Forged)?;
    if (now - signed_at).abs() > TimeDelta::hours(WINDOW_HOURS) {
        return Err(Forged);
    }
    let tag = data_encoding::HEXLOWER_PERMISSIVE
        .decode(signature.signature.as_bytes())
        .map_err(|_| Forged)?;
    let said = format!("{}{}", signature.timestamp, signature.token);
    let key = Key::new(HMAC_SHA256, secret.as_bytes());
    verify_mac(&key, said.as_bytes(), &tag).map_err(|_| Forged)
}

/// None when it says nothing that lasts: of temporary failures the last one is told as permanent.
pub(super) fn read(event: &Value) -> Option<Event> {
    let delivery = &event["delivery-status"];
    let status = text(&delivery["enhanced-code"]);
    let status = status.or_else(|| delivery["code"].as_u64().map(|code| code.to_string()));
    let (kind, severity) = (event["event"].as_str()?, event["severity"].as_str());
    let reason = text(&event["reason"]);
    let class = match (kind, severity, reason.as_deref()) {
        ("delivered", ..) => Class::Delivered,
        ("complained", ..) | ("failed", _, Some("suppress-complaint")) => Class::Complaint,
        ("failed", _, Some("suppress-bounce")) => Class::Hard,
        ("failed", _, Some("suppress-unsubscribe")) => return None,
        ("failed", Some("permanent"), Some("old" | "espblock" | "greylisted")) => Class::Soft,
        ("failed", Some("permanent"), _) => of_refusal(status.as_deref()),
        _ => return None,
    };
    let message = &event["message"]["headers"]["message-id"];
    let diagnostic = text(&delivery["message"]).or_else(|| text(&delivery["description"]));
    Some(Event {
        class,
        address: text(&event["recipient"])?,
        message: message.as_str().and_then(message_id),
        return_path: text(&event["envelope"]["sender"]),
        reference: format!("mailgun:{}", message.as_str().or(event["id"].as_str())?),
        status,
        diagnostic,
        reason: reason.map_or_else(|| kind.to_owned(), |reason| format!("{kind}: {reason}")),
        at: time(&event["timestamp"]),
    })
}
