//! Amazon SNS, which passes on what SES tells: whether a message is signed, and for which topic.
//!
//! A signature of Amazon says that one of its customers speaks, not which one: what makes a message
//! ours is its topic, which is signed too and which the hook names.

mod letter;
mod origin;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::outbound::Guard;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use url::Url;
use webpki::EndEntityCert;

use letter::{Kind, Letter};
pub(crate) use origin::Origin;

/// How long the certificate, or a confirmation, may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most octets of a certificate.
const LONGEST: usize = 64 << 10;
/// Most certificates that are remembered, and for how long. Amazon has one per region and year.
const KEYS: usize = 32;
const KEPT_HOURS: i64 = 24;

/// Why a message is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody signed it for this topic.
    Forged,
    /// Amazon cannot be asked at the moment.
    Away,
}

/// A public key (SubjectPublicKeyInfo) and when it was fetched.
#[derive(Clone, Debug)]
struct Known {
    key: Vec<u8>,
    at: DateTime<Utc>,
}

/// Opens what topics send. Clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    origin: Origin,
    guard: Guard,
    client: reqwest::Client,
    keys: Arc<Mutex<HashMap<Url, Known>>>,
}

impl Topics {
    pub(crate) fn new(origin: Origin) -> Self {
        let guard = Guard::new(origin.rules());
        Self {
            client: guard.client(TIMEOUT, "Clarion-Hooks/1.0"),
            origin,
            guard,
            keys: Arc::default(),
        }
    }

    /// What `topic` says; none when it says nothing but that we are subscribed, or not any more. A
    /// subscription is confirmed by this.
    pub(crate) async fn open(
        &self,
        topic: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Refused> {
        let letter: Letter = serde_json::from_slice(body).map_err(|_| Refused::Forged)?;
        if letter.topic_arn != topic {
            return Err(Refused::Forged);
        }
        let key = self.key(&letter.signing_cert_url, now).await?;
        letter.verify(&key).map_err(|_| Refused::Forged)?;
        match letter.kind {
            Kind::Notification => Ok(Some(letter.message)),
            Kind::SubscriptionConfirmation => {
                let url = letter.subscribe_url.ok_or(Refused::Forged)?;
                self.get(&url).await?;
                tracing::info!(
                    topic,
                    "the subscription of a hook to its topic is confirmed"
                );
                Ok(None)
            }
            Kind::UnsubscribeConfirmation => {
                tracing::warn!(topic, "a hook is not subscribed to its topic any more");
                Ok(None)
            }
        }
    }

    /// The public key of a certificate.
    async fn key(&self, url: &Url, now: DateTime<Utc>) -> Result<Vec<u8>, Refused> {
        if let Some(known) = self.keys().get(url)
            && now - known.at < TimeDelta::hours(KEPT_HOURS)
        {
            return Ok(known.key.clone());
        }
        let pem = self.get(url.as_str()).await?;
        let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| Refused::Forged)?;
        let certificate = EndEntityCert::try_from(&certificate).map_err(|_| Refused::Forged)?;
        let key = certificate.subject_public_key_info().to_vec();
        let mut keys = self.keys();
        if keys.len() >= KEYS {
            keys.clear();
        }
        let known = Known {
            key: key.clone(),
            at: now,
        };
        keys.insert(url.clone(), known);
        Ok(key)
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, HashMap<Url, Known>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a URL answers, if it is one of Amazon's own.
    async fn get(&self, url: &str) -> Result<Vec<u8>, Refused> {
        let url = Url::parse(url).map_err(|_| Refused::Forged)?;
        if !self.origin.owns(&url) || self.guard.judge(&url).is_err() {
            return Err(Refused::Forged);
        }
        let answer = self.client.get(url).send().await;
        let mut answer = answer.map_err(|error| away(&error))?;
        match answer.status() {
            status if status.is_success() => {}
            status if status.is_client_error() => return Err(Refused::Forged),
            _ => return Err(Refused::Away),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| away(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(Refused::Forged);
            }
        }
        Ok(body)
    }
}

fn away(error: &reqwest::Error) -> Refused {
    tracing::warn!(%error, "SNS cannot be asked at the moment");
    Refused::Away
}
