//! SendGrid: ECDSA on P-256 with SHA-256 over a time and the body.

use actix_web::http::header::HeaderMap;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, UnparsedPublicKey};
use data_encoding::BASE64;
use serde_json::Value;

use super::{Event, Forged, of_refusal, text, time};
use crate::domain::feedback::Class;
use crate::inbound::message_id;

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// Whether this is a public key as SendGrid shows it: SubjectPublicKeyInfo (RFC 5280) in base64.
pub(super) fn is_key(key: &str) -> bool {
    let key = BASE64.decode(key.trim().as_bytes());
    key.is_ok_and(|key| ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).is_ok())
}

/// The time is part of what is signed and has no limit: what is told again changes nothing, and
/// SendGrid may try for a day with the first one.
pub(super) fn verify(key: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Forged> {
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.as_bytes())
            .ok_or(Forged)
    };
    let signature = BASE64.decode(header(SIGNATURE)?).map_err(|_| Forged)?;
    let said = [header(TIMESTAMP)?, body].concat();
    let key = BASE64.decode(key.trim().as_bytes()).map_err(|_| Forged)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&said, &signature)
        .map_err(|_| Forged)
}

/// None when it says nothing about arrival, or nothing that lasts: `deferred` is tried again.
pub(super) fn read(event: &Value) -> Option<Event> {
    let kind = event["event"].as_str()?;
    let (status, reason) = (text(&event["status"]), text(&event["reason"]));
    let class = match kind {
        "delivered" => Class::Delivered,
        "spamreport" => Class::Complaint,
        "blocked" => Class::Soft,
        "bounce" if event["type"] == "blocked" => Class::Soft,
        "bounce" => bounced(event["bounce_classification"].as_str(), status.as_deref()),
        "dropped" => match reason.as_deref()? {
            "Bounced Address" | "Invalid" => Class::Hard,
            "Spam Reporting Address" => Class::Complaint,
            _ => return None,
        },
        _ => return None,
    };
    let (ours, theirs) = (text(&event["smtp-id"]), text(&event["sg_message_id"]));
    Some(Event {
        class,
        address: text(&event["email"])?,
        message: ours.as_deref().and_then(message_id),
        return_path: None,
        reference: format!(
            "sendgrid:{}",
            ours.or(theirs).or_else(|| text(&event["sg_event_id"]))?
        ),
        status,
        diagnostic: text(&event["response"]).or(reason),
        reason: kind.to_owned(),
        at: time(&event["timestamp"]),
    })
}

fn bounced(classified: Option<&str>, status: Option<&str>) -> Class {
    match classified {
        Some("Invalid Address") => Class::Hard,
        Some("Technical" | "Content" | "Reputation" | "Frequency or Volume Too High") => {
            Class::Soft
        }
        Some("Mailbox Unavailable") => Class::Soft,
        _ => of_refusal(status),
    }
}
