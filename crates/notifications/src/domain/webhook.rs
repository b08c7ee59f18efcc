//! Rules of outgoing webhooks (Standard Webhooks 1.0.0): signatures, pauses, and when an endpoint
//! has failed for too long.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};

/// How long both secrets sign after a rotation.
pub(crate) const OVERLAP: TimeDelta = TimeDelta::hours(24);
/// An endpoint without a success for this long is disabled.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::days(5);
/// Every event.
pub(crate) const ALL: &str = "*";
/// What `POST …/test` sends, whatever a webhook asks for.
pub(crate) const TEST: &str = "webhook.test";

/// The pauses after the first, second, … attempt: more than a day together. After the last of
/// them one more attempt is made.
const PAUSES: [TimeDelta; 7] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(10),
];

/// How long to wait after `attempts` of them; `chance` from 0 to 1 makes it up to a tenth longer,
/// so that what failed together is not tried together. None when there was the last one.
pub(crate) fn pause(attempts: i32, chance: f64) -> Option<TimeDelta> {
    let at = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let pause = PAUSES.get(at)?;
    let longer = (chance.clamp(0.0, 1.0) * 100.0) as i32;
    Some(*pause + *pause * longer / 1000)
}

/// Whether it failed for so long that nobody will miss it.
pub(crate) fn is_given_up(failing_since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - failing_since >= PATIENCE
}

/// The key that one endpoint's deliveries are signed with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SigningSecret(Vec<u8>);

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret")
    }
}

impl SigningSecret {
    /// A new one of 256 bits (Standard Webhooks, "Signature scheme": 192 to 512).
    pub(crate) fn new() -> Self {
        let mut bytes = vec![0; 32];
        rand::fill(&mut bytes).expect("the system gives random numbers");
        Self(bytes)
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As its owner is shown it.
    pub(crate) fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// One signature of the `webhook-signature` header.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// The `webhook-signature` header: one signature of each secret, separated by a space.
pub(crate) fn signatures(
    secrets: &[SigningSecret],
    id: &str,
    timestamp: i64,
    body: &str,
) -> String {
    let signed: Vec<_> = secrets
        .iter()
        .map(|secret| secret.sign(id, timestamp, body))
        .collect();
    signed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The test vector of the reference libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let secret = SigningSecret::from_bytes(key.expect("base64"));
        let header = signatures(
            std::slice::from_ref(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(secret.shown(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }

    #[test]
    fn the_pauses_last_more_than_a_day_and_then_end() {
        let pauses: Vec<_> = (1..).map_while(|attempts| pause(attempts, 0.0)).collect();
        assert_eq!(pauses.len(), 7);
        assert!(pauses.iter().sum::<TimeDelta>() > TimeDelta::days(1));
        assert_eq!(pause(1, 1.0), Some(TimeDelta::milliseconds(5_500)));
        assert_eq!(pause(0, 0.0), None);
        assert_eq!(pause(-1, 0.0), None);
    }

    #[test]
    fn an_endpoint_is_given_up_after_five_days_of_failures() {
        let now = Utc::now();
        assert!(!is_given_up(now - TimeDelta::days(4), now));
        assert!(is_given_up(now - TimeDelta::days(5), now));
    }
}
