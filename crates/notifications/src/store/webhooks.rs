//! Endpoints of customers.

use chassis::sealing::{Unreadable, Vault};
use chrono::{DateTime, Utc};
use common::ids::{WebhookId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::webhook::SigningSecret;
use crate::schema::webhooks;

/// A URL that events are posted to.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = webhooks, treat_none_as_null = true)]
pub(crate) struct Webhook {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: WebhookId,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) events: Vec<String>,
    /// Sealed by the vault.
    pub(crate) secret: Vec<u8>,
    /// Sealed too; it signs until `old_secret_until`.
    pub(crate) old_secret: Option<Vec<u8>>,
    pub(crate) old_secret_until: Option<DateTime<Utc>>,
    pub(crate) enabled: bool,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) failing_since: Option<DateTime<Utc>>,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl Webhook {
    /// What signs at `now`, the current secret first.
    pub(crate) fn secrets(
        &self,
        vault: &Vault,
        now: DateTime<Utc>,
    ) -> Result<Vec<SigningSecret>, Unreadable> {
        let old = self
            .old_secret
            .as_ref()
            .filter(|_| self.old_secret_until.is_some_and(|until| now < until));
        [Some(&self.secret), old]
            .into_iter()
            .flatten()
            .map(|sealed| vault.open(sealed).map(SigningSecret::from_bytes))
            .collect()
    }
}

/// A workspace's webhooks in the order of their ids, after `after`.
pub(crate) fn list(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    after: Option<WebhookId>,
    limit: i64,
) -> QueryResult<Vec<Webhook>> {
    let mut query = webhooks::table
        .filter(webhooks::workspace_id.eq(workspace.0))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(webhooks::id.gt(after.0));
    }
    query
        .order(webhooks::id)
        .limit(limit)
        .select(Webhook::as_select())
        .load(conn)
}

pub(crate) fn count(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<i64> {
    webhooks::table
        .filter(webhooks::workspace_id.eq(workspace.0))
        .count()
        .get_result(conn)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WebhookId,
) -> QueryResult<Option<Webhook>> {
    let row = webhooks::table.find((workspace.0, id.0));
    row.select(Webhook::as_select()).first(conn).optional()
}

/// The webhook, held against other writers until this transaction ends.
pub(crate) fn lock(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WebhookId,
) -> QueryResult<Option<Webhook>> {
    let row = webhooks::table.find((workspace.0, id.0));
    row.select(Webhook::as_select())
        .for_no_key_update()
        .first(conn)
        .optional()
}

pub(crate) fn insert(conn: &mut PgConnection, webhook: &Webhook) -> QueryResult<()> {
    diesel::insert_into(webhooks::table)
        .values(webhook)
        .execute(conn)?;
    Ok(())
}

pub(crate) fn update(conn: &mut PgConnection, webhook: &Webhook) -> QueryResult<()> {
    diesel::update(webhooks::table.find((webhook.workspace_id.0, webhook.id.0)))
        .set(webhook)
        .execute(conn)?;
    Ok(())
}

/// True when there was one; its deliveries go with it.
pub(crate) fn delete(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WebhookId,
) -> QueryResult<bool> {
    let deleted = diesel::delete(webhooks::table.find((workspace.0, id.0))).execute(conn)?;
    Ok(deleted == 1)
}

/// The enabled webhooks that want events of this type.
pub(crate) fn wanting(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    kind: &str,
) -> QueryResult<Vec<WebhookId>> {
    let wanted = vec![kind.to_owned(), crate::domain::webhook::ALL.to_owned()];
    webhooks::table
        .filter(webhooks::workspace_id.eq(workspace.0))
        .filter(webhooks::enabled)
        .filter(webhooks::events.overlaps_with(wanted))
        .select(webhooks::id)
        .load(conn)
}

/// A delivery succeeded: the webhook is not failing.
pub(crate) fn succeeded(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: WebhookId,
) -> QueryResult<()> {
    let failing = webhooks::table
        .find((workspace.0, id.0))
        .filter(webhooks::failing_since.is_not_null());
    diesel::update(failing)
        .set(webhooks::failing_since.eq(None::<DateTime<Utc>>))
        .execute(conn)?;
    Ok(())
}
