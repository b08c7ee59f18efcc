//! A message of a topic, and its signature ("Verifying the signatures of Amazon SNS messages").

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use data_encoding::BASE64;
use serde::Deserialize;
use url::Url;

use crate::inbound::providers::Forged;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Kind {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// As SNS posts it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Letter {
    #[serde(rename = "Type")]
    pub(super) kind: Kind,
    pub(super) topic_arn: String,
    pub(super) message: String,
    message_id: String,
    timestamp: String,
    subject: Option<String>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    pub(super) subscribe_url: Option<String>,
    #[serde(rename = "SigningCertURL")]
    pub(super) signing_cert_url: Url,
    signature_version: String,
    signature: String,
}

impl Letter {
    /// Whether the owner of this key (SubjectPublicKeyInfo) signed it.
    pub(super) fn verify(&self, key: &[u8]) -> Result<(), Forged> {
        let algorithm = match self.signature_version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(Forged),
        };
        let signature = BASE64
            .decode(self.signature.as_bytes())
            .map_err(|_| Forged)?;
        UnparsedPublicKey::new(algorithm, key)
            .verify(self.signed().as_bytes(), &signature)
            .map_err(|_| Forged)
    }

    /// What is signed: the names and values of fields, in the order of their names.
    fn signed(&self) -> String {
        let there = |name, value: &Option<String>| value.clone().map(|value| (name, value));
        let confirms = self.kind != Kind::Notification;
        let subject = there("Subject", &self.subject).filter(|_| !confirms);
        let subscribe = there("SubscribeURL", &self.subscribe_url).filter(|_| confirms);
        let token = there("Token", &self.token).filter(|_| confirms);
        let fields = [
            Some(("Message", self.message.clone())),
            Some(("MessageId", self.message_id.clone())),
            subject,
            subscribe,
            Some(("Timestamp", self.timestamp.clone())),
            token,
            Some(("TopicArn", self.topic_arn.clone())),
            Some(("Type", self.kind.as_str().to_owned())),
        ];
        let fields = fields.into_iter().flatten();
        fields
            .map(|(name, value)| format!("{name}\n{value}\n"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Made by OpenSSL, as are the signatures below; its private half was thrown away.
    const KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA02GQ+Qi9jvVew/FjxAJJQ9fXU9p7hE8MdZyhvCvab6q8+8BXhotSHtkRbPZgDiBLTYvg7k276a+0cBCOJcruwDY+ENf5uZN2PhsU4A7gSQusGQB/pnqRjVAJmMI93Ua+xFCLWzcFFAyLsXtR/6G5ukE473bdCdDIHX+/BaSqJUxooV/bA64ZiyOO13k178p5U+2KwMmqFGFk0wIL7B5N6Y8PVnedmAIjKZ257Ngbv0db/rIVOpm/5j8s+H0r+jO4J1p6b5P3TDrpaZ0E6PjGH0chlG2bbUKp3993aRkEhV35sbE3099yqWNIjiYMs1dbrx7HvfaWs0xWPdPGodGUtwIDAQAB";
    /// Of a notification, by version 1.
    const FIRST: &str = "nGbG9ThNvGSGLN3qWngXt/t/eqypYfMPnuGlu97XE/miATKM0dk9TgH8EJUfrCNyLaFOtVYoRbpMetHziluDI6yopSt6UN4ZMrUomrV09OwI0VMBV3bbl0qJKMtNDTJhW6BTYWV2w3zXe4w1T5sfuuP5A5GE1UHlip9ZLRsCdv5dcKvi6LY8VLYI6yjQvBgyzpD2FasbP76o9KAcn6m8TPOXJF4I1fwMH9zW0DEkEGj1WThmCXd4OvTJjhUVh+nIfqY44YEZ0MuVnMUzFW4mRz/KPElr74XJ43fCrdSa+0WWTYKGIL9GhFsg7o9Ixcn4CFhqLOiu6uRDDfd3RkVvlw==";
    /// Of a confirmation, by version 2.
    const SECOND: &str = "E2JvtZioY5ivuadBei7RZSt6sRtEzExNmwj0uP8efk9QUexUCtsKKPYxBt7Um/RtteAlrPRGTFqp4NY8c36H4hawA8pqx5q/wosSkTiTlum0r/WkrtX8gmKQpXxzLZHHfErbXe/vem3lXPRp7yrSa9TmTMNoZZ1WK6CH8sVrtWr1xNjqBdZsVq1MIMA/q9qlTQ1aBEl+gD9AKzKwRJ+wJXYsZ72MW+niDybPqxLhVoj3eGszSGels1SUkKzKgZSs2vObOWDj5PralP+saiXZRLTal4+d25aLv8Ah3l4QeC9s9k3Ndl123mUl0Y50EenYy+tCz4mcxRI2Am3lCjuVUg==";

    fn notification() -> Value {
        json!({
            "Type": "Notification", "Message": "hello", "MessageId": "m-1", "Subject": "hi",
            "Timestamp": "2026-01-01T00:00:00.000Z", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem",
            "SignatureVersion": "1", "Signature": FIRST,
        })
    }

    fn confirmation() -> Value {
        json!({
            "Type": "SubscriptionConfirmation", "Message": "hello", "MessageId": "m-1",
            "Token": "t-1", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/",
            "Timestamp": "2026-01-01T00:00:00.000Z", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem",
            "SignatureVersion": "2", "Signature": SECOND,
        })
    }

    fn verify(letter: Value) -> Result<(), Forged> {
        let letter: Letter = serde_json::from_value(letter).expect("a letter");
        letter.verify(&BASE64.decode(KEY.as_bytes()).expect("base64"))
    }

    #[test]
    fn both_versions_of_signatures_are_read() {
        assert_eq!(verify(notification()), Ok(()));
        assert_eq!(verify(confirmation()), Ok(()));
    }

    #[test]
    fn nothing_that_is_signed_can_be_changed() {
        for letter in [notification(), confirmation()] {
            let names = letter.as_object().expect("fields").keys().cloned();
            for name in names.filter(|name| !["Type", "SigningCertURL"].contains(&&**name)) {
                let mut changed = letter.clone();
                changed[&name] = json!("other");
                assert_eq!(verify(changed), Err(Forged), "{name} of {letter}");
            }
        }
        let mut other = notification();
        other["SignatureVersion"] = json!("2");
        assert_eq!(verify(other), Err(Forged));
    }
}
