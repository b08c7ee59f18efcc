//! Which country an address is in, by a database that the operator supplies.

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{PathElement, Reader};

/// A database in MaxMind's format, or none. Clones share it.
#[derive(Clone, Default)]
pub struct Countries(Option<Arc<Reader<Vec<u8>>>>);

impl std::fmt::Debug for Countries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self
            .0
            .as_ref()
            .map(|reader| &reader.metadata().database_type);
        write!(f, "Countries({known:?})")
    }
}

impl Countries {
    /// Reads a file into memory.
    pub fn open(path: &str) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        Ok(Self(Some(Arc::new(reader))))
    }

    /// The country's two letters (ISO 3166-1).
    pub fn of(&self, address: &str) -> Option<String> {
        let reader = self.0.as_ref()?;
        let address: IpAddr = address.parse().ok()?;
        let path = [PathElement::Key("country"), PathElement::Key("iso_code")];
        let found = reader.lookup(address).ok()?;
        let code: &str = found.decode_path(&path).ok()??;
        let proper = code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase());
        proper.then(|| code.to_owned())
    }
}
