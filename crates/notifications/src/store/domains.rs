//! Sending domains and their keys.

use chassis::sealing::Vault;
use chrono::{DateTime, Utc};
use common::ids::{DomainId, WorkspaceId};
use diesel::prelude::*;
use mail::dkim::{Algorithm, PrivateKey, Signer};
use uuid::Uuid;

use crate::schema::{domain_keys, domains};

/// A domain that mails are sent from.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
pub(crate) struct Domain {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: DomainId,
    pub(crate) name: String,
    pub(crate) signing: String,
    pub(crate) checked: serde_json::Value,
    pub(crate) checked_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) keys_changed_at: DateTime<Utc>,
}

/// A key of a domain.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = domain_keys)]
pub(crate) struct Key {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: Uuid,
    pub(crate) domain_id: DomainId,
    pub(crate) selector: String,
    pub(crate) algorithm: String,
    pub(crate) active: bool,
    pub(crate) private_key: Vec<u8>,
    pub(crate) record: String,
    pub(crate) created_at: DateTime<Utc>,
}

impl Key {
    /// Ready to sign; none, and told in the log, when it was sealed with a data key that is gone.
    pub(crate) fn signer(self, domain: &str, vault: &Vault) -> Option<Signer> {
        let algorithm = match self.algorithm.as_str() {
            "rsa" => Algorithm::Rsa,
            _ => Algorithm::Ed25519,
        };
        let opened = vault.open(&self.private_key).ok();
        let key = opened.and_then(|der| PrivateKey::read(algorithm, &der).ok());
        if key.is_none() {
            tracing::error!(domain.id = %self.domain_id, self.selector, "a DKIM key cannot be read: mails go out without it");
        }
        Some(Signer::new(domain, self.selector, key?))
    }
}

/// A workspace's domains in the order of their ids, after `after`.
pub(crate) fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<DomainId>,
    limit: i64,
) -> QueryResult<Vec<Domain>> {
    let mut query = domains::table
        .filter(domains::workspace_id.eq(workspace.0))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(domains::id.gt(after.0));
    }
    query
        .order(domains::id)
        .limit(limit)
        .select(Domain::as_select())
        .load(conn)
}

/// The domain, held against other writers until this transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: DomainId,
) -> QueryResult<Option<Domain>> {
    let row = domains::table.find((workspace.0, id.0));
    row.select(Domain::as_select())
        .for_update()
        .first(conn)
        .optional()
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: DomainId,
) -> QueryResult<Option<Domain>> {
    let row = domains::table.find((workspace.0, id.0));
    row.select(Domain::as_select()).first(conn).optional()
}

pub(crate) fn find_named(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    name: &str,
) -> QueryResult<Option<Domain>> {
    domains::table
        .filter(domains::workspace_id.eq(workspace.0))
        .filter(domains::name.eq(name))
        .select(Domain::as_select())
        .first(conn)
        .optional()
}

/// Which keys sign for a domain: equal as long as these are the same.
pub(crate) fn keys_changed_at(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    name: &str,
) -> QueryResult<Option<DateTime<Utc>>> {
    domains::table
        .filter(domains::workspace_id.eq(workspace.0))
        .filter(domains::name.eq(name))
        .select(domains::keys_changed_at)
        .first(conn)
        .optional()
}

/// All keys of these domains, the active ones first, RSA before Ed25519.
pub(crate) fn keys(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    of: &[DomainId],
) -> QueryResult<Vec<Key>> {
    domain_keys::table
        .filter(domain_keys::workspace_id.eq(workspace.0))
        .filter(domain_keys::domain_id.eq_any(of.iter().map(|id| id.0)))
        .order((domain_keys::active.desc(), domain_keys::algorithm.desc()))
        .select(Key::as_select())
        .load(conn)
}

/// The keys that sign mails from a domain.
pub(crate) fn active_keys(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    name: &str,
) -> QueryResult<Vec<Key>> {
    let Some(domain) = find_named(conn, workspace, name)? else {
        return Ok(Vec::new());
    };
    let mut keys = keys(conn, workspace, &[domain.id])?;
    keys.retain(|key| key.active);
    Ok(keys)
}

pub(crate) fn insert(conn: &mut PgConnection, domain: &Domain, keys: &[Key]) -> QueryResult<()> {
    diesel::insert_into(domains::table)
        .values(domain)
        .execute(conn)?;
    add_keys(conn, keys)
}

fn add_keys(conn: &mut PgConnection, keys: &[Key]) -> QueryResult<()> {
    diesel::insert_into(domain_keys::table)
        .values(keys)
        .execute(conn)?;
    Ok(())
}

/// Puts new keys in the place of those that wait.
pub(crate) fn renew_waiting(
    conn: &mut PgConnection,
    domain: &Domain,
    keys: &[Key],
) -> QueryResult<()> {
    let waiting = domain_keys::table
        .filter(domain_keys::workspace_id.eq(domain.workspace_id.0))
        .filter(domain_keys::domain_id.eq(domain.id.0))
        .filter(domain_keys::active.eq(false));
    diesel::delete(waiting).execute(conn)?;
    add_keys(conn, keys)
}

/// Lets waiting keys sign from now on, and forgets those of their kinds that did until now.
pub(crate) fn activate(conn: &mut PgConnection, domain: &Domain, keys: &[&Key]) -> QueryResult<()> {
    for key in keys {
        let of_domain = domain_keys::workspace_id
            .eq(domain.workspace_id.0)
            .and(domain_keys::domain_id.eq(domain.id.0));
        let old = domain_keys::table
            .filter(of_domain)
            .filter(domain_keys::algorithm.eq(&key.algorithm))
            .filter(domain_keys::active.eq(true));
        diesel::delete(old).execute(conn)?;
        diesel::update(domain_keys::table.find((domain.workspace_id.0, key.id)))
            .set(domain_keys::active.eq(true))
            .execute(conn)?;
    }
    Ok(())
}

pub(crate) fn note_check(conn: &mut PgConnection, domain: &Domain) -> QueryResult<()> {
    diesel::update(domains::table.find((domain.workspace_id.0, domain.id.0)))
        .set((
            domains::checked.eq(&domain.checked),
            domains::checked_at.eq(domain.checked_at),
            domains::keys_changed_at.eq(domain.keys_changed_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// True when there was one. Its keys go with it.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: DomainId,
) -> QueryResult<bool> {
    let deleted = diesel::delete(domains::table.find((workspace.0, id.0))).execute(conn)?;
    Ok(deleted == 1)
}
