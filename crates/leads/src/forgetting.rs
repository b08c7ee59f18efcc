//! How people are forgotten: because somebody says so, or because they never confirmed what was sent
//! with their address.

use chassis::outbox;
use chrono::{DateTime, TimeDelta, Utc};
use common::events::LeadDeleted;
use common::{LeadId, WorkspaceId};
use diesel::{PgConnection, QueryResult};

use crate::store::consents::{self, Consent};
use crate::store::leads::{self, Lead};
use crate::store::submissions::{self, Submission};
use crate::store::{forms, members};

/// What nobody has confirmed for so long is forgotten. The link that confirms it works for a week.
pub(crate) const LAPSES_AFTER: TimeDelta = TimeDelta::days(30);

/// More than anybody can have sent in that time.
const ALL: i64 = 1_000;

/// Forgets a person, who must be locked. The consent ledger keeps its lines, which hold no personal
/// data.
pub(crate) fn person(conn: &mut PgConnection, lead: Lead) -> QueryResult<()> {
    let (workspace, lead_id) = (lead.workspace_id, lead.id);
    members::forget(conn, workspace, lead_id)?;
    submissions::forget(conn, workspace, lead_id)?;
    leads::delete(conn, workspace, lead_id)?;
    let email = lead.email;
    outbox::push(conn, workspace, &LeadDeleted { lead_id, email })
}

/// Forgets what somebody sent before a moment and never confirmed, with the standing on lists that
/// came of it, and the person too when nothing else is known of them.
pub(crate) fn lapsed(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: LeadId,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let Some(lead) = leads::lock(conn, workspace, id)? else {
        return submissions::forget(conn, workspace, id).map(|_| ());
    };
    let sent = submissions::take_lapsed(conn, workspace, id, before)?;
    let left = submissions::of_lead(conn, workspace, id, ALL)?;
    for submission in &sent {
        forms::lapse(conn, workspace, submission.form_id)?;
        withdraw(conn, submission, &left, now)?;
    }
    let nothing_else = lead.unconfirmed
        && left.is_empty()
        && members::of_lead(conn, workspace, id)?.is_empty()
        && leads::is_bare(conn, workspace, id)?;
    match nothing_else {
        true => person(conn, lead),
        false => Ok(()),
    }
}

/// Takes a person off the lists on which only this form put them, as unconfirmed, and for which
/// nothing else waits that they sent.
fn withdraw(
    conn: &mut PgConnection,
    sent: &Submission,
    left: &[Submission],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (workspace, lead) = (sent.workspace_id, sent.lead_id);
    let consent = Consent {
        lead,
        at: now,
        actor: "clarion",
        method: "lapsed",
        wording: Some(&sent.wording),
    };
    let waits = |list| left.iter().any(|other| other.list_ids.contains(list));
    for list in sent.list_ids.iter().filter(|list| !waits(list)) {
        let member = members::find(conn, workspace, *list, lead)?;
        if member.is_none_or(|member| member.status != "unconfirmed") {
            continue;
        }
        let method = consents::method(conn, workspace, lead, *list)?;
        if method.as_deref() == Some("form") {
            members::remove(conn, workspace, *list, &consent)?;
        }
    }
    Ok(())
}
