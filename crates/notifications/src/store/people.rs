//! What other services told about people and workspaces, and forgetting a person.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use common::dto::dispatch::Outcome;
use common::ids::{LeadId, WorkspaceId};
use common::json::RawJson;
use diesel::prelude::*;
use diesel::upsert::excluded;
use uuid::Uuid;

use super::attachments;
use super::bundles;
use super::campaigns::{self, Tally};
use super::feedback;
use super::webhook_deliveries;
use crate::domain::state::State;
use crate::schema::{messages, suppressed_addresses, withdrawn_leads, workspaces};

pub(crate) fn suppress(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &str,
    reason: &str,
) -> QueryResult<()> {
    diesel::insert_into(suppressed_addresses::table)
        .values((
            suppressed_addresses::workspace_id.eq(workspace.0),
            suppressed_addresses::address.eq(address.to_lowercase()),
            suppressed_addresses::reason.eq(reason),
        ))
        .on_conflict((
            suppressed_addresses::workspace_id,
            suppressed_addresses::address,
        ))
        .do_update()
        .set(suppressed_addresses::reason.eq(excluded(suppressed_addresses::reason)))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn unsuppress(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &str,
) -> QueryResult<()> {
    diesel::delete(suppressed_addresses::table.find((workspace.0, address.to_lowercase())))
        .execute(conn)?;
    Ok(())
}

/// Remembers that a person withdrew; a deletion is never undone by an older unsubscription.
pub(crate) fn withdraw(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    lead: LeadId,
    reason: &str,
    at: DateTime<Utc>,
) -> QueryResult<()> {
    let row = (
        withdrawn_leads::workspace_id.eq(workspace.0),
        withdrawn_leads::lead_id.eq(lead.0),
        withdrawn_leads::reason.eq(reason),
        withdrawn_leads::at.eq(at),
    );
    let insert = diesel::insert_into(withdrawn_leads::table).values(row);
    let known = (withdrawn_leads::workspace_id, withdrawn_leads::lead_id);
    let update = insert.on_conflict(known).do_update().set((
        withdrawn_leads::reason.eq(excluded(withdrawn_leads::reason)),
        withdrawn_leads::at.eq(excluded(withdrawn_leads::at)),
    ));
    diesel::query_dsl::methods::FilterDsl::filter(update, withdrawn_leads::reason.ne("deleted"))
        .execute(conn)?;
    Ok(())
}

/// What stands in place of an address that was erased.
const ERASED: &str = "erased";

/// Forgets a person: what waits is skipped, what was sent keeps its outcome and loses address and
/// data, and what was told of them, by mail servers or to webhooks, is erased. Messages in work end
/// as they end; they are not sent again. Single messages belong to no lead: those to the person's
/// address that bring files are forgotten with the files.
pub(crate) fn erase(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    (lead, email): (LeadId, &str),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    withdraw(conn, workspace, lead, "deleted", now)?;
    let carriers = attachments::carriers(conn, workspace, email)?;
    let mut theirs: Vec<Uuid> = messages::table
        .filter(messages::workspace_id.eq(workspace.0))
        .filter(messages::lead_id.eq(lead.0))
        .filter(messages::state.eq(State::Pending.as_str()))
        .select(messages::id)
        .load(conn)?;
    theirs.extend(&carriers);
    skip_waiting(conn, workspace, &theirs, now)?;
    attachments::delete_of(conn, workspace, &carriers)?;
    let carried = messages::table
        .filter(messages::workspace_id.eq(workspace.0))
        .filter(messages::id.eq_any(&carriers))
        .filter(messages::bundle_id.is_null());
    diesel::update(carried)
        .set((
            messages::address.eq(ERASED),
            messages::variables.eq(None::<RawJson>),
            messages::attachments.eq(None::<serde_json::Value>),
            messages::reply.eq(None::<String>),
        ))
        .execute(conn)?;
    let theirs = messages::table
        .filter(messages::workspace_id.eq(workspace.0))
        .filter(messages::lead_id.eq(lead.0));
    let addresses: Vec<String> = theirs.select(messages::address).distinct().load(conn)?;
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| address.to_lowercase())
        .chain([email.to_lowercase()])
        .filter(|address| address != ERASED)
        .collect();
    feedback::erase(conn, workspace, &addresses)?;
    webhook_deliveries::erase(conn, workspace, lead, &addresses)?;
    diesel::update(theirs)
        .set((
            messages::address.eq(ERASED),
            messages::variables.eq(None::<RawJson>),
            messages::reply.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Skips those of these messages that wait and that nobody holds.
fn skip_waiting(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    ids: &[Uuid],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let waiting = messages::table
        .filter(messages::workspace_id.eq(workspace.0))
        .filter(messages::id.eq_any(ids))
        .filter(messages::state.eq(State::Pending.as_str()));
    let found: Vec<(Option<Uuid>, Option<Uuid>)> = waiting
        .clone()
        .select((messages::campaign_id, messages::bundle_id))
        .load(conn)?;
    let (campaigns, bundles): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let keys: BTreeSet<_> = campaigns.into_iter().flatten().collect();
    let keys: Vec<_> = keys.into_iter().map(|id| (workspace.0, id)).collect();
    campaigns::lock_several(conn, &keys)?;
    let bundles: Vec<_> = bundles.into_iter().flatten().collect();
    let free = bundles::lock_free(conn, workspace.0, &bundles)?;
    let mut skipped: Vec<Option<Uuid>> =
        diesel::update(waiting.filter(messages::bundle_id.eq_any(free)))
            .set((
                messages::state.eq(State::Skipped.as_str()),
                messages::reason.eq("deleted"),
                messages::bundle_id.eq(None::<Uuid>),
                messages::next_attempt_at.eq(None::<DateTime<Utc>>),
                messages::settled_at.eq(now),
            ))
            .returning(messages::campaign_id)
            .get_results(conn)?;
    skipped.sort();
    for campaign in skipped.into_iter().flatten() {
        let mut tally = Tally::default();
        tally.moved(Outcome::Pending, Outcome::Skipped);
        campaigns::count(conn, workspace.0, campaign, tally, now)?;
    }
    Ok(())
}

pub(crate) fn name_workspace(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    name: &str,
) -> QueryResult<()> {
    diesel::insert_into(workspaces::table)
        .values((
            workspaces::workspace_id.eq(workspace.0),
            workspaces::name.eq(name),
        ))
        .on_conflict(workspaces::workspace_id)
        .do_update()
        .set(workspaces::name.eq(excluded(workspaces::name)))
        .execute(conn)?;
    Ok(())
}

/// Makes sure that a workspace that sends can be found by what comes back, told of or not.
pub(crate) fn know_workspace(conn: &mut PgConnection, workspace: WorkspaceId) -> QueryResult<()> {
    diesel::insert_into(workspaces::table)
        .values((
            workspaces::workspace_id.eq(workspace.0),
            workspaces::name.eq(""),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}

/// The workspace's name, empty while nobody told it.
pub(crate) fn workspace_name(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
) -> QueryResult<String> {
    let name: Option<String> = workspaces::table
        .find(workspace.0)
        .select(workspaces::name)
        .first(conn)
        .optional()?;
    Ok(name.unwrap_or_default())
}
