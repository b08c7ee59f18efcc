//! Secrets of identity at rest: keys that sign and second factors are sealed. What an older release
//! kept as it was is sealed at the start.

use chassis::Host;
use chassis::sealing::{VERSION, Vault};

use crate::error::Error;
use crate::store::{authenticators, signing_keys};

/// What was sealed with a key that is not here.
#[derive(Debug, thiserror::Error)]
#[error(
    "a secret in the database was sealed with another CLARION_DATA_KEY (or, where there is none, \
     another CLARION_SERVICE_SECRET); give the old one as CLARION_DATA_KEY_OLD"
)]
struct OtherKey;

/// Whether a key or a second factor is as an older release kept it: DER begins with a sequence, and
/// a secret of twenty octets is shorter than anything sealed.
pub(crate) fn is_plain(kept: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    kept.len() <= 20 || kept.first() == Some(&SEQUENCE)
}

/// The secret itself.
pub(crate) fn open(vault: &Vault, kept: &[u8]) -> Result<Vec<u8>, Error> {
    debug_assert_ne!(VERSION, 0x30, "a sealed value looks like no key");
    match is_plain(kept) {
        true => Ok(kept.to_vec()),
        false => vault.open(kept).map_err(|_| Error::internal(OtherKey)),
    }
}

/// Seals what is not sealed yet, and fails if anything was sealed with a key that is not here: it is
/// better not to start than to find out when somebody signs in.
pub(crate) async fn everything(host: &Host, vault: &Vault) -> anyhow::Result<()> {
    let vault = vault.clone();
    host.db
        .transaction(move |conn| {
            for key in signing_keys::all(conn)? {
                open(&vault, &key.pkcs8)?;
                if is_plain(&key.pkcs8) {
                    signing_keys::seal(conn, &key, &vault.seal(&key.pkcs8))?;
                }
            }
            for factor in authenticators::plain(conn)? {
                authenticators::seal(conn, &factor, &vault.seal(&factor.secret))?;
            }
            Ok::<_, Error>(())
        })
        .await
        .map_err(|error| match error {
            Error::Internal(cause) => anyhow::anyhow!(cause),
            error => error.into(),
        })
}
