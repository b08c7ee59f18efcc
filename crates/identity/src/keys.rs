//! The keys that tokens are signed with: made once, shared by all replicas, published as JWKS.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Host;
use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::auth::{Claims, KeySet, TOKEN_TYPE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::sealed;
use crate::store::signing_keys::{self as table, StoredKey};
use crate::tokens::SERVICE_S;

/// How often a replica looks for keys that another one made or retired.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A new key waits this long before it signs, so that every replica has seen it.
pub(crate) const SETTLE_S: i64 = 15;

/// One published key (RFC 8037 §2).
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = identity::Jwk)]
pub(crate) struct Jwk {
    kty: String,
    crv: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    kid: String,
    x: String,
}

/// The published keys (RFC 7517 §5).
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = identity::Jwks)]
pub(crate) struct Jwks {
    keys: Vec<Jwk>,
}

/// The keys in use. Clones share them.
#[derive(Clone)]
pub(crate) struct Keys {
    current: Arc<RwLock<Current>>,
    vault: Vault,
}

#[derive(Default)]
struct Current {
    signing: Option<(String, EncodingKey)>,
    jwks: Jwks,
}

impl Keys {
    /// Makes the first key if there is none, and loads all.
    pub(crate) async fn start(host: &Host, vault: Vault) -> Result<Self, Error> {
        let current = Arc::default();
        let keys = Self { current, vault };
        let (vault, now) = (keys.vault.clone(), host.clock.now());
        host.db
            .transaction(move |conn| {
                table::take_turns(conn)?;
                // One that retires later is followed by another one already.
                if table::usable(conn, now)?.is_empty() {
                    let mut key = new_key(now)?;
                    key.pkcs8 = vault.seal(&key.pkcs8);
                    table::insert(conn, &key)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        keys.load(host).await?;
        Ok(keys)
    }

    /// Keeps up with what other replicas do, until the service stops.
    pub(crate) async fn follow(self, host: Host) {
        loop {
            tokio::select! {
                () = host.stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.load(&host).await {
                tracing::warn!(%error, "signing keys cannot be read; the known ones stay in use");
            }
        }
    }

    async fn load(&self, host: &Host) -> Result<(), Error> {
        let now = host.clock.now();
        // A retired key is published until every token it signed has expired.
        let since = now - chrono::Duration::seconds(SERVICE_S + 60);
        let vault = self.vault.clone();
        let stored = host
            .db
            .run(move |conn| {
                let mut stored = table::usable(conn, since)?;
                for key in &mut stored {
                    if sealed::is_plain(&key.pkcs8) {
                        // The operator's command has no key to seal it with.
                        table::seal(conn, key, &vault.seal(&key.pkcs8))?;
                    }
                    key.pkcs8 = sealed::open(&vault, &key.pkcs8)?;
                }
                Ok::<_, Error>(stored)
            })
            .await?;
        let jwks = Jwks {
            keys: stored.iter().map(jwk).collect::<Result<_, _>>()?,
        };
        let signing = signer(&stored, now);
        let known: Vec<_> = self.jwks().keys.into_iter().map(|key| key.kid).collect();
        if !jwks.keys.iter().map(|key| &key.kid).eq(&known) {
            let set = serde_json::to_value(&jwks).and_then(serde_json::from_value);
            let set = KeySet::from_jwks(&set.map_err(Error::internal)?);
            host.verifier.replace(set);
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { signing, jwks };
        Ok(())
    }

    pub(crate) fn jwks(&self) -> Jwks {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.jwks.clone()
    }

    /// Signs `claims` as an access token (RFC 9068).
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let (kid, key) = current
            .signing
            .as_ref()
            .ok_or_else(|| Error::internal("there is no signing key"))?;
        let header = Header {
            typ: Some(TOKEN_TYPE.into()),
            kid: Some(kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, claims, key).map_err(Error::internal)
    }
}

/// The newest key that everybody has seen, or the only one there is.
fn signer(stored: &[StoredKey], now: DateTime<Utc>) -> Option<(String, EncodingKey)> {
    let settled = now - chrono::Duration::seconds(SETTLE_S);
    let signs = || {
        let lasts = |key: &&StoredKey| key.retired_at.is_none_or(|at| at > now);
        stored.iter().filter(lasts)
    };
    let key = signs()
        .rfind(|key| key.created_at <= settled)
        .or_else(|| signs().next())?;
    Some((key.kid.clone(), EncodingKey::from_ed_der(&key.pkcs8)))
}

pub(crate) fn new_key(now: DateTime<Utc>) -> Result<StoredKey, Error> {
    let pair = Ed25519KeyPair::generate().map_err(Error::internal)?;
    let pkcs8 = pair.to_pkcs8().map_err(Error::internal)?;
    Ok(StoredKey {
        kid: uuid::Uuid::now_v7().simple().to_string(),
        pkcs8: pkcs8.as_ref().to_vec(),
        created_at: now,
        retired_at: None,
    })
}

fn jwk(key: &StoredKey) -> Result<Jwk, Error> {
    let pair = Ed25519KeyPair::from_pkcs8(&key.pkcs8).map_err(Error::internal)?;
    Ok(Jwk {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        usage: "sig".into(),
        alg: "EdDSA".into(),
        kid: key.kid.clone(),
        x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(seconds_ago: i64, now: DateTime<Utc>) -> StoredKey {
        new_key(now - chrono::Duration::seconds(seconds_ago)).expect("a key can be made")
    }

    #[test]
    fn a_new_key_signs_once_everybody_has_seen_it() {
        let now = Utc::now();
        let (old, fresh) = (made(1_000, now), made(5, now));
        let stored = [old.clone(), fresh.clone()];
        assert_eq!(signer(&stored, now).map(|(kid, _)| kid), Some(old.kid));
        let later = now + chrono::Duration::seconds(SETTLE_S);
        assert_eq!(signer(&stored, later).map(|(kid, _)| kid), Some(fresh.kid));
    }

    #[test]
    fn the_only_key_signs_at_once_and_a_retired_one_never() {
        let now = Utc::now();
        let only = made(0, now);
        assert!(signer(std::slice::from_ref(&only), now).is_some());
        let retired = StoredKey {
            retired_at: Some(now),
            ..only
        };
        assert!(signer(&[retired], now).is_none());
    }

    #[test]
    fn a_rotation_leaves_no_moment_without_a_key() {
        let now = Utc::now();
        let until = now + chrono::Duration::seconds(SETTLE_S + 10);
        let old = StoredKey {
            retired_at: Some(until),
            ..made(1_000, now)
        };
        let (fresh, kid) = (made(0, now), |key: &StoredKey| Some(key.kid.clone()));
        let stored = [old.clone(), fresh.clone()];
        for seconds in 0..60 {
            let later = now + chrono::Duration::seconds(seconds);
            let expected = match seconds < SETTLE_S {
                true => kid(&old),
                false => kid(&fresh),
            };
            assert_eq!(
                signer(&stored, later).map(|(kid, _)| kid),
                expected,
                "{seconds}"
            );
        }
    }
}
