//! Campaigns that no sender takes anything of.

use chrono::{DateTime, Utc};
use common::events::{CampaignHeld, CampaignReleased};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

/// A campaign that is held, and whether it has still something to send.
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct HeldCampaign {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) workspace_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(crate) id: Uuid,
    #[diesel(sql_type = Bool)]
    pub(crate) goes_on: bool,
}

/// All that are held.
pub(crate) fn all(conn: &mut PgConnection) -> QueryResult<Vec<HeldCampaign>> {
    sql_query(
        "SELECT workspace_id, id, state = 'running' AND pending > 0 AS goes_on
         FROM campaigns WHERE held_reason IS NOT NULL",
    )
    .load(conn)
}

/// Holds a running campaign and tells so; one that is held already stays as it is.
pub(crate) fn hold(
    conn: &mut PgConnection,
    (workspace, id): (Uuid, Uuid),
    reason: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let changed = sql_query(
        "UPDATE campaigns SET held_reason = $3, held_since = $4
         WHERE workspace_id = $1 AND id = $2 AND held_reason IS NULL AND state = 'running'
           AND pending > 0",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(reason)
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    if changed == 1 {
        let event = CampaignHeld {
            campaign_id: id.into(),
            reason: reason.to_owned(),
            since: now,
        };
        chassis::outbox::push(conn, workspace.into(), &event)?;
    }
    Ok(())
}

/// Holds every running campaign that has something to send.
pub(crate) fn hold_all(
    conn: &mut PgConnection,
    reason: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = SqlUuid)]
        workspace_id: Uuid,
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let keys: Vec<Key> = sql_query(
        "SELECT workspace_id, id FROM campaigns
         WHERE settled_at IS NULL AND state = 'running' AND pending > 0 AND held_reason IS NULL
         ORDER BY workspace_id, id",
    )
    .load(conn)?;
    for key in keys {
        hold(conn, (key.workspace_id, key.id), reason, now)?;
    }
    Ok(())
}

/// Holds it no more and tells so.
pub(crate) fn release(conn: &mut PgConnection, (workspace, id): (Uuid, Uuid)) -> QueryResult<()> {
    let changed = sql_query(
        "UPDATE campaigns SET held_reason = NULL, held_since = NULL
         WHERE workspace_id = $1 AND id = $2 AND held_reason IS NOT NULL",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(id)
    .execute(conn)?;
    if changed == 1 {
        let event = CampaignReleased {
            campaign_id: id.into(),
        };
        chassis::outbox::push(conn, workspace.into(), &event)?;
    }
    Ok(())
}
