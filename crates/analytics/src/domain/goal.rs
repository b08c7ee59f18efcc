//! What a workspace wants people to do.

use chrono::{DateTime, Utc};
use common::{GoalId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::goals;

/// Events of a type reach it, if they have this name and a URL that begins so.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = goals, treat_none_as_default_value = false)]
pub struct Goal {
    pub workspace_id: WorkspaceId,
    pub id: GoalId,
    pub name: String,
    pub kind: String,
    pub event: Option<String>,
    pub url_prefix: Option<String>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
}
