//! Secrets that a database keeps: sealed with AES-256-GCM, so that a copy of it opens nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use common::auth::Service;
use common::values::Secret;

use crate::settings::Reader;

/// The first octet of what this version seals.
pub const VERSION: u8 = 1;
/// Tells which key sealed something.
const KEY_ID: usize = 4;

/// Seals with one key, opens with this and older ones.
#[derive(Clone)]
pub struct Vault {
    service: Service,
    keys: Vec<[u8; 32]>,
}

/// Sealed with a key that is not here, or not sealed by us, or changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was not sealed with any of the data keys in use")]
pub struct Unreadable;

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// Of `CLARION_DATA_KEY`, or of `otherwise` where an installation gives none; opens what was
    /// sealed with `CLARION_DATA_KEY_OLD` too.
    pub fn read(read: &mut Reader<'_>, service: Service, otherwise: &Secret) -> Self {
        let secret = read.optional_secret("CLARION_DATA_KEY");
        let vault = Self::new(service, secret.as_ref().unwrap_or(otherwise));
        match read.optional_secret("CLARION_DATA_KEY_OLD") {
            Some(old) => vault.and_open(&old),
            None => vault,
        }
    }

    /// What one service seals no other can open, though their secret is the same.
    pub fn new(service: Service, secret: &Secret) -> Self {
        Self {
            service,
            keys: vec![key(service, secret)],
        }
    }

    /// The same, and what was sealed with an older secret can be opened too.
    pub fn and_open(mut self, old: &Secret) -> Self {
        self.keys.push(key(self.service, old));
        self
    }

    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let mut sealed = plain.to_vec();
        let nonce = cipher(key)
            .seal_in_place_append_tag(Aad::empty(), &mut sealed)
            .expect("so little can always be sealed");
        let mut out = vec![VERSION];
        out.extend_from_slice(&id(key));
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&sealed);
        out
    }

    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(Unreadable)?;
        let (named, rest) = rest.split_at_checked(KEY_ID).ok_or(Unreadable)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(Unreadable)?;
        let key = self.keys.iter().find(|key| id(key) == named);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unreadable)?;
        let mut plain = rest.to_vec();
        let length = cipher(key.ok_or(Unreadable)?)
            .open_in_place(nonce, Aad::empty(), &mut plain)
            .map_err(|_| Unreadable)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

/// A key for this use alone, whatever else the secret is used for (RFC 5869).
fn key(service: Service, secret: &Secret) -> [u8; 32] {
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, format!("clarion.{service}").as_bytes())
        .extract(secret.expose().as_bytes())
        .expand(&[b"sealed secrets"], HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("the length is that of the hash");
    key
}

fn cipher(key: &[u8; 32]) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has the cipher's length")
}

fn id(key: &[u8; 32]) -> [u8; KEY_ID] {
    let hash = digest(&SHA256, key);
    let mut id = [0; KEY_ID];
    id.copy_from_slice(&hash.as_ref()[..KEY_ID]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_looks_like_nothing() {
        let vault = Vault::new(Service::Leads, &Secret::new("a"));
        let (one, two) = (vault.seal(b"hunter2"), vault.seal(b"hunter2"));
        assert_ne!(one, two);
        assert!(!one.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(vault.open(&one).as_deref(), Ok(b"hunter2".as_slice()));
        let later = Vault::new(Service::Leads, &Secret::new("b")).and_open(&Secret::new("a"));
        assert_eq!(later.open(&one).as_deref(), Ok(b"hunter2".as_slice()));
    }

    #[test]
    fn what_was_changed_or_sealed_by_others_is_not_opened() {
        let vault = Vault::new(Service::Leads, &Secret::new("a"));
        let sealed = vault.seal(b"hunter2");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault.open(&changed), Err(Unreadable), "octet {at}");
        }
        for other in [
            Vault::new(Service::Leads, &Secret::new("b")),
            Vault::new(Service::Identity, &Secret::new("a")),
        ] {
            assert_eq!(other.open(&sealed), Err(Unreadable));
        }
        assert_eq!(vault.open(b"\x01abc"), Err(Unreadable));
    }
}
