//! Events in: what `leads`, `identity` and `campaigns` tell us about people, workspaces and templates.

use chassis::Clock;
use chassis::feed::payload;
use common::events::{
    Envelope, LeadDeleted, LeadUnsubscribed, SuppressionAdded, SuppressionRemoved, TemplateDeleted,
    TemplateSaved, WorkspaceCreated,
};
use diesel::{PgConnection, QueryResult};

use crate::store::{people, templates};

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
        let person = (deleted.lead_id, deleted.email.as_str());
        people::erase(conn, workspace, person, clock.now())?;
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

/// Takes in one event of `campaigns`.
pub(crate) fn from_campaigns(conn: &mut PgConnection, event: &Envelope) -> QueryResult<()> {
    if let Some(saved) = payload::<TemplateSaved>(event) {
        templates::save(conn, event.workspaceid, saved.template_id, &saved.template)?;
    }
    if let Some(deleted) = payload::<TemplateDeleted>(event) {
        templates::delete(conn, event.workspaceid, deleted.template_id)?;
    }
    Ok(())
}
