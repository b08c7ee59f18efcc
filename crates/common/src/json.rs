//! JSON that is passed on, and JSON that is kept.

use std::io::Write;

use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{Json, Jsonb};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// The octet before the text of a `jsonb`.
const JSONB_VERSION: u8 = 1;

/// A JSON value as it was written: whoever hands it on does not take it apart.
#[derive(Clone, Debug, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[serde(transparent)]
#[diesel(sql_type = Json)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// Writes `value` down; refused where a map has keys that are no texts.
    pub fn new(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        to_raw_value(value).map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Takes it apart.
    pub fn read<'j, T: Deserialize<'j>>(&'j self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }
}

impl From<&Value> for RawJson {
    fn from(value: &Value) -> Self {
        Self::new(value).expect("every JSON value can be written")
    }
}

impl From<Value> for RawJson {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

/// `null`
impl Default for RawJson {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

/// Two values are the same when they are written the same.
impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl ToSql<Json, Pg> for RawJson {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        out.write_all(self.as_str().as_bytes())?;
        Ok(IsNull::No)
    }
}

/// In the version that Postgres has used since it has this type.
impl ToSql<Jsonb, Pg> for RawJson {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        out.write_all(&[JSONB_VERSION])?;
        ToSql::<Json, Pg>::to_sql(self, out)
    }
}

impl FromSql<Json, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.as_bytes())?))
    }
}

/// As Postgres writes it: without white space and with sorted keys.
impl FromSql<Jsonb, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        match value.as_bytes() {
            [JSONB_VERSION, text @ ..] => Ok(Self(serde_json::from_slice(text)?)),
            _ => Err("an unknown version of jsonb".into()),
        }
    }
}

/// A value kept in a `jsonb` column.
#[derive(Clone, Debug, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
pub struct Stored<T>(pub T);

impl<T: Serialize + std::fmt::Debug> ToSql<Jsonb, Pg> for Stored<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> diesel::serialize::Result {
        out.write_all(&[JSONB_VERSION])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

impl<T: DeserializeOwned> FromSql<Jsonb, Pg> for Stored<T> {
    fn from_sql(value: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        match value.as_bytes() {
            [JSONB_VERSION, text @ ..] => Ok(Self(serde_json::from_slice(text)?)),
            _ => Err("an unknown version of jsonb".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_passed_on_stays_as_it_was_written() {
        #[derive(Serialize, Deserialize)]
        struct Page {
            items: Vec<RawJson>,
        }
        let text = r#"{"items":[{"b":1.0, "a":"\u00e9"},null]}"#;
        let page: Page = serde_json::from_str(text).expect("well-formed");
        assert_eq!(page.items[0].as_str(), r#"{"b":1.0, "a":"\u00e9"}"#);
        assert_eq!(page.items[1], RawJson::default());
        let again = serde_json::to_string(&page).expect("can be written");
        assert_eq!(again, text);
        let read: Value = page.items[0].read().expect("well-formed");
        assert_eq!(read, json!({ "a": "é", "b": 1.0 }));
    }
}
