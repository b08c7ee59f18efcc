//! SQL that is put together at run time, safely by its types: text comes from this program
//! (`&'static str`), and everything a caller said is a bound value.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{
    Array, BigInt, Double, Jsonb, Text, Timestamptz, Untyped, Uuid as SqlUuid,
};
use diesel::{QueryResult, RunQueryDsl};
use uuid::Uuid;

/// A value in a [`Statement`].
#[derive(Clone, Debug)]
pub(crate) enum Bind {
    Text(String),
    Texts(Vec<String>),
    Number(f64),
    Count(i64),
    Time(DateTime<Utc>),
    Id(Uuid),
    Ids(Vec<Uuid>),
    Json(serde_json::Value),
}

macro_rules! bind_from {
    ($($type:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$type> for Bind {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

bind_from! {
    String => Text, &str => Text, Vec<String> => Texts, f64 => Number, i64 => Count,
    DateTime<Utc> => Time, Uuid => Id, Vec<Uuid> => Ids, serde_json::Value => Json,
}

macro_rules! bind_from_id {
    ($($type:ty),+) => {$(
        impl From<$type> for Bind {
            fn from(id: $type) -> Self {
                Self::Id(id.0)
            }
        }

        impl From<&[$type]> for Bind {
            fn from(ids: &[$type]) -> Self {
                Self::Ids(ids.iter().map(|id| id.0).collect())
            }
        }
    )+};
}

bind_from_id!(
    common::WorkspaceId,
    common::LeadId,
    common::ListId,
    common::SegmentId
);

#[derive(Clone, Debug)]
enum Piece {
    Sql(&'static str),
    Bind(Bind),
}

/// A statement in pieces; Diesel numbers the binds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statement(Vec<Piece>);

impl Statement {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self(vec![Piece::Sql(sql)])
    }

    /// Adds text of this program.
    pub(crate) fn sql(&mut self, sql: &'static str) -> &mut Self {
        self.0.push(Piece::Sql(sql));
        self
    }

    /// Adds a value.
    pub(crate) fn bind(&mut self, value: impl Into<Bind>) -> &mut Self {
        self.0.push(Piece::Bind(value.into()));
        self
    }

    /// Adds another statement's pieces.
    pub(crate) fn append(&mut self, other: &Statement) -> &mut Self {
        self.0.extend(other.0.iter().cloned());
        self
    }
}

/// A statement whose columns are read by their places: by name, each would be searched for in every
/// row.
#[derive(Clone, Debug)]
pub(crate) struct Typed<T> {
    statement: Statement,
    columns: PhantomData<T>,
}

impl Statement {
    /// Its columns, in their order, are `T`.
    pub(crate) fn typed<T>(self) -> Typed<T> {
        Typed {
            statement: self,
            columns: PhantomData,
        }
    }
}

impl<T> QueryFragment<Pg> for Typed<T> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.statement.walk_ast(out)
    }
}

impl<T> QueryId for Typed<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Query for Typed<T> {
    type SqlType = T;
}

impl<T> RunQueryDsl<PgConnection> for Typed<T> {}

impl QueryFragment<Pg> for Statement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Every rule is another text: a cache would only grow.
        out.unsafe_to_cache_prepared();
        for piece in &self.0 {
            match piece {
                Piece::Sql(sql) => out.push_sql(sql),
                Piece::Bind(Bind::Text(value)) => out.push_bind_param::<Text, _>(value)?,
                Piece::Bind(Bind::Texts(value)) => out.push_bind_param::<Array<Text>, _>(value)?,
                Piece::Bind(Bind::Number(value)) => out.push_bind_param::<Double, _>(value)?,
                Piece::Bind(Bind::Count(value)) => out.push_bind_param::<BigInt, _>(value)?,
                Piece::Bind(Bind::Time(value)) => out.push_bind_param::<Timestamptz, _>(value)?,
                Piece::Bind(Bind::Id(value)) => out.push_bind_param::<SqlUuid, _>(value)?,
                Piece::Bind(Bind::Ids(value)) => out.push_bind_param::<Array<SqlUuid>, _>(value)?,
                Piece::Bind(Bind::Json(value)) => out.push_bind_param::<Jsonb, _>(value)?,
            }
        }
        Ok(())
    }
}

impl QueryId for Statement {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement {
    type SqlType = Untyped;
}

impl RunQueryDsl<PgConnection> for Statement {}
