//! Handlers: who may, what changes, what is answered.

pub(crate) mod audience;
pub(crate) mod by_email;
pub(crate) mod confirm;
pub(crate) mod export;
pub(crate) mod forms;
pub(crate) mod imports;
pub(crate) mod leads;
pub(crate) mod lists;
pub(crate) mod members;
pub(crate) mod page;
pub(crate) mod preferences;
pub(crate) mod segments;
pub(crate) mod subscribe;
pub(crate) mod suppressions;
pub(crate) mod timeline;
pub(crate) mod unsubscribe;
pub(crate) mod upload;

use chassis::InvalidInput;
use common::FieldError;
use common::page::{decode_cursor, limit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::domain::lead;

/// Gathers what is wrong with a request, so that all of it is named at once.
#[derive(Debug, Default)]
pub(crate) struct Check(Vec<FieldError>);

impl Check {
    pub(crate) fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    /// The value, unless it is refused.
    pub(crate) fn take<T>(&mut self, pointer: &str, value: Result<T, impl ToString>) -> Option<T> {
        value
            .map_err(|why| self.refuse(pointer, why.to_string()))
            .ok()
    }

    pub(crate) fn finish(self) -> Result<(), InvalidInput> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(InvalidInput::fields(self.0)),
        }
    }
}

/// The size and start of a page.
pub(crate) fn paging<K: DeserializeOwned>(
    size: Option<i64>,
    cursor: Option<&str>,
) -> Result<(i64, Option<K>), InvalidInput> {
    let mut check = Check::default();
    let size = check.take("query/limit", limit(size));
    let after = check.take("query/cursor", cursor.map(decode_cursor).transpose());
    check.finish()?;
    Ok((size.unwrap_or_default(), after.flatten()))
}

/// A name that a list or a segment must have.
pub(crate) fn name(check: &mut Check, pointer: &str, given: &str) -> String {
    match check.take(pointer, lead::line(given, 200)) {
        Some(None) => {
            check.refuse(pointer, "must not be empty");
            String::new()
        }
        found => found.flatten().unwrap_or_default(),
    }
}

/// Tells a member that is null from one that is absent.
pub(crate) fn present<'de, T, D>(json: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(json).map(Some)
}
