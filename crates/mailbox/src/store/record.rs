//! How a message lies in a segment: magic, length, checksum, then the summary and the source.
//!
//! ```text
//! "CMB1" | u32 length of what follows the checksum | u32 crc32 of it
//!        | u32 length of the summary | summary as JSON | source
//! ```

use bytes::Bytes;

use super::Summary;

const MAGIC: &[u8; 4] = b"CMB1";
pub(super) const HEAD: usize = 12;

/// A message ready to be written.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) summary: Summary,
    pub(super) raw: Bytes,
    head: Vec<u8>,
}

impl Record {
    pub(super) fn new(summary: Summary, raw: Bytes) -> Result<Self, serde_json::Error> {
        let json = serde_json::to_vec(&summary)?;
        let meta_length = length(json.len())?;
        let body_length = length(4 + json.len() + raw.len())?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&meta_length);
        crc.update(&json);
        crc.update(&raw);
        let checksum = crc.finalize().to_le_bytes();
        let head = [MAGIC, &body_length[..], &checksum, &meta_length, &json].concat();
        Ok(Self { summary, raw, head })
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.raw);
    }

    /// Where in the record the source begins.
    pub(super) fn raw_at(&self) -> u64 {
        self.head.len() as u64
    }
}

fn length(octets: usize) -> Result<[u8; 4], serde_json::Error> {
    let octets = u32::try_from(octets).map_err(serde::ser::Error::custom)?;
    Ok(octets.to_le_bytes())
}

/// The head of a record: how long its body is, and what the body must sum to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) length: u64,
    checksum: u32,
}

impl Head {
    pub(super) fn parse(head: &[u8; HEAD]) -> Option<Self> {
        let rest = head.strip_prefix(MAGIC)?;
        Some(Self {
            length: number(rest)?.into(),
            checksum: number(&rest[4..])?,
        })
    }

    pub(super) fn matches(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.checksum
    }
}

/// The little-endian number that begins these bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.first_chunk()?))
}
