//! Which database the ledger is kept in, and the times it looked restored.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Int4, Int8, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::domain::instance::Identity;

/// What is known of the database that the ledger is kept in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub(crate) id: Uuid,
    pub(crate) identity: Identity,
    pub(crate) mark: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<Int8>)]
    system_id: Option<i64>,
    #[diesel(sql_type = Nullable<Int4>)]
    timeline: Option<i32>,
    #[diesel(sql_type = Int8)]
    database_oid: i64,
    #[diesel(sql_type = Int8)]
    mark: i64,
}

impl Row {
    fn instance(self) -> Instance {
        Instance {
            id: self.id,
            identity: Identity {
                system: self.system_id,
                timeline: self.timeline,
                database: self.database_oid,
            },
            mark: self.mark,
        }
    }
}

/// The database at the other end of this connection, as far as it tells.
pub(crate) fn found(conn: &mut PgConnection) -> QueryResult<Identity> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Int8)]
        database: i64,
        #[diesel(sql_type = Bool)]
        tells_system: bool,
        #[diesel(sql_type = Bool)]
        tells_timeline: bool,
    }
    #[derive(QueryableByName)]
    struct System {
        #[diesel(sql_type = Int8)]
        id: i64,
    }
    #[derive(QueryableByName)]
    struct Timeline {
        #[diesel(sql_type = Int4)]
        id: i32,
    }
    let row: Found = sql_query(
        "SELECT (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database,
                coalesce(has_function_privilege(
                    to_regprocedure('pg_catalog.pg_control_system()'), 'EXECUTE'), false)
                    AS tells_system,
                coalesce(has_function_privilege(
                    to_regprocedure('pg_catalog.pg_walfile_name(pg_lsn)'), 'EXECUTE'), false)
                    AND NOT pg_is_in_recovery() AS tells_timeline",
    )
    .get_result(conn)?;
    let system = match row.tells_system {
        true => {
            let query = "SELECT system_identifier AS id FROM pg_control_system()";
            Some(sql_query(query).get_result::<System>(conn)?.id)
        }
        false => None,
    };
    let timeline = match row.tells_timeline {
        true => {
            // The last checkpoint may still be of the timeline before.
            let query = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer AS id";
            Some(sql_query(query).get_result::<Timeline>(conn)?.id)
        }
        false => None,
    };
    Ok(Identity {
        system,
        timeline,
        database: row.database,
    })
}

/// The name under which its mark is remembered elsewhere; none before the first start.
pub(crate) fn id(conn: &mut PgConnection) -> QueryResult<Option<Uuid>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let row: Option<Id> = sql_query("SELECT id FROM instance")
        .get_result(conn)
        .optional()?;
    Ok(row.map(|row| row.id))
}

/// What is known, held until the transaction ends; at the first start that is what was found. What
/// this transaction writes survives a crash once it is committed.
pub(crate) fn lock(
    conn: &mut PgConnection,
    found: &Identity,
    now: DateTime<Utc>,
) -> QueryResult<Instance> {
    conn.batch_execute("SET LOCAL synchronous_commit = on")?;
    sql_query(
        "INSERT INTO instance (id, system_id, timeline, database_oid, since)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Nullable<Int8>, _>(found.system)
    .bind::<Nullable<Int4>, _>(found.timeline)
    .bind::<Int8, _>(found.database)
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    let row: Row =
        sql_query("SELECT id, system_id, timeline, database_oid, mark FROM instance FOR UPDATE")
            .get_result(conn)?;
    Ok(row.instance())
}

/// One more mark of the instance that is locked, which is the one that was found.
pub(crate) fn advance(conn: &mut PgConnection, found: &Identity) -> QueryResult<()> {
    sql_query(
        "UPDATE instance SET mark = mark + 1, system_id = coalesce($1, system_id),
                             timeline = coalesce($2, timeline)",
    )
    .bind::<Nullable<Int8>, _>(found.system)
    .bind::<Nullable<Int4>, _>(found.timeline)
    .execute(conn)?;
    Ok(())
}

/// From now on the ledger is kept in the database that was found. Its new name keeps it apart from
/// the one that it was restored from.
pub(crate) fn settle(
    conn: &mut PgConnection,
    found: &Identity,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    sql_query(
        "UPDATE instance SET id = $1, system_id = $2, timeline = $3, database_oid = $4, mark = 0,
                             since = $5",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Nullable<Int8>, _>(found.system)
    .bind::<Nullable<Int4>, _>(found.timeline)
    .bind::<Int8, _>(found.database)
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    Ok(())
}

/// A time the ledger looked restored, and the word about it.
#[derive(Clone, Debug, QueryableByName)]
pub struct LedgerHold {
    #[diesel(sql_type = Text)]
    pub reason: String,
    #[diesel(sql_type = Timestamptz)]
    pub held_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub released_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub released_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub released_how: Option<String>,
    /// Messages that became ambiguous by that word.
    #[diesel(sql_type = Nullable<Int8>)]
    pub in_doubt: Option<i64>,
}

/// The hold that nobody has released yet.
pub(crate) fn open_hold(conn: &mut PgConnection) -> QueryResult<Option<LedgerHold>> {
    sql_query("SELECT * FROM ledger_holds WHERE released_at IS NULL")
        .get_result(conn)
        .optional()
}

/// The last `limit` holds, the latest first.
pub(crate) fn holds(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<LedgerHold>> {
    sql_query("SELECT * FROM ledger_holds ORDER BY held_at DESC LIMIT $1")
        .bind::<Int8, _>(limit)
        .load(conn)
}

/// Holds the ledger. The instance is locked and there is no hold.
pub(crate) fn hold(conn: &mut PgConnection, reason: &str, now: DateTime<Utc>) -> QueryResult<()> {
    sql_query("INSERT INTO ledger_holds (id, reason, held_at) VALUES ($1, $2, $3)")
        .bind::<SqlUuid, _>(Uuid::now_v7())
        .bind::<Text, _>(reason)
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    Ok(())
}

/// Writes down who released the ledger and how; answers whether it was held.
pub(crate) fn release(
    conn: &mut PgConnection,
    (by, how): (&str, &str),
    in_doubt: i64,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let changed = sql_query(
        "UPDATE ledger_holds SET released_at = $1, released_by = $2, released_how = $3, in_doubt = $4
         WHERE released_at IS NULL",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(by)
    .bind::<Text, _>(how)
    .bind::<Int8, _>(in_doubt)
    .execute(conn)?;
    Ok(changed == 1)
}
