//! The secrets of an installation on one machine: made once, kept in the data folder.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use chassis::settings::Reader;
use common::values::Secret;
use hmac::{Hmac, Mac};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What `clarion up` needs to know and nobody else should.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    /// Everything else is derived from it.
    root: String,
    /// The first owner, as they were made at the first start.
    pub(crate) owner_email: String,
    pub(crate) owner_password: String,
}

impl Secrets {
    /// Reads the folder's secrets, or makes them. What the environment names wins when they are
    /// made.
    pub(crate) fn open(folder: &Path, read: &mut Reader<'_>) -> anyhow::Result<Self> {
        let path = folder.join("secrets.json");
        let shown = path.display();
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("{shown} is damaged"))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Self::make(read);
                secrets
                    .write(&path)
                    .with_context(|| format!("cannot write {shown}"))?;
                Ok(secrets)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
        }
    }

    fn make(read: &mut Reader<'_>) -> Self {
        let given = read.optional_secret("CLARION_OWNER_PASSWORD");
        Self {
            root: random(),
            owner_email: read.or("CLARION_OWNER_EMAIL", "owner@clarion.local".to_owned()),
            owner_password: given.map_or_else(
                || random()[..20].to_owned(),
                |secret| secret.expose().to_owned(),
            ),
        }
    }

    /// Whole or not at all, readable by its owner only.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(fresh, path)
    }

    /// A secret for one purpose (HMAC-SHA-256 of its name, RFC 2104).
    pub(crate) fn derive(&self, purpose: &str) -> Secret {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.root.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        Secret::new(hex::encode(mac.finalize().into_bytes()))
    }
}

fn random() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::settings::Source;

    #[test]
    fn secrets_are_made_once_and_read_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let source = Source::default().with("CLARION_OWNER_EMAIL", "ada@example.com");
        let made = Secrets::open(folder.path(), &mut source.reader()).expect("made");
        let again = Secrets::open(folder.path(), &mut Source::default().reader()).expect("read");
        assert_eq!(made.derive("links"), again.derive("links"));
        assert_ne!(made.derive("links"), made.derive("services"));
        assert_eq!(again.owner_email, "ada@example.com");
        let mode = std::fs::metadata(folder.path().join("secrets.json"))
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secrets.json"), "{").expect("writable");
        let error =
            Secrets::open(folder.path(), &mut Source::default().reader()).expect_err("damaged");
        assert!(error.to_string().contains("secrets.json is damaged"));
    }
}
