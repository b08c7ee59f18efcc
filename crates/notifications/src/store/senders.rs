//! The mail servers of workspaces.

use std::collections::BTreeMap;

use chassis::sealing::Vault;
use chrono::{DateTime, NaiveDate, Utc};
use common::ids::{SenderId, WorkspaceId};
use common::values::Secret;
use diesel::prelude::*;
use mail::smtp::{SmtpServer, Tls};

use crate::domain::warm_up::WarmUp;
use crate::schema::{sender_days, senders};

/// A mail server with its limits.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = senders, treat_none_as_null = true)]
pub(crate) struct Sender {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: SenderId,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) tls: String,
    pub(crate) username: Option<String>,
    /// Sealed by the vault.
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) priority: i32,
    pub(crate) domains: Vec<String>,
    pub(crate) connections: i32,
    pub(crate) per_second: Option<f64>,
    pub(crate) domain_rates: serde_json::Value,
    pub(crate) warm_up: Option<serde_json::Value>,
    pub(crate) enabled: bool,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl Sender {
    pub(crate) fn domain_rates(&self) -> BTreeMap<String, f64> {
        // Written from the same type.
        serde_json::from_value(self.domain_rates.clone()).unwrap_or_default()
    }

    /// How its server is reached; none when the password was sealed with a key that is gone.
    pub(crate) fn server(&self, vault: &Vault) -> Option<SmtpServer> {
        let credentials = match (&self.username, &self.password) {
            (Some(user), Some(sealed)) => {
                let password = String::from_utf8(vault.open(sealed).ok()?).ok()?;
                Some((user.clone(), Secret::new(password)))
            }
            _ => None,
        };
        Some(SmtpServer {
            host: self.host.clone(),
            port: u16::try_from(self.port).ok()?,
            tls: Tls::parse(&self.tls)?,
            credentials,
        })
    }

    pub(crate) fn warm_up(&self) -> Option<WarmUp> {
        let plan = self.warm_up.clone()?;
        serde_json::from_value(plan).ok()
    }
}

/// A workspace's senders in the order of their ids, after `after`.
pub(crate) fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<SenderId>,
    limit: i64,
) -> QueryResult<Vec<Sender>> {
    let mut query = senders::table
        .filter(senders::workspace_id.eq(workspace.0))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(senders::id.gt(after.0));
    }
    query
        .order(senders::id)
        .limit(limit)
        .select(Sender::as_select())
        .load(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SenderId,
) -> QueryResult<Option<Sender>> {
    let row = senders::table.find((workspace.0, id.0));
    row.select(Sender::as_select()).first(conn).optional()
}

/// The sender, held against other writers until this transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SenderId,
) -> QueryResult<Option<Sender>> {
    let row = senders::table.find((workspace.0, id.0));
    row.select(Sender::as_select())
        .for_update()
        .first(conn)
        .optional()
}

pub(crate) fn insert(conn: &mut PgConnection, sender: &Sender) -> QueryResult<()> {
    diesel::insert_into(senders::table)
        .values(sender)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn update(conn: &mut PgConnection, sender: &Sender) -> QueryResult<()> {
    diesel::update(senders::table.find((sender.workspace_id.0, sender.id.0)))
        .set(sender)
        .execute(conn)?;
    Ok(())
}

/// True when there was one.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SenderId,
) -> QueryResult<bool> {
    let of_it = sender_days::table
        .filter(sender_days::workspace_id.eq(workspace.0))
        .filter(sender_days::sender_id.eq(id.0));
    diesel::delete(of_it).execute(conn)?;
    let deleted = diesel::delete(senders::table.find((workspace.0, id.0))).execute(conn)?;
    Ok(deleted == 1)
}

/// Those that may be used, of all workspaces: what delivery works with.
pub(crate) fn enabled(conn: &mut PgConnection) -> QueryResult<Vec<Sender>> {
    senders::table
        .filter(senders::enabled)
        .order((senders::workspace_id, senders::priority, senders::id))
        .select(Sender::as_select())
        .load(conn)
}

/// Takes up to `wanted` messages of a day's cap, for this replica alone; answers how many.
pub(crate) fn take_of_day(
    conn: &mut PgConnection,
    (workspace, id): (WorkspaceId, SenderId),
    day: NaiveDate,
    cap: u32,
    wanted: u32,
) -> QueryResult<u32> {
    let row = sender_days::table.find((workspace.0, id.0, day));
    diesel::insert_into(sender_days::table)
        .values((
            sender_days::workspace_id.eq(workspace.0),
            sender_days::sender_id.eq(id.0),
            sender_days::day.eq(day),
            sender_days::taken.eq(0),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    let taken: i32 = row.select(sender_days::taken).for_update().first(conn)?;
    let left = cap.saturating_sub(u32::try_from(taken).unwrap_or_default());
    let given = wanted.min(left);
    diesel::update(row)
        .set(sender_days::taken.eq(taken.saturating_add_unsigned(given)))
        .execute(conn)?;
    Ok(given)
}

/// Gives back what was taken of a day's cap and not used.
pub(crate) fn give_back(
    conn: &mut PgConnection,
    (workspace, id): (WorkspaceId, SenderId),
    day: NaiveDate,
    unused: u32,
) -> QueryResult<()> {
    let unused = i32::try_from(unused).unwrap_or(i32::MAX);
    diesel::update(sender_days::table.find((workspace.0, id.0, day)))
        .filter(sender_days::taken.ge(unused))
        .set(sender_days::taken.eq(sender_days::taken - unused))
        .execute(conn)?;
    Ok(())
}
