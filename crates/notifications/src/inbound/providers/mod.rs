//! Mail providers that tell by HTTP what became of mails, each in its own words.

mod mailgun;
mod postmark;
mod sendgrid;
mod ses;

use actix_web::http::header::HeaderMap;
use chrono::{DateTime, Utc};
use common::ids::MessageId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::feedback::Class;

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = notifications::Provider)]
pub(crate) enum Provider {
    Sendgrid,
    Mailgun,
    Postmark,
    Ses,
}

/// It is not the provider who says this, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// One thing that a provider told, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) class: Class,
    pub(crate) address: String,
    /// The message, where the provider kept our Message-ID.
    pub(crate) message: Option<MessageId>,
    /// The sender of the envelope, where the provider tells it.
    pub(crate) return_path: Option<String>,
    /// The provider's name for the mail.
    pub(crate) reference: String,
    pub(crate) status: Option<String>,
    pub(crate) diagnostic: Option<String>,
    pub(crate) reason: String,
    /// Absent: now.
    pub(crate) at: Option<DateTime<Utc>>,
}

impl Provider {
    pub(crate) const ALL: [Self; 4] = [Self::Sendgrid, Self::Mailgun, Self::Postmark, Self::Ses];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sendgrid => "sendgrid",
            Self::Mailgun => "mailgun",
            Self::Postmark => "postmark",
            Self::Ses => "ses",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text)
    }

    /// Why a hook cannot have this secret.
    pub(crate) fn refuses(self, secret: Option<&str>) -> Option<&'static str> {
        match (self, secret) {
            (Self::Postmark, Some(_)) => Some("Postmark signs nothing: its URL is the secret"),
            (Self::Postmark, None) => None,
            (Self::Mailgun, None) => Some("must be the HTTP webhook signing key of Mailgun"),
            (Self::Mailgun, Some(_)) => None,
            (Self::Sendgrid, Some(key)) if sendgrid::is_key(key) => None,
            (Self::Sendgrid, _) => Some("must be the verification key of SendGrid, in base64"),
            (Self::Ses, Some(topic)) if ses::is_topic(topic) => None,
            (Self::Ses, _) => Some("must be the ARN of the SNS topic that SES publishes to"),
        }
    }

    /// Whether it is the provider who says this, as far as that is known from the message alone: for
    /// SES [`Topics`](crate::inbound::Topics) must be asked.
    pub(crate) fn verify(
        self,
        secret: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), Forged> {
        match self {
            Self::Sendgrid => sendgrid::verify(secret, headers, body),
            Self::Mailgun => mailgun::verify(secret, body, now),
            // Whoever knows the URL is Postmark: there is nothing else to know.
            Self::Postmark => Ok(()),
            Self::Ses => Err(Forged),
        }
    }

    /// What is told, in order; none for each thing that says nothing about a mail's arrival. An
    /// error when it is not JSON.
    pub(crate) fn read(self, body: &[u8]) -> Result<Vec<Option<Event>>, serde_json::Error> {
        let told: Value = serde_json::from_slice(body)?;
        Ok(match self {
            Self::Sendgrid => match &told {
                Value::Array(events) => events.iter().map(sendgrid::read).collect(),
                _ => vec![None],
            },
            Self::Mailgun => vec![mailgun::read(&told["event-data"])],
            Self::Postmark => vec![postmark::read(&told)],
            Self::Ses => ses::read(&told),
        })
    }
}

/// A text that is there and not empty.
fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// Seconds since 1970, as whole or broken numbers.
fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis((value.as_f64()? * 1000.0) as i64)
}

/// A refusal is about the address, unless its status tells of something else (RFC 3463: a mailbox
/// that is full, a system, the network, the content or a policy) or of another day.
fn of_refusal(status: Option<&str>) -> Class {
    let other = |status: &str| {
        status.starts_with('4')
            || status == "5.2.2"
            || ["5.3.", "5.4.", "5.6.", "5.7."]
                .iter()
                .any(|start| status.starts_with(start))
    };
    match status.is_some_and(other) {
        true => Class::Soft,
        false => Class::Hard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_hard_unless_its_status_blames_something_else() {
        for status in [
            None,
            Some("5.1.1"),
            Some("5.2.1"),
            Some("5.0.0"),
            Some("550"),
        ] {
            assert_eq!(of_refusal(status), Class::Hard, "{status:?}");
        }
        for status in ["4.4.7", "5.2.2", "5.7.1", "5.4.4", "421"] {
            assert_eq!(of_refusal(Some(status)), Class::Soft, "{status}");
        }
    }

    #[test]
    fn what_is_not_json_is_an_error_and_what_is_no_event_says_nothing() {
        for provider in Provider::ALL {
            assert_eq!(Provider::parse(provider.as_str()), Some(provider));
            assert!(provider.read(b"{").is_err());
            for odd in ["{}", "7", "{\"event-data\":{\"event\":\"opened\"}}"] {
                let told = provider.read(odd.as_bytes()).expect("JSON");
                assert_eq!(told, [None], "{provider:?} {odd}");
            }
        }
    }
}
