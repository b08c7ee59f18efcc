//! What came back about mails.

use chrono::{DateTime, Utc};
use common::ids::{MessageId, WorkspaceId};
use diesel::prelude::*;

use super::messages::Message;
use crate::domain::feedback::SoftScore;
use crate::schema::{feedback, messages, soft_bounces, workspaces};

/// A row.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = feedback)]
pub(crate) struct Feedback {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) address: String,
    pub(crate) reference: String,
    pub(crate) class: String,
    pub(crate) message_id: Option<MessageId>,
    pub(crate) source: String,
    pub(crate) status: Option<String>,
    pub(crate) diagnostic: Option<String>,
    pub(crate) reason: String,
    pub(crate) at: DateTime<Utc>,
}

/// True when it was not told before.
pub(crate) fn add(conn: &mut PgConnection, told: &Feedback) -> QueryResult<bool> {
    let added = diesel::insert_into(feedback::table)
        .values(told)
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

/// What came back about a message, oldest first.
pub(crate) fn of_message(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    message: MessageId,
) -> QueryResult<Vec<Feedback>> {
    feedback::table
        .filter(feedback::workspace_id.eq(workspace.0))
        .filter(feedback::message_id.eq(message.0))
        .order((feedback::at, feedback::class))
        .select(Feedback::as_select())
        .load(conn)
}

/// The address's score, held until this transaction ends.
pub(crate) fn lock_score(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &str,
    now: DateTime<Utc>,
) -> QueryResult<SoftScore> {
    let SoftScore { score, at } = SoftScore::none(now);
    diesel::insert_into(soft_bounces::table)
        .values((
            soft_bounces::workspace_id.eq(workspace.0),
            soft_bounces::address.eq(address),
            soft_bounces::score.eq(score),
            soft_bounces::at.eq(at),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    let (score, at) = soft_bounces::table
        .find((workspace.0, address))
        .select((soft_bounces::score, soft_bounces::at))
        .for_update()
        .first(conn)?;
    Ok(SoftScore { score, at })
}

pub(crate) fn set_score(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &str,
    score: SoftScore,
) -> QueryResult<()> {
    diesel::update(soft_bounces::table.find((workspace.0, address)))
        .set((
            soft_bounces::score.eq(score.score),
            soft_bounces::at.eq(score.at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Forgets the soft bounces of an address: what it was suppressed for does not count again.
pub(crate) fn forget_score(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    address: &str,
) -> QueryResult<()> {
    diesel::delete(soft_bounces::table.find((workspace.0, address))).execute(conn)?;
    Ok(())
}

/// Forgets all that came back about mails to these addresses.
pub(crate) fn erase(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    addresses: &[String],
) -> QueryResult<()> {
    let of_them = feedback::table
        .filter(feedback::workspace_id.eq(workspace.0))
        .filter(feedback::address.eq_any(addresses));
    diesel::delete(of_them).execute(conn)?;
    let scores = soft_bounces::table
        .filter(soft_bounces::workspace_id.eq(workspace.0))
        .filter(soft_bounces::address.eq_any(addresses));
    diesel::delete(scores).execute(conn)?;
    Ok(())
}

/// The message with this id of one of the workspaces that sent and have ids from the first to the
/// last. Its partition is known by its id, and in there it is looked up by its whole key.
pub(crate) fn find_message(
    conn: &mut PgConnection,
    id: MessageId,
    (first, last): (WorkspaceId, WorkspaceId),
) -> QueryResult<Option<(WorkspaceId, Message)>> {
    let workspaces: Vec<WorkspaceId> = workspaces::table
        .filter(workspaces::workspace_id.between(first.0, last.0))
        .select(workspaces::workspace_id)
        .load(conn)?;
    let workspaces = workspaces.into_iter().map(|workspace| workspace.0);
    messages::table
        .filter(messages::workspace_id.eq_any(workspaces))
        .filter(messages::id.eq(id.0))
        .select((messages::workspace_id, Message::as_select()))
        .first(conn)
        .optional()
}
