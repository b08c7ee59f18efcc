//! Postmark: signs nothing; the secret URL is the credential.

use serde_json::Value;

use super::{Event, text};
use crate::domain::feedback::Class;

/// The metadata that names our message.
const MESSAGE: &str = "clarion-message";

/// None when it says nothing about arrival.
pub(super) fn read(told: &Value) -> Option<Event> {
    let kind = match told["RecordType"].as_str()? {
        "Delivery" => "Delivery".to_owned(),
        "SpamComplaint" => "SpamComplaint".to_owned(),
        "Bounce" => text(&told["Type"])?,
        _ => return None,
    };
    let class = match kind.as_str() {
        "Delivery" => Class::Delivered,
        "SpamComplaint" => Class::Complaint,
        "HardBounce" | "BadEmailAddress" => Class::Hard,
        "AutoResponder" | "AddressChange" => Class::AutoReply,
        "SoftBounce"
        | "Transient"
        | "DnsError"
        | "SpamNotification"
        | "Blocked"
        | "DMARCPolicy"
        | "Undeliverable"
        | "Unknown"
        | "VirusNotification"
        | "ChallengeVerification" => Class::Soft,
        _ => return None,
    };
    let at = text(&told["BouncedAt"]).or_else(|| text(&told["DeliveredAt"]));
    Some(Event {
        class,
        address: text(&told["Email"]).or_else(|| text(&told["Recipient"]))?,
        // Postmark replaces the Message-ID and the sender of the envelope, but keeps what was sent
        // as metadata.
        message: told["Metadata"][MESSAGE]
            .as_str()
            .and_then(|id| id.parse().ok()),
        return_path: None,
        reference: format!("postmark:{}", text(&told["MessageID"])?),
        status: None,
        diagnostic: text(&told["Details"]).or_else(|| text(&told["Description"])),
        reason: kind,
        at: at.and_then(|at| at.parse().ok()),
    })
}
