//! The `dispatches` table: how far each started campaign has been handed over.

use chrono::{DateTime, Utc};
use common::dto::audience::{Audience, AudienceQuery};
use common::dto::dispatch::CampaignSnapshot;
use common::json::Stored;
use common::{CampaignId, LeadId, WorkspaceId};
use diesel::prelude::*;

use crate::domain::campaign::Progress;
use crate::domain::schedule::Schedule;
use crate::schema::dispatches;

#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = dispatches)]
pub(crate) struct Dispatch {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) campaign_id: CampaignId,
    pub(crate) snapshot: Stored<CampaignSnapshot>,
    pub(crate) audience: Stored<Audience>,
    pub(crate) schedule: Option<Stored<Schedule>>,
    pub(crate) as_of: DateTime<Utc>,
    pub(crate) expected: i64,
    pub(crate) cursor: Option<LeadId>,
    pub(crate) handed: i64,
    pub(crate) complete: bool,
}

impl Dispatch {
    /// The audience as it was at the start.
    pub(crate) fn query(&self) -> AudienceQuery {
        AudienceQuery {
            workspace_id: self.workspace_id,
            audience: self.audience.0.clone(),
            as_of: self.as_of,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            expected: self.expected,
            complete: self.complete,
        }
    }
}

pub(crate) fn insert(conn: &mut PgConnection, dispatch: &Dispatch) -> QueryResult<()> {
    diesel::insert_into(dispatches::table)
        .values(dispatch.clone())
        .execute(conn)?;
    Ok(())
}

pub(crate) fn get(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    campaign: CampaignId,
) -> QueryResult<Option<Dispatch>> {
    let row = dispatches::table
        .find((workspace, campaign))
        .select(Dispatch::as_select());
    row.first(conn).optional()
}

/// Moves the cursor past a page that notifications has acknowledged; false when somebody else
/// moved it first.
pub(crate) fn advance(
    conn: &mut PgConnection,
    from: &Dispatch,
    cursor: LeadId,
    handed: i64,
) -> QueryResult<bool> {
    let row = dispatches::table
        .find((from.workspace_id, from.campaign_id))
        .filter(dispatches::cursor.is_not_distinct_from(from.cursor));
    let set = (
        dispatches::cursor.eq(Some(cursor)),
        dispatches::handed.eq(dispatches::handed + handed),
    );
    Ok(diesel::update(row).set(set).execute(conn)? == 1)
}

/// Everybody has been handed over.
pub(crate) fn complete(conn: &mut PgConnection, dispatch: &Dispatch) -> QueryResult<()> {
    diesel::update(dispatches::table.find((dispatch.workspace_id, dispatch.campaign_id)))
        .set(dispatches::complete.eq(true))
        .execute(conn)?;
    Ok(())
}
