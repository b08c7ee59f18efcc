//! Queries. Each one filters by workspace.

pub(crate) mod campaigns;
pub(crate) mod dispatches;
pub(crate) mod templates;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value kept in a `jsonb` column.
#[derive(
    Clone, Debug, PartialEq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = Jsonb)]
pub(crate) struct Stored<T>(pub(crate) T);

impl<T: Serialize + std::fmt::Debug> ToSql<Jsonb, Pg> for Stored<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        use std::io::Write;
        out.write_all(&[1])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(serialize::IsNull::No)
    }
}

impl<T: DeserializeOwned> FromSql<Jsonb, Pg> for Stored<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The first byte is the version of the binary format, always 1.
        let json = value.as_bytes().get(1..).unwrap_or_default();
        Ok(Self(serde_json::from_slice(json)?))
    }
}
