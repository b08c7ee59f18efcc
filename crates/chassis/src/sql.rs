//! Statements in SQL whose text never changes. Diesel's `sql_query` has Postgres plan anew each
//! time, which costs more than a small statement itself; these are planned once per connection.

use std::fmt;
use std::marker::PhantomData;

use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;
use diesel::{QueryResult, RunQueryDsl};

/// A statement with its values. Its columns, read in their order, have the types `C`.
pub struct Fixed<'v, C> {
    text: &'static str,
    values: Vec<Box<dyn Value + 'v>>,
    columns: PhantomData<C>,
}

/// The statement `text`; `$1` is the first value that is bound, and each may be named repeatedly.
pub fn fixed<C>(text: &'static str) -> Fixed<'static, C> {
    Fixed {
        text,
        values: Vec::new(),
        columns: PhantomData,
    }
}

impl<'v, C> Fixed<'v, C> {
    /// Adds the next value.
    #[must_use]
    pub fn bind<T, V>(self, value: V) -> Fixed<'v, C>
    where
        T: 'v,
        V: ToSql<T, Pg> + 'v,
        Pg: HasSqlType<T>,
    {
        let Self {
            text, mut values, ..
        } = self;
        let of = PhantomData::<T>;
        values.push(Box::new(Bound { value, of }));
        Fixed {
            text,
            values,
            columns: PhantomData,
        }
    }
}

impl<C> fmt::Debug for Fixed<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fixed").field(&self.text).finish()
    }
}

/// Any value, of whatever type.
trait Value {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Bound<T, V> {
    value: V,
    of: PhantomData<T>,
}

impl<T, V: ToSql<T, Pg>> Value for Bound<T, V>
where
    Pg: HasSqlType<T>,
{
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<T, V>(&self.value)
    }
}

impl<C> QueryFragment<Pg> for Fixed<'_, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Diesel numbers values as they come, so one that is named twice is sent twice.
        let mut parts = self.text.split('$');
        out.push_sql(parts.next().unwrap_or_default());
        for part in parts {
            let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
            let number: usize = part[..part.len() - rest.len()].parse().unwrap_or_default();
            let value = number.checked_sub(1).and_then(|at| self.values.get(at));
            let missing = || format!("${number} has no value in: {}", self.text);
            let value =
                value.ok_or_else(|| diesel::result::Error::QueryBuilderError(missing().into()))?;
            value.push(&mut out)?;
            out.push_sql(rest);
        }
        Ok(())
    }
}

impl<C> QueryId for Fixed<'_, C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> Query for Fixed<'_, C> {
    type SqlType = C;
}

impl<C> RunQueryDsl<PgConnection> for Fixed<'_, C> {}

#[cfg(test)]
mod tests {
    use diesel::debug_query;
    use diesel::sql_types::{Int4, Text};

    use super::*;

    #[test]
    fn values_stand_where_the_text_names_them() {
        let statement = fixed::<Int4>("SELECT $2, $1 WHERE $2 = 'a'")
            .bind::<Int4, _>(7)
            .bind::<Text, _>("x");
        let shown = debug_query::<Pg, _>(&statement).to_string();
        assert_eq!(
            shown,
            r#"SELECT $1, $2 WHERE $3 = 'a' -- binds: ["x", 7, "x"]"#
        );
    }

    #[test]
    fn a_value_that_is_not_there_is_an_error() {
        let statement = fixed::<Int4>("SELECT $1, $2").bind::<Int4, _>(7);
        let mut ids = diesel::pg::PgQueryBuilder::default();
        let built = statement.to_sql(&mut ids, &Pg);
        assert!(built.unwrap_err().to_string().contains("$2 has no value"));
    }
}
