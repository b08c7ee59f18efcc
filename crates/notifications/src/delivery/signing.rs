//! The DKIM keys of a letter's sending domain.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chassis::Db;
use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::ids::WorkspaceId;
use mail::dkim::{self, Signer};

use super::letters::LoadError;
use crate::store::domains;

/// How soon a change of keys is noticed.
const FRESH: Duration = Duration::from_secs(5);

/// Keys that were read once and are used for many messages.
#[derive(Debug, Default)]
pub(super) struct Signing(RwLock<Arc<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Which keys these are; none when the domain is not one of the workspace.
    stamp: Option<DateTime<Utc>>,
    signers: Arc<Vec<Signer>>,
    looked: Option<Instant>,
}

impl Signing {
    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The message with all signatures in front of it.
    pub(super) fn sign(&self, message: Vec<u8>, now: DateTime<Utc>) -> Vec<u8> {
        let known = self.known();
        if known.signers.is_empty() {
            return message;
        }
        let mut signed = dkim::sign(known.signers.iter(), &message, now);
        signed.extend_from_slice(&message);
        signed
    }

    pub(super) fn is_due(&self) -> bool {
        let looked = self.known().looked;
        looked.is_none_or(|looked| looked.elapsed() >= FRESH)
    }

    /// Asks which keys sign; reads them again only when these are others.
    pub(super) async fn refresh(
        &self,
        db: &Db,
        vault: &Vault,
        workspace: WorkspaceId,
        domain: String,
    ) -> Result<(), LoadError> {
        let (known, vault) = (self.known(), vault.clone());
        let next = db
            .run(move |conn| {
                let stamp = domains::keys_changed_at(conn, workspace, &domain)?;
                let signers = match stamp {
                    _ if stamp == known.stamp => Arc::clone(&known.signers),
                    None => Arc::default(),
                    Some(_) => {
                        let keys = domains::active_keys(conn, workspace, &domain)?;
                        let open = |key: domains::Key| key.signer(&domain, &vault);
                        Arc::new(keys.into_iter().filter_map(open).collect())
                    }
                };
                Ok::<_, LoadError>(Known {
                    stamp,
                    signers,
                    looked: Some(Instant::now()),
                })
            })
            .await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }
}
