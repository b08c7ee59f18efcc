//! Events in: what `leads` and `identity` tell us about people and workspaces.

use chassis::Clock;
use chassis::feed::payload;
use common::events::{
    Envelope, LeadDeleted, LeadUnsubscribed, SuppressionAdded, SuppressionRemoved, WorkspaceCreated,
};
use diesel::{PgConnection, QueryResult};

use crate::store::people;

/// Takes in one event of `leads`.
pub(crate) fn from_leads(
    conn: &mut PgConnection,
    event: &Envelope,
    clock: &Clock,
) -> QueryResult<()> {
    let workspace = event.workspaceid;
    if let Some(added) = payload::<SuppressionAdded>(event) {
        people::suppress(conn, workspace, &added.address, &added.reason)?;
    }
    if let Some(removed) = payload::<SuppressionRemoved>(event) {
        people::unsuppress(conn, workspace, &removed.address)?;
    }
    if let Some(left) = payload::<LeadUnsubscribed>(event) {
        people::withdraw(conn, workspace, left.lead_id, "unsubscribed", left.at)?;
    }
    if let Some(deleted) = payload::<LeadDeleted>(event) {
        people::erase(conn, workspace, deleted.lead_id, clock.now())?;
    }
    Ok(())
}

/// Takes in one event of `identity`.
pub(crate) fn from_identity(conn: &mut PgConnection, event: &Envelope) -> QueryResult<()> {
    if let Some(created) = payload::<WorkspaceCreated>(event) {
        people::name_workspace(conn, created.workspace_id, &created.name)?;
    }
    Ok(())
}
