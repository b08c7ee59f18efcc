//! DKIM signatures (RFC 6376, RFC 8463), relaxed/relaxed.

mod canonical;
mod key;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use canonical::Fields;
pub use key::{Algorithm, BadKey, PrivateKey};

/// What a signature covers. Each is listed once more than it occurs, so that nobody can add
/// another one on the way (RFC 6376 §8.15).
const COVERED: [&str; 12] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "Feedback-ID",
    "Reply-To",
    "Content-Type",
];
/// Where `h=` and `b=` are folded, at the latest.
const LINE: usize = 72;

/// A key with the name under which its other half is published.
#[derive(Debug)]
pub struct Signer {
    domain: String,
    selector: String,
    key: PrivateKey,
}

impl Signer {
    /// Domain and selector in ASCII, as they stand in the DNS.
    pub fn new(domain: impl Into<String>, selector: impl Into<String>, key: PrivateKey) -> Self {
        Self {
            domain: domain.into(),
            selector: selector.into(),
            key,
        }
    }

    /// The header field to put in front of `message`, with its line end.
    pub fn sign(&self, message: &[u8], now: DateTime<Utc>) -> Vec<u8> {
        sign(std::iter::once(self), message, now)
    }
}

/// The header fields of several signatures; what they have in common is computed once.
pub fn sign<'s>(
    signers: impl IntoIterator<Item = &'s Signer>,
    message: &[u8],
    now: DateTime<Utc>,
) -> Vec<u8> {
    let (head, body) = canonical::split(message);
    let fields = Fields::parse(head);
    let (mut names, mut input) = (String::with_capacity(400), Vec::with_capacity(2048));
    for name in COVERED {
        let found = fields.canonical(name, &mut input);
        for _ in 0..=found {
            list(name, &mut names);
        }
    }
    let body_hash = STANDARD.encode(hash_of(body));
    let mut out = Vec::with_capacity(1024);
    for signer in signers {
        let field = signer.field(&names, &body_hash, now);
        let hash = hash_of_head(&input, &field);
        out.extend_from_slice(field.as_bytes());
        fold(&STANDARD.encode(signer.key.sign(&hash)), &mut out);
    }
    out
}

impl Signer {
    /// The field up to the value of `b=`.
    fn field(&self, names: &str, body_hash: &str, now: DateTime<Utc>) -> String {
        let (domain, selector) = (&self.domain, &self.selector);
        let (algorithm, at) = (self.key.algorithm().name(), now.timestamp());
        format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n d={domain}; s={selector};\r\n \
             t={at}; h={names};\r\n bh={body_hash};\r\n b="
        )
    }
}

fn list(name: &str, names: &mut String) {
    if !names.is_empty() {
        names.push(':');
    }
    let line = names
        .rfind('\n')
        .map_or(names.len() + 16, |at| names.len() - at);
    if line + name.len() > LINE {
        names.push_str("\r\n ");
    }
    names.push_str(name);
}

/// Base64 over several lines: white space in it means nothing (RFC 6376 §3.5).
fn fold(signature: &str, out: &mut Vec<u8>) {
    for (index, part) in signature.as_bytes().chunks(LINE).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n ");
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn hash_of(body: &[u8]) -> Digest {
    let mut hash = Context::new(&SHA256);
    canonical::body(body, |part| hash.update(part));
    hash.finish()
}

/// What is signed: the covered fields and the signature's own, without its line end (§3.7).
fn hash_of_head(input: &[u8], field: &str) -> Digest {
    let mut all = Vec::with_capacity(input.len() + field.len());
    all.extend_from_slice(input);
    canonical::field(field.as_bytes(), &mut all);
    let end = all.len() - 2;
    digest(&SHA256, &all[..end])
}

#[cfg(test)]
mod tests;
