//! Keyset pages: `{"items": [...], "next_cursor": null}`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::values::Invalid;

/// How many items a page has when the caller does not say.
pub const DEFAULT_LIMIT: i64 = 50;
/// The most items a page may have.
pub const MAX_LIMIT: i64 = 500;

/// One page of a list, in the list's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Builds a page from up to `limit + 1` rows: the extra row only tells that more follow.
    pub fn from_rows<R, K: Serialize>(
        mut rows: Vec<R>,
        limit: i64,
        key: impl Fn(&R) -> K,
        view: impl FnMut(R) -> T,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|row| encode_cursor(&key(row)));
        Self {
            items: rows.into_iter().map(view).collect(),
            next_cursor,
        }
    }
}

/// The paging part of a query string. Services flatten or repeat these two fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// 1 to 500; 50 when absent.
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The page size, or why it is refused.
    pub fn limit(&self) -> Result<i64, Invalid> {
        limit(self.limit)
    }

    /// The decoded cursor, or why it is refused.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Invalid> {
        self.cursor.as_deref().map(decode_cursor).transpose()
    }
}

/// Checks a page size.
pub fn limit(limit: Option<i64>) -> Result<i64, Invalid> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Invalid(format!("must be between 1 and {MAX_LIMIT}"))),
    }
}

/// Packs a keyset position into an opaque, URL-safe string.
pub fn encode_cursor<K: Serialize>(key: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// Unpacks what [`encode_cursor`] packed.
pub fn decode_cursor<K: DeserializeOwned>(cursor: &str) -> Result<K, Invalid> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Invalid("is not a cursor of this list".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extra_row_becomes_a_cursor_and_not_an_item() {
        let page = Page::from_rows(vec![1, 2, 3], 2, |n| *n, |n| n * 10);
        assert_eq!(page.items, [10, 20]);
        let cursor = page.next_cursor.expect("more rows follow");
        assert_eq!(decode_cursor::<i32>(&cursor), Ok(2));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        assert_eq!(
            Page::from_rows(vec![1, 2], 2, |n| *n, |n| n).next_cursor,
            None
        );
    }

    #[test]
    fn a_foreign_cursor_and_a_huge_limit_are_refused() {
        let query = PageQuery {
            limit: Some(501),
            cursor: Some("%%%".into()),
        };
        assert!(query.limit().is_err());
        assert!(query.after::<i32>().is_err());
    }
}
