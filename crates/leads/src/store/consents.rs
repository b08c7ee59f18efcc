//! The `consents` table: a ledger that only grows.

use chrono::{DateTime, Utc};
use common::{LeadId, ListId, WorkspaceId};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::consents;

/// Whose consent changed, when, by whom, how, and in which words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consent<'a> {
    pub lead: LeadId,
    pub at: DateTime<Utc>,
    /// `user:<id>`, `key:<id>`, `import:<id>`, `lead` when the person did it, or `clarion`.
    pub actor: &'a str,
    /// `api`, `import`, `link`, `one_click`, `preferences`, `form`, `double_opt_in` or
    /// `lapsed`.
    pub method: &'a str,
    /// The sentence that was agreed to, or under which consent was withdrawn.
    pub wording: Option<&'a str>,
}

/// One line of the ledger.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = consents, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Entry {
    pub list_id: Option<ListId>,
    pub status: String,
    pub method: String,
    pub actor: String,
    pub wording: Option<String>,
    pub at: DateTime<Utc>,
}

/// Adds a line. No list means every list.
pub(crate) fn record(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    list: Option<ListId>,
    status: &str,
    consent: &Consent<'_>,
) -> QueryResult<()> {
    diesel::insert_into(consents::table)
        .values((
            consents::workspace_id.eq(workspace),
            consents::id.eq(Uuid::now_v7()),
            consents::lead_id.eq(consent.lead),
            consents::list_id.eq(list),
            consents::status.eq(status),
            consents::method.eq(consent.method),
            consents::actor.eq(consent.actor),
            consents::wording.eq(consent.wording),
            consents::at.eq(consent.at),
        ))
        .execute(conn)?;
    Ok(())
}

/// How a person's standing on a list came about: the method of its latest line.
pub(crate) fn method(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    list: ListId,
) -> QueryResult<Option<String>> {
    consents::table
        .filter(consents::workspace_id.eq(workspace))
        .filter(consents::lead_id.eq(lead))
        .filter(consents::list_id.eq(list))
        .order((consents::at.desc(), consents::id.desc()))
        .select(consents::method)
        .first(conn)
        .optional()
}

/// A person's latest lines, newest first.
pub(crate) fn of_lead(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    limit: i64,
) -> QueryResult<Vec<Entry>> {
    consents::table
        .filter(consents::workspace_id.eq(workspace))
        .filter(consents::lead_id.eq(lead))
        .order((consents::at.desc(), consents::id.desc()))
        .limit(limit)
        .select(Entry::as_select())
        .load(conn)
}
