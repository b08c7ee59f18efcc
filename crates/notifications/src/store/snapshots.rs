//! What mails are made from, kept once per content.

use chrono::{DateTime, Utc};
use common::dto::dispatch::CampaignSnapshot;
use common::ids::WorkspaceId;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::snapshots;

/// The id of a content: the same for the same content.
pub(crate) fn id(snapshot: &CampaignSnapshot) -> Result<Uuid, serde_json::Error> {
    let bytes = serde_json::to_vec(snapshot)?;
    Ok(Uuid::new_v5(&snapshot.workspace_id.0, &bytes))
}

/// Keeps a content and answers its id.
pub(crate) fn keep(
    conn: &mut PgConnection,
    snapshot: &CampaignSnapshot,
    now: DateTime<Utc>,
) -> QueryResult<Uuid> {
    let unwritable =
        |error: serde_json::Error| diesel::result::Error::SerializationError(Box::new(error));
    let id = id(snapshot).map_err(unwritable)?;
    let body = serde_json::to_value(snapshot).map_err(unwritable)?;
    diesel::insert_into(snapshots::table)
        .values((
            snapshots::workspace_id.eq(snapshot.workspace_id.0),
            snapshots::id.eq(id),
            snapshots::body.eq(body),
            snapshots::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(id)
}

pub(crate) fn find(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: Uuid,
) -> QueryResult<Option<CampaignSnapshot>> {
    let body: Option<serde_json::Value> = snapshots::table
        .find((workspace.0, id))
        .select(snapshots::body)
        .first(conn)
        .optional()?;
    body.map(serde_json::from_value)
        .transpose()
        .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))
}
