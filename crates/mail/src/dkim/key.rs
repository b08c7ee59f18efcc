//! Private keys, and what is published of them.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `rsa-sha256`: every receiver knows it.
    Rsa,
    /// `ed25519-sha256` (RFC 8463): small and fast, not known to all.
    Ed25519,
}

impl Algorithm {
    /// As `a=` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }
}

/// A key that signs; reading it is done once, for it is slow.
pub struct PrivateKey(Pair);

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Not a key of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a key that can sign")]
pub struct BadKey;

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm().name())
    }
}

impl PrivateKey {
    /// A new one; RSA has 2,048 bits. Answers the PKCS #8 that [`Self::read`] reads too.
    pub fn generate(algorithm: Algorithm) -> (Self, Vec<u8>) {
        let pkcs8 = match algorithm {
            Algorithm::Rsa => RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| {
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
                Ok(der.as_ref().to_vec())
            }),
            Algorithm::Ed25519 => {
                Ed25519KeyPair::generate().and_then(|pair| Ok(pair.to_pkcs8v1()?.as_ref().to_vec()))
            }
        };
        let pkcs8 = pkcs8.expect("keys can be generated where there is memory");
        let key = Self::read(algorithm, &pkcs8).expect("it was just written");
        (key, pkcs8)
    }

    /// Reads PKCS #8; for RSA also PKCS #1.
    pub fn read(algorithm: Algorithm, der: &[u8]) -> Result<Self, BadKey> {
        let pair = match algorithm {
            Algorithm::Rsa => RsaKeyPair::from_pkcs8(der)
                .or_else(|_| RsaKeyPair::from_der(der))
                .map(|pair| Pair::Rsa(Box::new(pair))),
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(|pair| Pair::Ed25519(Box::new(pair))),
        };
        pair.map(Self).map_err(|_| BadKey)
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Pair::Rsa(_) => Algorithm::Rsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The text of the TXT record at `<selector>._domainkey.<domain>` (RFC 6376 §3.6.1).
    pub fn record(&self) -> String {
        match &self.0 {
            Pair::Rsa(pair) => {
                let der: PublicKeyX509Der<'_> = pair
                    .public_key()
                    .as_der()
                    .expect("a key that was read can be written");
                format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(der.as_ref()))
            }
            Pair::Ed25519(pair) => {
                let public = STANDARD.encode(pair.public_key());
                format!("v=DKIM1; k=ed25519; p={public}")
            }
        }
    }

    /// Signs a SHA-256 hash: as PKCS #1 v1.5 does, or as a message of its own (RFC 8463 §3).
    pub(super) fn sign(&self, hash: &Digest) -> Vec<u8> {
        match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, hash, &mut signature)
                    .expect("the hash is a SHA-256 one and the buffer has the modulus' length");
                signature
            }
            Pair::Ed25519(pair) => pair.sign(hash.as_ref()).as_ref().to_vec(),
        }
    }
}
